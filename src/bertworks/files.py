"""Files: finding those a flag names, and writing them so that a crash never leaves half of one."""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from bertworks.errors import InputError

# What some programs write in front of UTF-8; readers skip it.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def expand(patterns: str, flag: str) -> list[Path]:
    """The files that a comma-separated list of paths and globs names, each pattern's files sorted, without repeats.

    Raises:
        InputError: a pattern names nothing, or something that is not a file; `flag` is the flag to mend.
    """
    found: dict[Path, None] = {}
    for pattern in filter(None, (part.strip() for part in patterns.split(","))):
        matches = glob.glob(pattern, recursive=True) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207
        paths = [Path(match) for match in sorted(matches)]
        if not paths or not all(path.exists() for path in paths):
            raise InputError(f"{flag}: no file matches {pattern}")
        found.update(dict.fromkeys(paths))
    if not found:
        raise InputError(f"{flag}: names no file")
    return list(found)


@contextmanager
def written_whole(path: Path | str) -> Iterator[BinaryIO]:
    """Open `path` for writing so that it appears whole or not at all.

    The bytes go to a file beside it, are flushed to the disk and renamed over `path` when the block ends without an
    error; otherwise the file beside it is removed and whatever was at `path` stays. A symbolic link stays a link, and
    the file that it leads to is replaced.

    Raises:
        InputError: something that is not a plain file is at `path`, such as a folder, a device or a pipe.
    """
    path = _behind_links(Path(path), Path.is_file, "is not a plain file; give a file's name")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("wb") as stream:
            yield stream
            sync_file(stream)
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        _name_file(error, path)
        raise
    sync_folder(path.parent)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with written_whole(path) as stream:
        stream.write(text.encode())


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it gets the name `path` when the block ends without an error, or vanishes.

    A symbolic link stays a link, and the folder that it leads to is replaced.

    Raises:
        InputError: something that is not a folder is at `path`.
    """
    path = _behind_links(path, Path.is_dir, "is not a folder; move it away or give another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        for file in beside.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        sync_folder(beside)
        if path.exists():
            shutil.rmtree(path)
        beside.rename(path)
    except BaseException as error:
        shutil.rmtree(beside, ignore_errors=True)
        _name_file(error, path)
        raise
    sync_folder(path.parent)


def _behind_links(path: Path, is_right: Callable[[Path], bool], wrong: str) -> Path:
    """Where `path` leads; what is there already must be of the right kind, and a link must not lead in a circle."""
    real = Path(os.path.realpath(path)) if path.is_symlink() else path
    if os.path.lexists(real) and not is_right(real):
        raise InputError(f"{path}: {wrong}")
    return real


def _name_file(error: BaseException, path: Path) -> None:
    """A failed write (a full disk) does not know its file; the message to the person should."""
    if isinstance(error, OSError) and error.filename is None:
        error.filename = str(path)


def sync_file(stream: IO[Any]) -> None:
    """Flush a file that stays open to the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path | str) -> str:
    """The file's SHA-256 in hexadecimal, read in constant memory."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def absolute(path: str | None) -> str | None:
    """Return a path that means the same from any folder; an address, and nothing, stay as they are."""
    return path if not path or "://" in path else str(Path(path.strip()).absolute())


def absolute_unless_name(path: str | None) -> str | None:
    """Make a path absolute if it, or the first part of it, exists; otherwise return it as it is: a name."""
    parts = Path(path or "").parts
    there = len(parts) > 1 and Path(parts[0]).exists()
    return absolute(path) if there or Path(path or "").exists() or Path(f"{path}.index").exists() else path
