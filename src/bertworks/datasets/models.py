"""From a name to files: a row of the zoo or a name of the Hugging Face hub, brought to the cache when first asked for.

The cache is the folder `models` in BERTWORKS_HOME (by default `bertworks` in the user's cache folder). What lies there
is used without asking the network. What was downloaded was checked when it came; what a person put there by hand is
taken as it is, except that GluonNLP's archives are compared with their checksums when they are unpacked. Archives stay
as they are, because checkpoints are read inside them; only GluonNLP's, which part the weights from their vocabulary,
are unpacked into one folder.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import urlsplit

from bertworks.datasets.download import OFFLINE, download
from bertworks.datasets.model_table import ROWS, Row, Source
from bertworks.errors import InputError
from bertworks.files import written_whole
from bertworks.progress import say

HOME = "BERTWORKS_HOME"

# Weights and two slots of an optimizer in float32, and what lies beside them.
_BYTES_PER_PARAMETER, _BESIDE = 16, 64 << 20

_HUB_NAME = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
# What ends like a file of a checkpoint, or like the original's prefixes, is a path; a mistyped one if nothing is there.
_FILE = r".*(\.(ckpt|zip|index|bin|safetensors|params|json|pt|pth|txt)|\.data-\d{5}-of-\d{5})"
# The original's flag, which names a file.
_NEVER_THE_HUB = "--init_checkpoint"
_HUB_TEXTS = ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json")
# Weights, in one piece or in several with an index; safetensors are preferred.
_HUB_WEIGHTS = (
    r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json",
    r"pytorch_model(-\d+-of-\d+)?\.bin|pytorch_model\.bin\.index\.json",
)

_CHUNK = 1 << 20
_ZIP_ERRORS = (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def cache() -> Path:
    """The folder of downloaded models."""
    if home := os.environ.get(HOME):
        return Path(home).expanduser() / "models"
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "bertworks" / "models"


def find(name: str) -> Row | None:
    """The row that a name or an alias means; None where there is none."""
    return next((row for row in ROWS if name == row.name or name in row.aliases), None)


def names() -> list[str]:
    """All names and aliases."""
    return [name for row in ROWS for name in (row.name, *row.aliases)]


def locate(name: str, flag: str) -> Path:
    """Where a model is: a path as it was given, or what a name means, downloaded if it is not in the cache.

    Args:
        name: a path; a name of the zoo, behind which `/NAME` means one model in an archive of several; or `owner/name`
            on the Hugging Face hub. What exists in the file system comes first, and what ends like a checkpoint's file
            is never taken from the hub.
        flag: where it came from, for messages; --init_checkpoint never means the hub.

    Raises:
        InputError: no such name, or it cannot be downloaded.
    """
    path = Path(name)
    leads_into_a_folder = len(path.parts) > 1 and (path.is_absolute() or Path(path.parts[0]).exists())
    if path.exists() or leads_into_a_folder or Path(f"{name}.index").exists():
        return path
    head, _, inside = name.partition("/")
    if row := find(head):
        return fetch(row) / inside
    if flag != _NEVER_THE_HUB and re.fullmatch(_HUB_NAME, name) and not re.fullmatch(_FILE, name):
        return _from_hub(name, flag)
    if len(path.parts) > 1:
        return path
    near = difflib.get_close_matches(name, names(), 3, 0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "`bert models` lists the names"
    raise InputError(f"{flag}={name}: no such file or folder, and no model of that name; {hint}")


def place_of(row: Row, root: Path | None = None) -> Path:
    """Where a row's file or folder is when it has been downloaded; `root` stands for the cache."""
    folder = (root or cache()) / row.family
    if row.family != "google":
        return folder / row.name
    # With the date, because two archives have the same name, and that name tells the casing.
    date, archive = PurePosixPath(urlsplit(row.sources[0].address).path).parts[-2:]
    return folder / date / archive


def is_cached(row: Row, root: Path | None = None) -> bool:
    """Whether everything of a row is there."""
    return not any(True for _ in _missing(row, root, row.sources))


def fetch(row: Row, root: Path | None = None, sources: Sequence[Source] | None = None) -> Path:
    """A row's file or folder, with all of its sources in it or only some, downloaded where they are not there.

    Raises:
        InputError: it cannot be downloaded, or something else came. Says what to download by hand: all that is missing.
    """
    wanted = row.sources if sources is None else sources
    for source, file in _missing(row, root, wanted):
        try:
            _download(row, source, file)
        except InputError as error:
            others = [(other, to) for other, to in _missing(row, root, wanted) if to != file and not to.exists()]
            also = "".join(f"; and {other.address} at {to}" for other, to in others)
            raise InputError(f"{error}{also}") from None
        if source.unpacked:
            _unpack(file, source.members, most_bytes(row))
    return place_of(row, root)


def _missing(row: Row, root: Path | None, sources: Sequence[Source]) -> Iterator[tuple[Source, Path]]:
    """The sources that are not there, and where each is put."""
    place = place_of(row, root)
    folder = place.parent if row.family == "google" else place
    for source in sources:
        if not all((folder / name).is_file() for name in _kept(source)):
            yield source, folder / file_name(source)


def most_bytes(row: Row) -> int:
    """The most that a row's file can reasonably have."""
    of_all = sum(each.parameters or 0 for each in ROWS if each.date == row.date)
    return _BYTES_PER_PARAMETER * (row.parameters or of_all) + _BESIDE


def file_name(source: Source) -> str:
    """What a source is called, as a file."""
    return PurePosixPath(urlsplit(source.address).path).name


def _kept(source: Source) -> tuple[str, ...]:
    """The files that stay."""
    return tuple(source.members) if source.unpacked else (file_name(source),)


def _download(row: Row, source: Source, to: Path) -> None:
    def check(path: Path) -> None:
        if to.suffix == ".zip":
            _check_zip(path, source.members, most_bytes(row))

    if not to.exists() and os.environ.get(OFFLINE) != "1":
        say(f"{row.name}: downloading {source.address} to {to}")
    download(source.address, to, description=row.name, limit=most_bytes(row), checksum=source.checksum, check=check)


def _check_zip(path: Path, members: Mapping[str, str], most: int) -> None:
    """See that an archive is whole and small enough, and that it has the members that are known."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if sum(info.file_size for info in infos) > most:
                raise InputError(f"unpacked it would have more than {most:,} bytes")
            missing = set(members) - {PurePosixPath(info.filename).name for info in infos}
            if missing:
                raise InputError(f"it holds no {min(missing)}")
            for info in infos:
                _copy(archive, info, members.get(PurePosixPath(info.filename).name))
    except InputError:
        raise
    except _ZIP_ERRORS as error:
        raise InputError(f"not a zip, or damaged: {error}") from None


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, checksum: str | None, to: BinaryIO | None = None) -> None:
    """Read a member to its end, which checks its CRC-32, and its checksum where it is known."""
    algorithm, _, expected = (checksum or "sha1:").partition(":")
    digest = hashlib.new(algorithm)
    with archive.open(info) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            if to:
                to.write(chunk)
    if checksum and digest.hexdigest() != expected:
        raise InputError(f"{info.filename} has the {algorithm} {digest.hexdigest()}, not {expected}")


def _unpack(path: Path, members: Mapping[str, str], most: int) -> None:
    """Put the known members of an archive beside it, each whole or not at all, and remove the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name, checksum in members.items():
                info = archive.getinfo(name)
                if info.file_size > most:
                    raise InputError(f"{name} would have {info.file_size:,} bytes, more than {most:,}")
                with written_whole(path.with_name(name)) as stream:
                    _copy(archive, info, checksum, stream)
    except (InputError, KeyError, *_ZIP_ERRORS) as error:
        if isinstance(error, FileNotFoundError) and all(path.with_name(name).is_file() for name in members):
            return  # another process was faster
        if isinstance(error, OSError) and error.errno:
            raise
        raise InputError(f"{path}: not the archive that belongs there ({error}); remove it") from None
    path.unlink(missing_ok=True)


def _from_hub(name: str, flag: str) -> Path:
    """A model of the Hugging Face hub, in the cache as a folder of its own once all of it is there."""
    folder = cache() / "hub" / name
    if folder.is_dir():
        return folder
    if os.environ.get(OFFLINE) == "1":
        raise InputError(
            f"{flag}={name}: no such file or folder, and not taken from the hub because {OFFLINE}=1 is set"
        )
    try:
        import huggingface_hub  # noqa: PLC0415  (an extra)
    except ImportError:
        raise InputError(
            f"{flag}={name}: no such file or folder; to take it from the Hugging Face hub: pip install bertworks[hub]"
        ) from None
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        there = huggingface_hub.list_repo_files(name)
        weights = next((found for form in _HUB_WEIGHTS if (found := [f for f in there if re.fullmatch(form, f)])), None)
        if weights is None:
            raise InputError("it has no model.safetensors and no pytorch_model.bin")
        wanted = [*weights, *(file for file in _HUB_TEXTS if file in there)]
        huggingface_hub.snapshot_download(name, local_dir=partial, allow_patterns=wanted)
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        partial.rename(folder)
    # The library lets through the errors of every library beneath it.
    except Exception as error:
        if folder.is_dir():  # another process was faster
            return folder
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{flag}={name}: no such file or folder, and not to be had from the Hugging Face hub ({reason}); "
            f"if it is a model there, put its files into {folder}"
        ) from None
    return folder
