"""Checkpoints are written while the training goes on, which waits only until their tensors are copied.

One write is under way at a time: the next one waits for it. What goes wrong in it is raised at the next step, and at
the end. A run ends after its last write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from torch import Tensor

from bertworks.errors import one_line, told
from bertworks.progress import say


class BackgroundWriter:
    """Writes on a thread of its own, or at once if not `behind`."""

    def __init__(self, *, behind: bool) -> None:
        self._behind = behind
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._write: Future[None] | None = None

    def copy(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return tensors for a write: copies on the host, which stay as they are, if it is done behind the training."""
        return {name: t.detach().to("cpu", copy=True) for name, t in tensors.items()} if self._behind else tensors

    def submit(self, write: Callable[[], None]) -> None:
        """Wait for the write before, then begin this one."""
        self.finish()
        if self._behind:
            self._write = self._thread.submit(write)
        else:
            write()

    def check(self) -> None:
        """Raise the error of the write, if it has ended with one."""
        if self._write is not None and self._write.done():
            self.finish()

    def finish(self) -> None:
        """Wait for the write, and raise its error."""
        write, self._write = self._write, None
        if write is not None:
            write.result()

    def __enter__(self) -> BackgroundWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Wait for the write. Raise its error, or say it if the run ends with another one."""
        try:
            self.finish()
        except Exception as failed:
            if error is None:
                raise
            say(f"The last checkpoint was not written: {told(failed) or one_line(failed)}")
        finally:
            self._thread.shutdown()
