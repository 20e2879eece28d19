"""Worker processes that leave interrupts to the process that started them, and end when it ends."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process, resource_tracker


def start_pool(workers: int) -> ProcessPoolExecutor:
    """Start worker processes.

    They are started with "spawn": a fork of a process that has threads (a progress bar, a data loader) can hang.
    """
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_watch_parent)
    # Processes inherit the signals that are blocked. A pool starts a process for a task when none waits for one, so as
    # many tasks as workers start all of them. The library's own process unblocks interrupts when it is started, so it
    # must be there before.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for _ in range(workers):
            pool.submit(os.getpid)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return pool


def _watch_parent() -> None:
    """Exit when the parent process is killed."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
