"""Training in several processes: the number of this one, and what all of them exchange.

torchrun starts many processes and sets RANK, WORLD_SIZE and LOCAL_RANK. Without it there is one process, and every sum
here is the number itself. Gradients are summed, never averaged: a step's loss is already divided by the counts of the
whole step. Numbers of the host go through the host (gloo), so that an exchange never waits for a device.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from bertworks.errors import InputError, one_line
from bertworks.model.device import choose_device, keep_freed_memory, limit_threads, use_deterministic_kernels
from bertworks.progress import say
from bertworks.train.contact import Contact, exchange

# Seconds that a process waits for the others, where no flag says it.
TIMEOUT = 1800.0


@dataclass(frozen=True)
class World:
    """The processes that train together, as process number `rank` sees them. Process 0 writes the files.

    Attributes:
        host: the group for numbers of the host; None is torch's own group.
    """

    rank: int
    size: int
    device: torch.device
    host: dist.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def say(self, *messages: str) -> None:
        """Print lines for a person, in the main process only."""
        if self.is_main:
            for message in messages:
                say(message)

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Return each number summed over all processes (double precision, exact for counts)."""
        if self.size == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64)
        with exchange():
            dist.all_reduce(tensor, group=self.host)
        return [float(value) for value in tensor.tolist()]

    def sum_tensor(self, tensor: Tensor) -> Tensor:
        """Return `tensor` summed over all processes, in place."""
        if self.size > 1:
            with exchange():
                dist.all_reduce(tensor)
        return tensor

    def gather(self, own: bytes) -> list[bytes]:
        """Return what each process gives, in their order, through the host. All of them must call it."""
        if self.size == 1:
            return [own]
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        with exchange():
            dist.all_gather(sizes, torch.tensor([len(own)]), group=self.host)
            longest = max(1, *(int(size) for size in sizes))
            padded = torch.frombuffer(bytearray(own.ljust(longest, b"\0")), dtype=torch.uint8)
            found = [torch.empty(longest, dtype=torch.uint8) for _ in sizes]
            dist.all_gather(found, padded, group=self.host)
        return [part[: int(size)].numpy().tobytes() for part, size in zip(found, sizes, strict=True)]

    def check_same(self, facts: Mapping[str, object], remedy: str) -> None:
        """Compare facts that must be the same in all processes.

        Args:
            facts: what a person knows it by -> its value.
            remedy: what to do when they differ.

        Raises:
            InputError: some differ; says which, and in which processes. Every process raises the same.
        """
        if self.size == 1:
            return
        found = [json.loads(text) for text in self.gather(json.dumps(facts, default=str).encode())]
        names = [name for name in {name: None for each in found for name in each} if _differ(name, found)]
        if names:
            shown = "; ".join(f"{name} is {_by_process(name, found)}" for name in names[:3])
            more = f", and {len(names) - 3} more differences" if len(names) > 3 else ""
            raise InputError(f"the processes differ: {shown}{more}; {remedy}")

    def least(self, number: int) -> int:
        """Return the smallest of all processes' numbers."""
        return min(int(each) for each in self.gather(str(number).encode()))

    def wait(self) -> None:
        """Wait until every process has called this."""
        self.sum_numbers([0])

    def in_main(self, work: Callable[[], object]) -> None:
        """Do work in the main process, while the others wait for it.

        Raises:
            InputError: what the work raises, in every process.
        """
        problem = ""
        if self.is_main:
            try:
                work()
            except InputError as error:
                problem = str(error)
        if told := self.gather(problem.encode())[0].decode():
            raise InputError(told)


def _differ(name: str, found: Sequence[Mapping[str, object]]) -> bool:
    return len({json.dumps(each.get(name)) for each in found}) > 1


def _by_process(name: str, found: Sequence[Mapping[str, object]]) -> str:
    """Return which value each process has: `5e-05 in process 0, 0.0001 in processes 1 and 2`."""
    ranks: dict[str, list[int]] = {}
    for rank, each in enumerate(found):
        ranks.setdefault(str(each.get(name)), []).append(rank)
    return ", ".join(
        f"{one_line(value)} in process{'es' if len(of) > 1 else ''} {' and '.join(map(str, of))}"
        for value, of in ranks.items()
    )


@contextmanager
def world(device: str, timeout: float = TIMEOUT, *, deterministic: bool = False) -> Iterator[World]:
    """Join the processes that torchrun started, or be the only one, and leave the group at the end.

    If one process fails, all of them end with its error, and one of them says it.

    Args:
        device: `auto` (CUDA if there is one), `cpu`, `cuda` or `cuda:N`.
        timeout: the seconds after which a process that does not come to an exchange counts as lost.
        deterministic: on CUDA, use only kernels that give the same bits each time.

    Raises:
        InputError: this machine has no such device, or torchrun's variables are incomplete; the processes do not find
            each other; another process failed.
    """
    if "WORLD_SIZE" in os.environ and "MASTER_ADDR" not in os.environ:
        raise InputError("WORLD_SIZE is set but MASTER_ADDR is not; start several processes with torchrun")
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
        if deterministic:
            use_deterministic_kernels()
    else:
        keep_freed_memory()
        limit_threads()
    if size == 1:
        yield World(rank, size, chosen)
        return
    found, contact = _join(rank, size, chosen, timeout)
    try:
        yield found
    except SystemExit:
        raise  # all of them leave after the same step
    except BaseException as error:
        parted = contact.part(error, found.host)
        if parted is error:
            raise
        raise parted from None
    finally:
        contact.end()
        if dist.is_initialized():
            dist.destroy_process_group()


def _join(rank: int, size: int, device: torch.device, timeout: float) -> tuple[World, Contact]:
    """Meet the other processes."""
    limit = timedelta(seconds=timeout)
    try:
        all_rounds, _, _ = next(rendezvous("env://", rank, size, timeout=limit))
        all_rounds.set_timeout(limit)
        store = _of_this_round(all_rounds, rank, size)
        cuda = device.type == "cuda"
        backend, groups = "nccl" if cuda else "gloo", PrefixStore("groups", store)
        dist.init_process_group(backend, store=groups, rank=rank, world_size=size, timeout=limit)
        found = World(rank, size, device, dist.new_group(backend="gloo", timeout=limit) if cuda else None)
        found.wait()
        if rank == 0:
            all_rounds.delete_key(_round_key(size))
        return found, Contact(PrefixStore("contact", store), rank, size, timeout)
    except (RuntimeError, ValueError) as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ.get('MASTER_PORT')}"
        reason = one_line(str(error).partition("\n")[0])
        raise InputError(f"process {rank} of {size} does not meet the others at {address} ({reason})") from None


def _of_this_round(store: Store, rank: int, size: int) -> Store:
    """Return a part of the store that nobody has used.

    torchrun's store outlives the processes: when it starts others, those would find the addresses of the old ones.
    So the first process gives the part a name by chance, and takes the name away once all have met.
    """
    if rank == 0:
        store.set(_round_key(size), secrets.token_hex(8))
    return PrefixStore(store.get(_round_key(size)).decode(), store)


def _round_key(size: int) -> str:
    return f"bertworks/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{size}"
