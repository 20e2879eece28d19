"""Why processes that train together part: each learns it from the others, and one of them says it.

A process that ends with an error leaves its message in the store that all of them share, and closes its connections.
The others then fail in their next exchange, read the message and end with it. Without a message, one of them was killed
or hangs. Each process lets a thread count in the store, so a process whose number stands still is no longer there.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch.distributed as dist

# Functions of this module have the group as a default value. It is imported here, before there is one: imported later,
# as optimizers do, it would keep the group, and so its connections, to the end of the process.
import torch.distributed.nn.functional  # noqa: F401
from torch.distributed.distributed_c10d import Store

from bertworks.errors import InputError, one_line, told

# Seconds between signs of life, and how many seconds without one mean that a process is no longer there.
BEAT, SILENCE = 1.0, 8.0


class LostContactError(RuntimeError):
    """An exchange with the other processes failed; `seconds` after it began."""

    def __init__(self, reason: object, seconds: float) -> None:
        super().__init__(one_line(reason))
        self.seconds = seconds


@contextmanager
def exchange() -> Iterator[None]:
    """Turn what torch raises when an exchange fails into a `LostContactError`."""
    began = time.monotonic()
    try:
        yield
    except (RuntimeError, ValueError) as error:  # a closed connection, a process that does not come, a closed group
        traceback.clear_frames(error.__traceback__)  # they keep the group, whose connections are open while it is kept
        raise LostContactError(error, time.monotonic() - began) from None


class Contact:
    """The store that the processes share, as process number `rank` of `size` sees it.

    Attributes:
        timeout: the seconds that an exchange waits for the other processes.
    """

    def __init__(self, store: Store, rank: int, size: int, timeout: float) -> None:
        self._store, self.rank, self.size, self.timeout = store, rank, size, timeout
        self._is_there = True
        self._heard: dict[int, tuple[int, float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, args=(_connected_anew(store),), name="sign-of-life", daemon=True
        )
        store.set(f"host/{rank}", f"pid {os.getpid()} on {socket.gethostname()}")
        self._thread.start()

    def _beat(self, store: Store) -> None:
        with suppress(Exception):  # the store is gone when its process is
            while not self._ended.is_set():
                store.add(f"beat/{self.rank}", 1)
                self._ended.wait(BEAT)

    def end(self) -> None:
        """Give no more signs of life."""
        self._ended.set()
        self._thread.join()

    def part(self, error: BaseException, group: dist.ProcessGroup | None) -> BaseException:
        """Tell the other processes why this one ends.

        Args:
            error: what it ends with.
            group: is closed, so that the others notice.

        Returns:
            the error to end with: if the contact was lost, an InputError that says which process failed, and how.
        """
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of torchrun, when another process failed; this one ends too
        lost = isinstance(error, LostContactError)
        message = "" if lost else told(error) or f"{type(error).__name__}: {error}"
        self._ask(lambda: self._store.set(f"left/{self.rank}", message))
        with suppress(RuntimeError, ValueError):
            dist.destroy_process_group(group)
        if not isinstance(error, LostContactError):
            return error  # its end closes what connections are left, so it does not wait
        found = InputError(self._reason(error))
        found.speaker = self._first_there()
        self._let_others_read()
        return found

    def _reason(self, error: LostContactError) -> str:
        """Wait for messages of the other processes, or for signs of life; return what happened."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        deadline = time.monotonic() + 2 * SILENCE
        gone: list[int] = []
        while time.monotonic() < deadline:
            left = [rank for rank in others if self._has(f"left/{rank}")]
            for rank in left:
                if message := self._read(f"left/{rank}"):
                    return f"{one_line(message)} (process {rank})"
            gone = [rank for rank in others if rank not in left and self._is_silent(rank)]
            if len(left) == len(others) or gone or not self._is_there:
                break
            time.sleep(0.1)
        if not self._is_there:  # without torchrun the first process holds the store
            return f"process 0 ended; what it printed says why; {_CONTINUES}"
        if gone:
            return f"{self._named(gone)} ended without a word, as if killed; {_CONTINUES}"
        hanging = [rank for rank in others if not self._has(f"left/{rank}")]
        if hanging and error.seconds > 0.9 * self.timeout:
            return f"{self._named(hanging)} did not come in {self.timeout:g} seconds (--process_timeout); {_CONTINUES}"
        return f"the processes lost each other ({error}); {_CONTINUES}"

    def _let_others_read(self) -> None:
        """Wait until the others have read too, if this process holds the store.

        A process that ended with an error of its own reads nothing, nor does one that gives no sign of life.
        """
        if self.rank != 0 or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            self._ask(lambda: self._store.set(f"read/{self.rank}", ""))
            return
        deadline = time.monotonic() + 4 * SILENCE
        late = [rank for rank in range(1, self.size) if not (self._has(f"left/{rank}") and self._read(f"left/{rank}"))]
        while late and time.monotonic() < deadline:
            time.sleep(0.05)
            late = [rank for rank in late if not (self._has(f"read/{rank}") or self._is_silent(rank))]

    def _first_there(self) -> int:
        """Return the first process that parts in order, which speaks for all."""
        deadline = time.monotonic() + SILENCE / 2
        if not self._is_there:
            return 1
        for rank in range(self.rank):
            while not (there := self._has(f"left/{rank}")) and time.monotonic() < deadline:
                time.sleep(0.05)
            if there:
                return rank
        return self.rank

    def _is_silent(self, rank: int) -> bool:
        """Tell whether a process has given no sign of life for some seconds, in which this was asked."""
        now, beat = time.monotonic(), self._beats(rank)
        if rank not in self._heard or self._heard[rank][0] != beat:
            self._heard[rank] = beat, now
        return now - self._heard[rank][1] > SILENCE

    def _has(self, key: str) -> bool:
        found = self._ask(lambda: self._store.check([key]))
        return bool(found)

    def _read(self, key: str) -> str:
        found = self._ask(lambda: self._store.get(key).decode())
        return str(found or "")

    def _beats(self, rank: int) -> int:
        """Return the number of signs of life so far; -1 if the store is gone."""
        found = self._ask(lambda: self._store.add(f"beat/{rank}", 0))
        return -1 if found is None else int(found)

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Ask the store, but no more once it is gone, because torch says much each time; None is no answer."""
        if self._is_there:
            try:
                return question()
            except RuntimeError:
                self._is_there = False
        return None

    def _named(self, ranks: Sequence[int]) -> str:
        return " and ".join(
            f"process {rank} ({self._read(f'host/{rank}')})" if self._has(f"host/{rank}") else f"process {rank}"
            for rank in ranks
        )


def _connected_anew(store: Store) -> Store:
    """Return the same store over a connection of its own, so that no thread waits for another one."""
    found: Store = store.clone()  # type: ignore[attr-defined]  # torch's stub lacks it
    return found


_CONTINUES = "the same command continues from the newest checkpoint"
