"""Unpacking the known members of an archive, all of them or none, and checking an archive that stays as it is.

Only members that we name are unpacked, under names of ours: no name in an archive decides where something is written.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from bertworks.datasets.schema import RemoteFile
from bertworks.errors import InputError, one_line
from bertworks.files import written_whole

# Text does not become smaller than this by compression.
_MOST_COMPRESSED = 64

_CHUNK = 1 << 20
_LARGEST_READ = 16 * _CHUNK
_OPEN: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)


def unpack(path: Path, remote: RemoteFile, most: int | None = None) -> None:
    """Unpack the known members of a zip or tar into its folder, all of them or none, and remove the archive.

    The members may have `most` bytes together; None allows 64 times the archive's.

    Raises:
        InputError: it is no archive, is damaged, lacks a member, or is too large. The message lacks the archive's name.
    """
    names, missing = remote.unpacked, set(remote.unpack)
    try:
        left = path.stat().st_size * _MOST_COMPRESSED if most is None else most
        with ExitStack() as stack:
            for member, content in _members(path, names):
                if member not in missing:
                    raise InputError(f"holds {member} twice")
                missing.remove(member)
                target = stack.enter_context(written_whole(path.parent / names[member]))
                for chunk in _checked(content, member, remote.member_checksums.get(member)):
                    left -= target.write(chunk)
                    if left < 0:
                        limit = f"{_MOST_COMPRESSED} times its size" if most is None else f"{most:,} bytes"
                        raise InputError(f"unpacks to more than {limit}")
            if missing:
                raise InputError(f"holds no {min(missing)}")
    except FileNotFoundError:
        # Another process may have unpacked and removed it.
        if not remote.is_in(path.parent):
            raise
    except _DAMAGED as error:
        raise _told("not the archive that was expected", error) from None
    path.unlink(missing_ok=True)


def check_zip(path: Path, remote: RemoteFile, most: int) -> None:
    """Check that a zip is whole, unpacks to `most` bytes at most, and has the known members with their checksums.

    Raises:
        InputError: it is not so. The message lacks the archive's name.
    """
    known = {*remote.unpack, *remote.member_checksums}
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if sum(info.file_size for info in infos) > most:
                raise InputError(f"unpacked it would have more than {most:,} bytes")
            members = {info.filename: _known_end(info.filename, known) for info in infos}
            if missing := known - set(members.values()):
                raise InputError(f"it holds no {min(missing)}")
            for info in infos:
                with archive.open(info) as content:
                    for _ in _checked(content, info.filename, remote.member_checksums.get(members[info.filename])):
                        pass
    except _DAMAGED as error:
        raise _told("not a zip, or damaged", error) from None


def _told(problem: str, error: Exception) -> Exception:
    """Return the error for a person; an error of the file system, such as a full disk, stays as it is."""
    if isinstance(error, InputError) or (isinstance(error, OSError) and error.errno):
        return error
    return InputError(f"{problem} ({one_line(error)})")


def _known_end(path: str, known: Iterable[str]) -> str:
    """Return the known end of a member's path; "" if it is not known."""
    # macOS puts a second, hidden file next to each one.
    path = f"/{path}"
    return "" if "/__MACOSX/" in path else next((end for end in known if path.endswith(f"/{end}")), "")


def _members(path: Path, known: Iterable[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Read the known ends of the members of a zip or tar, with their content."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if member := _known_end(info.filename, known):
                    with archive.open(info) as content:
                        yield member, content
        return
    with path.open("rb") as file:
        magic = file.read(6)
    decompress: Callable[..., Any] = next((use for begin, use in _OPEN.items() if magic.startswith(begin)), open)
    with decompress(path, "rb") as stream:
        limited: Any = _Limited(stream, max(path.stat().st_size * _MOST_COMPRESSED, _LARGEST_READ))
        with tarfile.open(fileobj=limited, mode="r:") as tar:
            for entry in tar:
                if (member := _known_end(entry.name, known)) and entry.isfile() and (found := tar.extractfile(entry)):
                    yield member, found
                # tarfile keeps every entry that it has read; a person's archive has few, a hostile one many.
                tar.members.clear()  # type: ignore[attr-defined]
        # A compressed file has its checksum at its end, which tarfile does not read.
        while limited.read(_CHUNK):
            pass


class _Limited:
    """A stream for tarfile that reads no more at a time, and no more in all, than an honest archive needs."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream, self._most = stream, most
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        if size > _LARGEST_READ:
            raise InputError(f"has a header of {size:,} bytes")
        data: bytes = self._stream.read(size)
        self._check()
        return data

    def seek(self, offset: int) -> int:
        # Step by step, so that a compressed gap is not unpacked beyond the limit.
        while (at := self._stream.tell()) + _LARGEST_READ < offset:
            self._stream.seek(at + _LARGEST_READ)
            self._check()
            if self._stream.tell() == at:
                break
        position: int = self._stream.seek(offset)
        self._check()
        return position

    def _check(self) -> None:
        if self._stream.tell() > self._most:
            raise InputError(f"unpacks to more than {_MOST_COMPRESSED} times its size")


def _checked(content: IO[bytes], name: str, checksum: str | None) -> Iterator[bytes]:
    """Read a member to its end, which checks the CRC-32 of a zip, and compare its checksum if that is known."""
    algorithm, _, expected = (checksum or "").partition(":")
    digest = hashlib.new(algorithm) if checksum else None
    while chunk := content.read(_CHUNK):
        if digest:
            digest.update(chunk)
        yield chunk
    if digest and digest.hexdigest() != expected:
        raise InputError(f"{name} has the {algorithm} {digest.hexdigest()}, not {expected}")
