"""One run trains in a folder at a time, on one machine or on several that share it.

On one machine the system keeps the lock, and ends it with the process. Not every file system passes such locks on to
other machines. So the file also says who holds it, with a number that grows every few seconds: a process on another
machine that finds the number growing is refused. This compares no clocks.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bertworks import files
from bertworks.errors import InputError

# Seconds between signs of life, and how long one is waited for.
BEAT, PATIENCE = 5.0, 20.0

_BYTES = 512


@contextmanager
def claimed(output_dir: Path, host: str = "") -> Iterator[None]:
    """Keep other processes from training in the folder.

    Args:
        output_dir: made if absent.
        host: the name of this machine, if it is not the system's.

    Raises:
        InputError: another process is training there.
    """
    host = host or socket.gethostname()
    folder = output_dir / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lock"
    path.touch()
    with path.open("r+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"--output_dir={output_dir}: another process is training there{_who(path)}") from None
        _wait_for_other_host(path, host, output_dir)
        ended = threading.Event()
        beating = threading.Thread(target=_beat, args=(stream, host, ended), name="lock", daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
            with suppress(OSError):
                stream.truncate(0)


def _wait_for_other_host(path: Path, host: str, output_dir: Path) -> None:
    """Find out whether the process of another machine that the file names is still there.

    Raises:
        InputError: it is.
    """
    before = files.json_object(path)
    if before.get("host") in (None, host):
        return
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(min(1.0, PATIENCE / 10))
        if (now := files.json_object(path)) and now != before:
            raise InputError(f"--output_dir={output_dir}: another process is training there{_who(path)}")


def _beat(stream: IO[str], host: str, ended: threading.Event) -> None:
    number = 0
    while True:
        _put(stream, json.dumps({"host": host, "pid": os.getpid(), "beat": number}))
        number += 1
        if ended.wait(BEAT):
            return


def _put(stream: IO[str], text: str) -> None:
    """Write at the beginning, always as many bytes and at once, so that no reader meets half of it."""
    with suppress(OSError):  # on a full disk the system's lock still holds
        os.pwrite(stream.fileno(), text.ljust(_BYTES).encode(), 0)


def _who(path: Path) -> str:
    holder = files.json_object(path)
    return f" (pid {holder['pid']} on {holder['host']})" if {"pid", "host"} <= holder.keys() else ""
