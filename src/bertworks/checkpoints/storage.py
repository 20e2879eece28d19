"""Where the files of a model lie: a folder, or a folder inside a zip, which is read without unpacking it.

A path may go on inside a zip: `models.zip/uncased_L-2_H-128_A-2` is a folder of the archive, or a zip in it.
"""

from __future__ import annotations

import errno
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, cast

from bertworks.errors import InputError
from bertworks.files import refuse_pointer

# A configuration or a vocabulary; the largest released vocabulary is 1 MB.
LARGEST_TEXT = 64 << 20

# Endings of the names of files that hold weights, or that list such files.
_WEIGHTS = (".index", ".safetensors", ".bin", ".params", ".ckpt", ".index.json")

# Weights hardly shrink, vocabularies to a half; what grows more than this from what is stored is no model.
_MOST_GROWTH = 100
_SMALL = 1 << 20

_LARGEST_POINTER = 1024

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)

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

    def files(self) -> list[str]:
        """See Storage."""
        return sorted(entry.name for entry in self.path.iterdir() if entry.is_file()) if self.path.is_dir() else []

    def size(self, name: str) -> int:
        """See Storage. Raises InputError for a pointer of Git LFS."""
        size = (self.path / name).stat().st_size
        if size <= _LARGEST_POINTER:
            refuse_pointer((self.path / name).read_bytes(), self.path / name)
        return size

    def open(self, name: str) -> io.BufferedIOBase:
        """See Storage."""
        return (self.path / name).open("rb")

    @contextmanager
    def at(self, name: str, offset: int) -> Iterator[Stream]:
        """See Storage."""
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
        if info.file_size > max(_SMALL, _MOST_GROWTH * info.compress_size):
            raise InputError(
                f"{self.path / name}: says that {info.compress_size:,} bytes become {info.file_size:,}; no model does"
            )
        if info.file_size <= _LARGEST_POINTER:
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
        except (*_ZIP_ERRORS, OSError) as error:
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


def find_storage(path: Path) -> tuple[Storage, str | None]:
    """Find the storage that a path leads to, and the name of a file in it; None where the path is the storage itself.

    The name may also be a checkpoint's prefix. The path of a zip alone leads to the only folder in it with weights.

    Raises:
        InputError: a zip that is damaged, or whose names leave it, or whose folder has to be named.
    """
    if path.is_dir():
        return FolderStorage(path), None
    for outer in (path, *path.parents):
        if outer.suffix.lower() == ".zip" and outer.is_file():
            return _in_zip(_opened(outer, outer), outer, PurePosixPath(path.relative_to(outer).as_posix()))
    return FolderStorage(path.parent), path.name


def _opened(file: Path | BinaryIO, path: Path) -> zipfile.ZipFile:
    """Open a zip, and check that its names stay inside it."""
    if isinstance(file, Path):
        with file.open("rb") as stream:
            refuse_pointer(stream.read(_LARGEST_POINTER), path)
    try:
        archive = zipfile.ZipFile(file)
    except OSError as error:
        if error.errno in (errno.EINVAL, None):
            raise InputError(f"{path}: not a zip, or damaged ({error})") from None
        raise
    except (*_ZIP_ERRORS, ValueError) as error:
        raise InputError(f"{path}: not a zip, or cut off ({error}); download it again") from None
    for info in archive.infolist():
        if "\\" in info.filename:
            raise InputError(f"{path}: holds {info.filename!r}, a name with a backslash; zip it again with plain names")
        if info.filename.startswith("/") or ".." in info.filename.split("/"):
            raise InputError(f"{path}: holds {info.filename!r}, a path that leaves the archive; it is not opened")
        if info.flag_bits & 1:
            raise InputError(f"{path}: {info.filename} is encrypted; give a zip without a password")
    return archive


def _in_zip(archive: zipfile.ZipFile, path: Path, way: PurePosixPath) -> tuple[Storage, str | None]:
    """Find the storage that `way` leads to inside the archive at `path`."""
    # What a file manager leaves in a zip is not meant.
    files = [i.filename for i in archive.infolist() if not i.is_dir() and not i.filename.startswith("__MACOSX/")]
    folders = {name[: name.rfind("/") + 1] for name in files}
    if way == PurePosixPath():
        return _only_model(archive, path, files), None
    if f"{way}/" in folders:
        return ZipStorage(archive, path, f"{way}/"), None
    for head in (way, *way.parents[:-1]):
        nested = next((name for name in (f"{head}", f"{head}.zip") if name in files and name.endswith(".zip")), None)
        if nested:
            return _in_zip(_nested(archive, path, nested), path / nested, way.relative_to(head))
    parent = "" if way.parent == PurePosixPath() else f"{way.parent}/"
    if parent not in folders:
        raise InputError(f"{path}: holds no {way}, only {', '.join(sorted(files)[:3])} ...")
    return ZipStorage(archive, path, parent), way.name


def _only_model(archive: zipfile.ZipFile, path: Path, files: list[str]) -> Storage:
    """Find the only folder, or zip in this zip, that holds weights."""
    folders = {name[: name.rfind("/") + 1] for name in files if name.endswith(_WEIGHTS)}
    found = sorted(folders | {name for name in files if name.endswith(".zip")})
    if not found:
        raise InputError(f"{path}: holds no model, only {', '.join(sorted(files)[:3]) or 'nothing'}")
    if len(found) > 1:
        raise InputError(
            f"{path}: holds {len(found)} models ({', '.join(found[:3])}{', ...' if len(found) > 3 else ''}); "
            f"name one, such as {path / next(filter(None, found))}"
        )
    if found[0].endswith(".zip"):
        return _in_zip(_nested(archive, path, found[0]), path / found[0], PurePosixPath())[0]
    return ZipStorage(archive, path, found[0])


def _nested(archive: zipfile.ZipFile, path: Path, name: str) -> zipfile.ZipFile:
    """Open a zip inside a zip, in memory: its table of contents is at its end, and going back is slow."""
    folder, _, file = name.rpartition("/")
    outer = ZipStorage(archive, path, f"{folder}/" if folder else "")
    return _opened(io.BytesIO(read_bytes(outer, file, outer.size(file))), path / name)
