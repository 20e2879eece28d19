"""Where the files of a model lie: a folder, or a folder inside a zip, which is read without unpacking it."""

from __future__ import annotations

import errno
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast

from bertworks.errors import InputError
from bertworks.files import check_unchanged, state
from bertworks.foreign import refuse_pointer

# A configuration or a vocabulary; the largest released vocabulary is 1 MB.
LARGEST_TEXT = 64 << 20

# Weights hardly shrink, those of bfloat16 in float32 to a half, of a pruned model to a twentieth, and vocabularies to a
# half; what is nothing but zeros shrinks to a thousandth and is no model. A limit nearer to honest files would save no
# memory: weights are read a tensor at a time, and a model is made only when its configuration fits to all of them.
_MOST_GROWTH = 100
SMALL = 1 << 20

LARGEST_POINTER = 1024

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)

Stream = io.BufferedIOBase | io.RawIOBase


class DamagedError(Exception):
    """What is wrong with the bytes of a file, without the name of the file."""


class Storage(Protocol):
    """A folder, wherever it is.

    Attributes:
        path: how a person would name it, for messages.
    """

    path: Path

    def files(self) -> list[str]:
        """Return the names of the files directly in it, sorted."""
        ...

    def size(self, name: str) -> int:
        """Return the bytes of a file in it."""
        ...

    def open(self, name: str) -> io.BufferedIOBase:
        """Return the file `name`, from its beginning."""
        ...

    @contextmanager
    def at(self, name: str, offset: int) -> Iterator[Stream]:
        """Open the file `name` at a byte. In a zip, going forward is cheap and going back is not."""
        ...

    def finish(self) -> None:
        """Read files of a zip that were read in part to their end, where their checksum is; else nothing."""
        ...

    def local(self, name: str) -> Path | None:
        """Return the path of a file of the file system; None in a zip."""
        ...

    def folder(self, name: str) -> Storage:
        """Return a folder in it, which need not be there."""
        ...


class FolderStorage:
    """A folder of the file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._states: dict[str, object] = {}

    def files(self) -> list[str]:
        """See Storage."""
        return sorted(entry.name for entry in self.path.iterdir() if entry.is_file()) if self.path.is_dir() else []

    def size(self, name: str) -> int:
        """See Storage. Raises InputError for a pointer of Git LFS."""
        size = (self.path / name).stat().st_size
        if size <= LARGEST_POINTER:
            refuse_pointer((self.path / name).read_bytes(), self.path / name)
        return size

    def open(self, name: str) -> io.BufferedIOBase:
        """See Storage."""
        return (self.path / name).open("rb")

    @contextmanager
    def at(self, name: str, offset: int) -> Iterator[Stream]:
        """See Storage. Raises InputError if the file is not in the state that it had the first time."""
        # Each tensor is read on its own: a training that writes its best model meanwhile must not mix two models.
        check_unchanged(self.path / name, self._states.setdefault(name, state(self.path / name)))
        # Unbuffered, so that a tensor's bytes are copied once.
        with (self.path / name).open("rb", buffering=0) as stream:
            stream.seek(offset)
            yield stream

    def finish(self) -> None:
        """See Storage."""

    def local(self, name: str) -> Path | None:
        """See Storage."""
        return self.path / name

    def folder(self, name: str) -> Storage:
        """See Storage."""
        return FolderStorage(self.path / name)


class ZipStorage:
    """A folder inside a zip.

    Files are read as streams, which stay open where reading stopped: going back decompresses from the beginning.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path, inner: str) -> None:
        """The folder `inner` ("" or "a/b/") of an archive that is at `path`."""
        self.path = path / inner if inner else path
        self._archive, self._path, self._inner = archive, path, inner
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            name = info.filename.removeprefix(inner)
            if info.filename.startswith(inner) and name and "/" not in name:
                if name in self._members:
                    raise InputError(f"{path}: holds {info.filename} twice")
                self._members[name] = info
        self._streams: dict[str, io.BufferedIOBase] = {}

    def files(self) -> list[str]:
        """See Storage."""
        return sorted(self._members)

    def size(self, name: str) -> int:
        """See Storage. Raises InputError for a file that is far larger than what is stored of it."""
        if name not in self._members:
            raise InputError(f"{self.path / name}: is not in the archive")
        info = self._members[name]
        if info.file_size > max(SMALL, _MOST_GROWTH * info.compress_size):
            raise InputError(
                f"{self.path / name}: says that {info.compress_size:,} bytes become {info.file_size:,}; no model does"
            )
        if info.file_size <= LARGEST_POINTER:
            with self._named(name):
                refuse_pointer(self._archive.read(info), self.path / name)
        return info.file_size

    def open(self, name: str) -> io.BufferedIOBase:
        """See Storage."""
        self.size(name)
        with self._named(name):
            return cast(io.BufferedIOBase, self._archive.open(self._members[name]))

    @contextmanager
    def at(self, name: str, offset: int) -> Iterator[Stream]:
        """See Storage."""
        if name not in self._streams:
            self._streams[name] = self.open(name)
        with self._named(name):
            stream = self._streams[name]
            if offset < stream.tell():
                stream.seek(offset)
            # Forward by reading: from Python 3.12 on, a seek in a file that is not compressed ends its CRC's check.
            while (rest := offset - stream.tell()) > 0 and stream.read(min(rest, 1 << 20)):
                pass
            yield stream

    def finish(self) -> None:
        """See Storage."""
        for name, stream in self._streams.items():
            with self._named(name):
                while stream.read(1 << 20):
                    pass

    def local(self, name: str) -> Path | None:
        """See Storage."""
        return None

    def folder(self, name: str) -> Storage:
        """See Storage."""
        return ZipStorage(self._archive, self._path, f"{self._inner}{name}/")

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Turn errors of the archive into an InputError that names the file."""
        try:
            yield
        except (*ZIP_ERRORS, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a byte before the file's beginning
                raise
            raise InputError(f"{self.path / name}: damaged or not readable ({error}); download it again") from None


def read_bytes(storage: Storage, name: str, limit: int = LARGEST_TEXT) -> bytes:
    """Read a small file whole.

    Raises:
        InputError: it is larger than `limit`, or damaged.
    """
    if (size := storage.size(name)) > limit:
        raise InputError(f"{storage.path / name}: {size:,} bytes are too many for this kind of file")
    with storage.at(name, 0) as stream:
        return stream.read(size) or b""


def in_memory(storage: Storage, name: str) -> io.BytesIO:
    """Read a file of any size whole, holding it once."""
    held, left = io.BytesIO(), storage.size(name)
    with storage.at(name, 0) as stream:
        while left > 0 and (chunk := stream.read(min(left, 1 << 20))):
            left -= held.write(chunk)
    held.seek(0)
    return held
