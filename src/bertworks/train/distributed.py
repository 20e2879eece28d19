"""Training in several processes: the number of this one, and sums over all of them.

torchrun starts many processes and sets RANK, WORLD_SIZE and LOCAL_RANK. Without it there is one process, and every sum
here is the number itself. Gradients are summed, never averaged: a step's loss is already divided by the counts of the
whole step.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from bertworks.errors import InputError
from bertworks.model.device import choose_device, keep_freed_memory, limit_threads, use_deterministic_kernels
from bertworks.progress import say


@dataclass(frozen=True)
class World:
    """The processes that train together, as process number `rank` sees them. Process 0 writes the files."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def say(self, message: str) -> None:
        """Print one line for a person, in the main process only."""
        if self.is_main:
            say(message)

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Return each number summed over all processes (double precision, exact for counts)."""
        if self.size == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def sum_tensor(self, tensor: Tensor) -> Tensor:
        """Return `tensor` summed over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, gradients: Iterable[Tensor]) -> None:
        """Sum gradients over all processes, in place, in flat buckets: few calls and little extra memory."""
        if self.size == 1:
            return
        bucket: list[Tensor] = []
        for gradient in [*gradients, None]:
            if bucket and (gradient is None or sum(g.numel() for g in bucket) + gradient.numel() > 1 << 25):
                flat = torch.cat([g.reshape(-1) for g in bucket])
                dist.all_reduce(flat)
                parts = torch.split(flat, [g.numel() for g in bucket])
                torch._foreach_copy_(bucket, [part.view_as(g) for part, g in zip(parts, bucket, strict=True)])
                bucket = []
            if gradient is not None:
                bucket.append(gradient)

    def least(self, number: int) -> int:
        """Return the smallest of all processes' numbers."""
        if self.size == 1:
            return number
        tensor = torch.tensor(number, device=self.device)
        dist.all_reduce(tensor, dist.ReduceOp.MIN)
        return int(tensor)

    def agree(self, error: InputError | None) -> None:
        """Raise the error of one process in all of them, so that no process waits for one that has ended.

        Raises:
            InputError: the error of the first process that has one.
        """
        if self.size > 1 and any(self.sum_numbers([error is not None])):
            messages: list[str | None] = [None] * self.size
            dist.all_gather_object(messages, None if error is None else str(error))
            raise InputError(next(message for message in messages if message is not None))
        if error is not None:
            raise error

    def wait(self) -> None:
        """Wait until every process has called this."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def world(device: str, *, deterministic: bool = False) -> Iterator[World]:
    """Join the processes that torchrun started, or be the only one, and leave the group at the end.

    Args:
        device: `auto` (CUDA if there is one), `cpu`, `cuda` or `cuda:N`.
        deterministic: on CUDA, use only kernels that give the same bits each time.

    Raises:
        InputError: this machine has no such device, or torchrun's variables are incomplete.
    """
    if "WORLD_SIZE" in os.environ and "MASTER_ADDR" not in os.environ and not dist.is_initialized():
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
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", rank=rank, world_size=size)
    try:
        yield World(rank, size, chosen)
    finally:
        if size > 1:
            dist.destroy_process_group()
