"""Signals that end a run. It saves and leaves with a code that tells a scheduler whether to start it again.

    SIGTERM, SIGINT    save, leave with 128 + the number of the signal, as a shell counts
    SIGUSR1            save, leave with 75 (EX_TEMPFAIL of sysexits.h): not finished, start the same command again
    a second signal    leave at once, without saving; what is on the disk stays whole

Slurm sends SIGUSR1 before the time is over where sbatch has --signal=USR1@SECONDS.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

# The exit code that asks for a requeue.
REQUEUE = 75

# A scheduler and torchrun may both pass on the same order. Signals within these seconds are one.
TOGETHER = 2.0

# The first one decides, where several processes get different ones.
HANDLED = (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM)


class Stopped(SystemExit):
    """A signal stopped the run after it saved a checkpoint."""


def exit_code(number: int) -> int:
    """Return the code with which a run leaves after a signal."""
    return REQUEUE if number == signal.SIGUSR1 else 128 + number


class Listening:
    """Notes the first signal, for a loop that ends after its step.

    Attributes:
        number: of the signal; 0 if none came.
    """

    def __init__(self) -> None:
        self.number, self._when = 0, 0.0

    @contextmanager
    def here(self) -> Iterator[None]:
        """Note signals inside the block; in another thread than the main one there are none to note."""
        if not _may_listen():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in HANDLED}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.number:
            self.number, self._when = number, now
        elif now - self._when > TOGETHER:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


@contextmanager
def requeued_at_once() -> Iterator[None]:
    """Leave with the code for a requeue when SIGUSR1 comes where there is nothing to save."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise Stopped(REQUEUE)

    if not _may_listen():
        yield
        return
    before = signal.signal(signal.SIGUSR1, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def _may_listen() -> bool:
    """Tell whether this is the main thread; Python lets no other one handle signals."""
    return threading.current_thread() is threading.main_thread()
