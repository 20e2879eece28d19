"""Which folder, or folder inside a zip, a path leads to.

A path may go on inside a zip: `models.zip/uncased_L-2_H-128_A-2` is a folder of the archive, or a zip in it.
"""

from __future__ import annotations

import errno
import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from bertworks.checkpoints.storage import (
    LARGEST_POINTER,
    SMALL,
    ZIP_ERRORS,
    FolderStorage,
    Storage,
    ZipStorage,
    in_memory,
)
from bertworks.errors import InputError
from bertworks.foreign import refuse_pointer

# Endings of the names of files that hold weights, or that list such files.
_WEIGHTS = (".index", ".safetensors", ".bin", ".params", ".ckpt", ".index.json")

# Zips inside of a zip are held in memory: all of them together may have so many times its bytes.
_MOST_NESTED = 10


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
            most = max(SMALL, _MOST_NESTED * outer.stat().st_size)
            return _in_zip(_opened(outer, outer), outer, PurePosixPath(path.relative_to(outer).as_posix()), most)
    return FolderStorage(path.parent), path.name


def _opened(file: Path | BinaryIO, path: Path) -> zipfile.ZipFile:
    """Open a zip, and check that its names stay inside it."""
    if isinstance(file, Path):
        with file.open("rb") as stream:
            refuse_pointer(stream.read(LARGEST_POINTER), path)
    try:
        archive = zipfile.ZipFile(file)
    except OSError as error:
        if error.errno in (errno.EINVAL, None):
            raise InputError(f"{path}: not a zip, or damaged ({error})") from None
        raise
    except (*ZIP_ERRORS, ValueError) as error:
        raise InputError(f"{path}: not a zip, or cut off ({error}); download it again") from None
    for info in archive.infolist():
        if "\\" in info.filename:
            raise InputError(f"{path}: holds {info.filename!r}, a name with a backslash; zip it again with plain names")
        if info.filename.startswith("/") or ".." in info.filename.split("/"):
            raise InputError(f"{path}: holds {info.filename!r}, a path that leaves the archive; it is not opened")
        if info.flag_bits & 1:
            raise InputError(f"{path}: {info.filename} is encrypted; give a zip without a password")
    return archive


def _in_zip(archive: zipfile.ZipFile, path: Path, way: PurePosixPath, most: int) -> tuple[Storage, str | None]:
    """Find the storage that `way` leads to inside the archive at `path`; zips in it may have `most` bytes together."""
    # What a file manager leaves in a zip is not meant.
    files = [i.filename for i in archive.infolist() if not i.is_dir() and not i.filename.startswith("__MACOSX/")]
    folders = {name[: name.rfind("/") + 1] for name in files}
    if way == PurePosixPath():
        return _only_model(archive, path, files, most), None
    if f"{way}/" in folders:
        return ZipStorage(archive, path, f"{way}/"), None
    for head in (way, *way.parents[:-1]):
        nested = next((name for name in (f"{head}", f"{head}.zip") if name in files and name.endswith(".zip")), None)
        if nested:
            inner, left = _nested(archive, path, nested, most)
            return _in_zip(inner, path / nested, way.relative_to(head), left)
    parent = "" if way.parent == PurePosixPath() else f"{way.parent}/"
    if parent not in folders:
        raise InputError(f"{path}: holds no {way}, only {', '.join(sorted(files)[:3])} ...")
    return ZipStorage(archive, path, parent), way.name


def _only_model(archive: zipfile.ZipFile, path: Path, files: list[str], most: int) -> Storage:
    """Find the only folder, or zip in this zip, that holds weights."""
    folders = {name[: name.rfind("/") + 1] for name in files if name.endswith(_WEIGHTS)}
    # A model folder may hold others, as the best of a training and its checkpoints.
    models = [folder for folder in folders if f"{folder}config.json" in files]
    folders = {name for name in folders if not any(name != model and name.startswith(model) for model in models)}
    found = sorted(folders | {name for name in files if name.endswith(".zip")})
    if not found:
        raise InputError(f"{path}: holds no model, only {', '.join(sorted(files)[:3]) or 'nothing'}")
    if len(found) > 1:
        raise InputError(
            f"{path}: holds {len(found)} models ({', '.join(found[:3])}{', ...' if len(found) > 3 else ''}); "
            f"name one, such as {path / next(filter(None, found))}"
        )
    if found[0].endswith(".zip"):
        inner, left = _nested(archive, path, found[0], most)
        return _in_zip(inner, path / found[0], PurePosixPath(), left)[0]
    return ZipStorage(archive, path, found[0])


def _nested(archive: zipfile.ZipFile, path: Path, name: str, most: int) -> tuple[zipfile.ZipFile, int]:
    """Open a zip inside a zip, in memory: its table of contents is at its end, and going back is slow.

    Also returns how many of `most` bytes are left.
    """
    folder, _, file = name.rpartition("/")
    outer = ZipStorage(archive, path, f"{folder}/" if folder else "")
    if (size := outer.size(file)) > most:
        raise InputError(f"{path / name}: a zip of {size:,} bytes in a zip that is far smaller; unpack it yourself")
    return _opened(in_memory(outer, file), path / name), most - size
