"""Downloading large files over HTTP: continued after a cut, and checked before a file gets its name.

The bytes go to `NAME.partial` in the folder of the target, which a later process continues. One process at a time
writes there; a second one waits and then finds the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bertworks.datasets.schema import RemoteFile
from bertworks.datasets.transfer import SCHEMES, CutError, Transfer
from bertworks.errors import InputError
from bertworks.files import sync_file, sync_folder
from bertworks.progress import say

# Nothing is downloaded where this is set to 1.
OFFLINE = "BERTWORKS_OFFLINE"

# Bytes accepted of a file of unknown size.
LARGEST = 16 << 30

_LONGEST_WAIT = 30.0


def is_offline() -> bool:
    """Tell whether the environment forbids the network."""
    return os.environ.get(OFFLINE) == "1"


def download_file(
    remote: RemoteFile, folder: Path, owner: str, limit: int, check: Callable[[Path], None] | None = None
) -> Path:
    """Download a file of a data set or a model, its `owner`, to `folder`, where it is not there yet, and say so.

    The limit, the check and the errors are those of `download`. Returns its path.
    """
    to = folder / remote.file_name
    if not to.exists() and not is_offline():
        say(f"{owner}: downloading {remote.address} to {to}")
    size, checksum = remote.size, remote.checksum
    return download(remote.address, to, description=owner, size=size, limit=limit, checksum=checksum, check=check)


def download(
    address: str,
    to: Path,
    *,
    description: str,
    size: int | None = None,
    limit: int = LARGEST,
    checksum: str | None = None,
    check: Callable[[Path], None] | None = None,
    tries: int = 4,
    wait: float = 1.0,
    timeout: float = 30.0,
) -> Path:
    """Download the file at `address` to `to`, which is returned; do nothing if that exists.

    Args:
        address, to, description, size, limit, timeout: see `Transfer`. The environment names proxies.
        checksum: such as `sha256:0123...`, by any name of hashlib.
        check: is called with the path of the whole file before it gets its name; raises InputError if it is wrong.
        tries: failures in a row without a new byte before giving up.
        wait: seconds before the second try; they double with each failure.

    Raises:
        InputError: there is no network, or another file came. The message tells what to download by hand, and where to
            put it. Bytes that came before a cut are kept for the next time, wrong bytes are not.
    """
    if to.exists():
        return to
    transfer = Transfer(address, to, description, size, limit, timeout)
    if urlsplit(address).scheme not in SCHEMES:
        raise InputError(f"{address}: not an address that can be downloaded; give one that begins with https://")
    if is_offline():
        raise transfer.by_hand(f"not downloaded, because {OFFLINE}=1 is set")
    to.parent.mkdir(parents=True, exist_ok=True)
    with _locked(to, transfer.partial) as stream:
        if stream is None:
            return to
        try:
            _receive(transfer, stream, tries, wait)
            _verify(transfer, checksum, check)
            sync_file(stream)
            transfer.partial.replace(to)
            transfer.version.unlink(missing_ok=True)
        finally:
            if transfer.partial.exists() and not transfer.partial.stat().st_size:
                transfer.forget()
    sync_folder(to.parent)
    return to


@contextmanager
def _locked(to: Path, partial: Path) -> Iterator[io.FileIO | None]:
    """Open the partial file for this process alone; give None if another process has finished the file meanwhile."""
    told = False
    while not to.exists():
        with partial.open("a+b", buffering=0) as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    say(f"{to.name}: another process downloads it; waiting")
                told = True
                fcntl.flock(stream, fcntl.LOCK_EX)
            # The process that held the lock may have renamed or removed the file that we opened.
            if partial.exists() and os.path.samestat(os.fstat(stream.fileno()), partial.stat()):
                yield stream
                return
    yield None


def _receive(transfer: Transfer, stream: io.FileIO, tries: int, wait: float) -> None:
    """Fill `stream`, in as many requests as it takes."""
    failures, most = 0, transfer.bytes_held(stream)
    while most != transfer.size:
        try:
            transfer.request(stream)
            return
        except CutError as cut:
            held = os.fstat(stream.fileno()).st_size
            failures, most = (failures + 1, most) if held <= most else (1, held)
            if failures >= tries:
                raise transfer.by_hand(f"cannot be downloaded ({cut})") from None
            pause = min(_LONGEST_WAIT, wait * 2 ** (failures - 1))
            say(f"{transfer.to.name}: {cut}; trying again in {pause:.0f} s")
            time.sleep(pause)


def _verify(transfer: Transfer, checksum: str | None, check: Callable[[Path], None] | None) -> None:
    """Check the whole partial file, and remove it if it is wrong."""
    try:
        if checksum is not None:
            algorithm, _, expected = checksum.partition(":")
            with transfer.partial.open("rb") as stream:
                found = hashlib.file_digest(stream, algorithm).hexdigest()
            if found != expected:
                raise InputError(f"{algorithm} {found}, not {expected}")
        if check is not None:
            check(transfer.partial)
    except InputError as error:
        transfer.forget()
        raise transfer.by_hand(f"wrong bytes came ({error})") from None
