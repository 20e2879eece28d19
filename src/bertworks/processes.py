"""`Processes`: those that compute together, as code sees them that knows nothing of how they are connected.

Evaluation and prediction share their work through this. `train/distributed.py` connects real processes.
"""

from __future__ import annotations

from typing import Protocol


class Processes(Protocol):
    """Some processes that run the same code, as number `rank` of them sees them."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and prints."""

    def gather(self, own: bytes) -> list[bytes]:
        """Return what each process gives, in their order. All of them must call it."""


class _OneProcess:
    """A process that computes everything itself."""

    rank, size, is_main = 0, 1, True

    def gather(self, own: bytes) -> list[bytes]:
        """Return what it gives."""
        return [own]


ALONE: Processes = _OneProcess()


def share(processes: Processes, count: int) -> slice:
    """Return which of `count` things this process takes: one of equal runs."""
    return slice(count * processes.rank // processes.size, count * (processes.rank + 1) // processes.size)
