"""Files: finding those that a flag names, and writing them so that a crash never leaves half a file."""

from __future__ import annotations

import glob
import hashlib
import json
import mmap
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from bertworks.addresses import address_of
from bertworks.errors import InputError

# What some programs write in front of UTF-8; readers skip it.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def expand(patterns: str, flag: str) -> list[Path]:
    """Return the paths that a comma-separated list of paths and globs names: sorted per pattern, without repeats.

    A path that is there is no glob, such as that of `mails[1].csv`.

    Raises:
        InputError: a pattern names nothing. `flag` is the flag to fix.
    """
    found: dict[Path, None] = {}
    for pattern in filter(None, (part.strip() for part in patterns.split(","))):
        is_path = not glob.has_magic(pattern) or Path(pattern).exists()
        matches = [pattern] if is_path else glob.glob(pattern, recursive=True)  # noqa: PTH207
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

    The bytes go to a partial file in the same folder. When the block ends without an error, it is flushed to the disk
    and renamed to `path`. Otherwise it is removed, and what was at `path` stays. A symbolic link stays a link, and the
    file that it leads to is replaced.

    Raises:
        InputError: `path` is not a plain file but a folder, a device or a pipe, for example.
    """
    wrong = "is not a plain file; give a file's name"
    with _renamed_when_whole(Path(path), Path.is_file, wrong) as partial, partial.open("wb") as stream:
        yield stream
        sync_file(stream)


def check_writable(output_dir: Path, flag: str = "--output_dir") -> None:
    """Make the output folder that a flag names, and find out now, not after hours, whether files can be written there.

    Raises:
        InputError: they cannot.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output_dir):
            pass
    except OSError as error:
        raise InputError(f"{flag}={output_dir}: cannot be written to ({error.strerror})") from None


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with written_whole(path) as stream:
        stream.write(text.encode())


def write_or_print(path: Path | str | None, blocks: Iterable[str]) -> None:
    """Write texts as UTF-8, whole or not at all; without a path to standard output, each as soon as it is there."""
    if path is None:
        for block in blocks:
            print(block, end="", flush=True)
        return
    with written_whole(path) as stream:
        for block in blocks:
            stream.write(block.encode())


def check_is_file(path: Path, flag: str) -> None:
    """Raise InputError if there is nothing to read at a path that a flag names, or a folder."""
    if path.is_dir() or not path.exists():
        raise InputError(f"{flag}={path}: {'is a folder' if path.is_dir() else 'no such file'}")


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill. It gets the name `path` when the block ends without an error, or is removed.

    A symbolic link stays a link, and the folder that it leads to is replaced.

    Raises:
        InputError: `path` exists and is not a folder; or the current folder is it, or lies in it.
    """
    if _holds_current_folder(path):
        raise InputError(f"{path}: is or holds the current folder, which cannot be replaced; give another folder")
    wrong = "is not a folder; move it away or give another name"
    with _renamed_when_whole(path, Path.is_dir, wrong) as partial:
        partial.mkdir()
        yield partial
        for entry in partial.rglob("*"):
            if entry.is_dir():
                sync_folder(entry)
                continue
            with entry.open("rb") as stream:
                os.fsync(stream.fileno())
        sync_folder(partial)


def check_is_no_input(output: Path, inputs: Iterable[Path], flag: str = "--output_file") -> None:
    """Refuse to write where a file lies that is read.

    Raises:
        InputError: an input is the same file, by whatever path or address.
    """
    address = address_of(output)
    for path in inputs:
        is_there = output.exists() and path.exists() and output.samefile(path)
        if is_there or (address is not None and address == address_of(path)):
            raise InputError(f"{flag}={output}: is the input {path}, which would be lost; give another file")


@contextmanager
def _renamed_when_whole(path: Path, is_right: Callable[[Path], bool], wrong: str) -> Iterator[Path]:
    """Give a free name beside what `path` leads to, which must be of the right kind, and rename what is made there."""
    # Nothing can be renamed to `.`, and `a/..` leads nowhere while `a` is replaced.
    real = Path(os.path.realpath(path)) if path.is_symlink() or ".." in path.parts or not path.name else path
    # /dev/stdout leads to a pipe, which has no name that exists.
    if any(there and not is_right(to) for to, there in ((real, os.path.lexists(real)), (path, path.exists()))):
        raise InputError(f"{path}: {wrong}")
    real.parent.mkdir(parents=True, exist_ok=True)
    # On a shared folder, processes of several machines may have equal numbers.
    partial = real.with_name(f".{real.name}.{os.getpid()}.{os.urandom(4).hex()}.partial")
    try:
        yield partial
        if partial.is_dir() and real.exists():
            # A folder is not replaced in one step. A kill between the two leaves the old one under a name of its own.
            replaced = real.with_name(f".{real.name}.replaced")
            remove(replaced)
            real.rename(replaced)
            partial.replace(real)
            remove(replaced)
        else:
            partial.replace(real)
    except BaseException as error:
        remove(partial)
        # The error of a failed write (such as a full disk) does not name the file.
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(real)
        raise
    sync_folder(real.parent)


def _holds_current_folder(folder: Path) -> bool:
    """Tell whether the folder is the current one or above it, which would be removed under the person in it."""
    try:
        current = Path.cwd()
    except FileNotFoundError:  # somebody removed it
        return False
    return current.is_relative_to(os.path.realpath(folder))


def restore_replaced(folder: Path) -> None:
    """Give a folder its name again that a kill left renamed while it was replaced; remove one that was replaced."""
    for replaced in folder.glob(".*.replaced"):
        name = folder / replaced.name.removeprefix(".").removesuffix(".replaced")
        if name.exists():
            remove(replaced)
        else:
            replaced.rename(name)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync_file(stream: IO[Any]) -> None:
    """Flush an open file to the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Flush the names in a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_object(path: Path) -> dict[str, Any]:
    """Return the object of a small JSON file of ours; {} if the file is missing, damaged or something else."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def state(path: Path) -> object:
    """Return what changes when somebody writes to a file or puts another in its place; None if it is no plain file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def check_unchanged(path: Path, before: object) -> None:
    """Raise InputError if a file is not in the state that it had, so that parts of two versions may have been read."""
    if state(path) != before:
        raise InputError(f"{path}: has changed while it was read; try again when nobody writes to it")


def check_whole(memory: mmap.mmap, path: Path) -> None:
    """Raise InputError if a mapped file became shorter: the system ends a program that reads behind its end."""
    if memory.size() < len(memory):
        raise InputError(f"{path}: has become shorter while it was read; put the whole file back")


@contextmanager
def unchanged(path: Path, before: object = None) -> Iterator[None]:
    """Check at the end of the block that a file did not change meanwhile, or since it had the state `before`.

    Raises:
        InputError: it did; this takes the place of an error of the block, which a change may cause.
    """
    before = before or state(path)
    try:
        yield
    except Exception:
        check_unchanged(path, before)
        raise
    check_unchanged(path, before)


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file in hexadecimal, in constant memory."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def absolute(path: str | None) -> str | None:
    """Return a path that means the same from any folder; an address, and nothing, stay as they are.

    The place of an address in the cache gives the address.
    """
    if not path or "://" in path:
        return path
    there = Path(path.strip()).absolute()
    return address_of(there) or str(there)


def absolute_unless_name(path: str | None) -> str | None:
    """Make a path absolute if it, or the first part of it, exists; otherwise return it as it is: a name."""
    parts = Path(path or "").parts
    there = len(parts) > 1 and Path(parts[0]).exists()
    return absolute(path) if there or Path(path or "").exists() or Path(f"{path}.index").exists() else path
