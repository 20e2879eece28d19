"""The local copies of files elsewhere: fetched once, continued after a cut, within a bound.

A copy has its address's place in the cache (`addresses.place`). Beside the tree of copies there is one of notes, which
say of which version a copy is and whether it is whole. A **stub** is a copy with only its beginning and its true
length; what reads it first calls `ensure`. One process at a time fetches a file, others wait for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from bertworks import addresses, files
from bertworks.datasets.download import download
from bertworks.errors import InputError
from bertworks.progress import progress
from bertworks.remote.stores import Listed, store_of

# The most gigabytes of copies that are kept; those that were used least lately go first.
BOUND, _USUAL_GB = "BERTWORKS_REMOTE_CACHE_GB", 100.0

# What of a shard is fetched at once: its header.
_HEADER = 1 << 16

# Files of which a running command must keep the copy; their notes stay open and locked until it ends.
_held: list[IO[bytes]] = []


def notes() -> Path:
    """Return the folder of notes."""
    return addresses.inputs().with_name("notes")


def copied(file: Listed) -> Path:
    """Return the copy of a file, whole and of this version; it stays there until `release`.

    Raises:
        InputError: the file cannot be read, changes meanwhile, or does not fit the bound or the disk.
    """
    fill = _download if _scheme(file) in addresses.HTTP else _fetch
    return _brought(file, fill, lambda note: bool(note.get("whole")), hold=True)


def stub(file: Listed) -> Path:
    """Return a copy of a safetensors file that is whole, or a stub of this version with the file's header."""

    def begin(file: Listed, partial: Path) -> bool:
        store = store_of(file.address)
        _write_stub(partial, file.size, lambda start, end: store.read(file, start, min(end, file.size)))
        return False

    return _brought(file, begin, lambda note: True, hold=False)


def ensure(path: Path) -> None:
    """Make a copy whole if it is a stub; do nothing for any other path.

    Raises:
        InputError: as `copied`; or the file is not the one of the stub.
    """
    address = addresses.address_of(path)
    if address is None or not path.is_relative_to(addresses.inputs()):
        return
    note = _read(_note(address))
    if not note or note["whole"]:
        with suppress(OSError):
            os.utime(_note(address))  # used now
        return
    file = Listed(address, note["size"], note["version"])
    _check_version(file)
    _brought(file, _fetch, lambda note: bool(note.get("whole")), hold=False)


def opened(path: Path) -> BinaryIO:
    """Open a file to read it, after making it whole if it is a stub."""
    while True:
        ensure(path)
        stream = path.open("rb")
        if version(path)[1] is not False:  # no other process has made a stub of it meanwhile
            return stream
        stream.close()


def version(path: Path) -> tuple[str, bool | None]:
    """Return the version of a copy, and whether it is whole; ("", None) of any other path."""
    address = addresses.address_of(path)
    note = _read(_note(address)) if address and path.is_relative_to(addresses.inputs()) else {}
    return (f"{note['version']} {note['size']}", note["whole"]) if note else ("", None)


def read_ahead(paths: Sequence[Path]) -> None:
    """Begin to make copies whole that will be needed soon. What goes wrong is told by what then needs them."""
    stubs = [path for path in paths if version(path)[1] is False]

    def fetch() -> None:
        for path in stubs:
            with suppress(Exception):
                ensure(path)

    if stubs:
        threading.Thread(target=fetch, name="read-ahead", daemon=True).start()


def release() -> None:
    """Let the copies go that `copied` gave: other commands may now make room of them."""
    while _held:
        _held.pop().close()


def _note(address: str) -> Path:
    place = addresses.place(notes(), address)
    return place.with_name(f"{place.name}.json")


def _scheme(file: Listed) -> str:
    return file.address.partition("://")[0]


def _read(note: Path) -> dict[str, Any]:
    found = files.json_object(note)
    return found if {"size", "version", "whole"} <= found.keys() else {}


def _brought(
    file: Listed, fill: Callable[[Listed, Path], bool], is_enough: Callable[[dict[str, Any]], bool], *, hold: bool
) -> Path:
    """Return the copy of a file; if it is not there, or of another version, `fill` makes it."""
    path, note = addresses.place(addresses.inputs(), file.address), _note(file.address)
    note.parent.mkdir(parents=True, exist_ok=True)
    with _locked(note.with_suffix(".lock")):
        had = _read(note)
        same = path.is_file() and (had.get("size"), had.get("version")) == (file.size, file.version)
        if not (same and file.version and is_enough(had)):
            _make_room(file.size, keep=path)
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = fill(file, partial := path.with_name(f".{path.name}.partial"))
            note.unlink(missing_ok=True)
            partial.replace(path)
            files.write_text(note, json.dumps({"size": file.size, "version": file.version, "whole": whole}) + "\n")
        os.utime(note)
        if hold:
            held = note.open("rb")
            fcntl.flock(held, fcntl.LOCK_SH)
            _held.append(held)
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _fetch(file: Listed, partial: Path) -> bool:
    """Fetch the bytes of a file that a partial copy of the same version does not have yet."""
    store, of = store_of(file.address), partial.with_name(f"{partial.name}.version")
    said = f"{file.size} {file.version}"
    if not file.version or not of.exists() or of.read_text(encoding="utf-8") != said:
        partial.unlink(missing_ok=True)
        of.write_text(said, encoding="utf-8")
    with partial.open("ab") as stream:
        have = stream.tell()
        name = addresses.shown(file.address).rpartition("/")[2]
        with progress(name, file.size / 1e6, "MB", have / 1e6) as advance:
            for part in store.parts(file, have):
                stream.write(part)
                stream.flush()  # a later process continues behind it
                advance(len(part) / 1e6)
        files.sync_file(stream)
    _check_version(file)
    of.unlink()
    return True


def _download(file: Listed, partial: Path) -> bool:
    """Download a file over HTTP."""
    partial.unlink(missing_ok=True)
    download(file.address, partial, description=file.address.rpartition("/")[2])
    return True


def _check_version(file: Listed) -> None:
    """Raise InputError if the store has another file than the one that was listed."""
    now = store_of(file.address).find(file.address)
    if now is None:
        raise InputError(f"{file.address}: is no longer there")
    if (now.size, now.version) != (file.size, file.version):
        raise InputError(f"{file.address}: has changed while it was read; try again when nobody writes to it")


def _make_room(size: int, keep: Path) -> None:
    """Remove the copies that were used least lately, so that `size` more bytes are within the bound.

    Raises:
        InputError: there is no room, because the rest is in use.
    """
    try:
        bound = float(os.environ.get(BOUND) or _USUAL_GB) * 1e9
    except ValueError:
        raise InputError(f"{BOUND}={os.environ[BOUND]}: is not a number of gigabytes") from None
    root, there = notes(), []
    for note in root.rglob("*.json") if root.is_dir() else ():
        path = addresses.inputs() / note.relative_to(root).with_suffix("")
        with suppress(OSError):
            state = path.stat()
            if state.st_blocks * 512 >= state.st_size:  # not a stub, which is mostly a hole
                there.append((note.stat().st_mtime_ns, state.st_size, note, path))
    used = sum(of for _, of, _, path in there if path != keep)
    for _, of, note, path in sorted(there):
        if used + size <= bound:
            return
        if path == keep:
            continue
        with suppress(OSError), note.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while a command needs the copy
            _give_up(note, path)
            used -= of
    if used + size > bound:
        raise InputError(
            f"{addresses.address_of(keep)}: {(used + size) / 1e9:,.3g} GB of copies would be needed at once, and "
            f"{BOUND} allows {bound / 1e9:g}; raise it, or use less"
        )


def _give_up(note: Path, path: Path) -> None:
    """Remove a copy. One that may have been a stub becomes one again: its beginning stays for those who opened it."""
    had = _read(note)
    if path.name.endswith(".safetensors") and path.name.startswith("shard-"):
        partial = path.with_name(f".{path.name}.partial")
        with path.open("rb") as stream:
            _write_stub(partial, had["size"], lambda start, end: os.pread(stream.fileno(), end - start, start))
        files.write_text(note, json.dumps({**had, "whole": False}) + "\n")
        partial.replace(path)
    else:
        note.unlink()
        path.unlink()


def _write_stub(partial: Path, size: int, read: Callable[[int, int], bytes]) -> None:
    """Write the header of a safetensors file, eight bytes with its length and so many more, and a hole for the rest.

    Args:
        size: of the file, in bytes.
        read: gives the bytes of the file from one number to before another.
    """
    first = read(0, _HEADER)
    length = 8 + int.from_bytes(first[:8], "little")
    with partial.open("wb") as stream:
        stream.write((first + read(len(first), length))[:length] if length > len(first) else first[:length])
        stream.truncate(size)
