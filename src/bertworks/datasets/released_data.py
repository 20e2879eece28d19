"""Bringing a released data set to a folder: downloaded, checked, and unpacked whole or not at all.

Of an archive only the files that are known are unpacked, under names from our table, so that no name in an archive
decides where something is written.
"""

from __future__ import annotations

import difflib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from bertworks.datasets.addresses import DATA_SETS, DataSet, Source
from bertworks.datasets.download import download
from bertworks.errors import InputError, one_line
from bertworks.files import write_text, written_whole
from bertworks.names import plain_name
from bertworks.progress import say

# Bytes of a file whose size nobody has published.
_LARGEST = 256 << 20

# Text does not become smaller than this by compression; what unpacks to more is no archive of text.
_MOST_COMPRESSED = 64

# What GLUE makes of MRPC.
_MRPC = ("train.tsv", "dev.tsv", "test.tsv")

_CHUNK = 1 << 20
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def find(name: str) -> DataSet:
    """The data set of a name; case, dashes, underscores and dots do not matter.

    Raises:
        InputError: there is none; says which is nearest.
    """
    by_name = {plain_name(known): data for data in DATA_SETS for known in (data.name, *data.aliases)}
    if data := by_name.get(plain_name(name)):
        return data
    near = difflib.get_close_matches(plain_name(name), by_name, 1, 0.6)
    hint = f"did you mean {by_name[near[0]].name.lower()}?" if near else "`bert download_data` lists them"
    raise InputError(f"{name}: no data set of this name; {hint}")


def fetch(data: DataSet, data_dir: Path) -> Path:
    """Bring the files of a data set, as far as they are not there, to its folder below `data_dir`.

    Returns:
        the folder.

    Raises:
        InputError: it cannot be downloaded, or something else came; says what to download by hand, and where to put it.
    """
    folder = data_dir / data.folder
    if not data.sources:
        raise InputError(f"{data.name}: no address to download it from is known; {data.remark} {folder} ({data.home})")
    for source in data.sources:
        if not is_there(source, folder):
            _fetch(data, source, folder)
    if data.name == "MRPC" and not all((folder / name).is_file() for name in _MRPC):
        make_mrpc(folder)
    return folder


def is_there(source: Source, folder: Path) -> bool:
    """Whether all that stays of a source lies in a folder."""
    return all((folder / name).is_file() for name in source.files)


def _fetch(data: DataSet, source: Source, folder: Path) -> None:
    to = folder / (source.name or PurePosixPath(urlsplit(source.address).path).name)
    if not to.exists():
        say(f"{data.name}: downloading {source.address}")
    download(
        source.address,
        to,
        description=data.name,
        size=source.size,
        limit=_LARGEST,
        checksum=source.checksum,
    )
    if source.members:
        try:
            _unpack(to, source.members)
        except InputError as error:
            raise InputError(f"{to}: {error}; remove it and try again, or see {data.home}") from None
        to.unlink()


def _unpack(path: Path, members: Mapping[str, str]) -> None:
    """Put members of an archive beside it, all of them or none.

    Raises:
        InputError: it is none, is damaged, lacks a member, or is too large; the message lacks its name.
    """
    most, missing = path.stat().st_size * _MOST_COMPRESSED, set(members)
    with ExitStack() as stack:
        try:
            for member, content in _members(path, members):
                if member not in missing:
                    raise InputError(f"holds {member} twice")
                missing.remove(member)
                target = stack.enter_context(written_whole(path.parent / members[member]))
                while chunk := content.read(_CHUNK):
                    most -= target.write(chunk)
                    if most < 0:
                        raise InputError(f"unpacks to more than {_MOST_COMPRESSED} times its size")
        except InputError:
            raise
        except _DAMAGED as error:
            raise InputError(f"not the archive that was expected ({one_line(error)})") from None
        if missing:
            raise InputError(f"holds no {min(missing)}")


def _members(path: Path, members: Mapping[str, str]) -> Iterator[tuple[str, IO[bytes]]]:
    """The members that are wanted, by their names in `members`, with their content."""

    def wanted(name: str) -> str | None:
        # macOS puts a second, hidden file beside each one.
        path = f"/{name}"
        return None if "/__MACOSX/" in path else next((end for end in members if path.endswith(f"/{end}")), None)

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if member := wanted(info.filename):
                    with archive.open(info) as content:
                        yield member, content
        return
    with tarfile.open(path) as tar:
        for entry in tar:
            if (member := wanted(entry.name)) and (extracted := tar.extractfile(entry) if entry.isfile() else None):
                yield member, extracted


def make_mrpc(folder: Path) -> None:
    """Make GLUE's train.tsv, dev.tsv and test.tsv of the three files of MRPC, as `download_glue_data.py` does.

    The header of the first two keeps the byte order mark that the release begins with; the test set gets an index in
    place of its labels.

    Raises:
        InputError: a row has not five columns, or a file is not UTF-8.
    """
    dev_ids = {tuple(row) for _, row in _rows(folder / "dev_ids.tsv", 2)}
    header, *rows = _rows(folder / "msr_paraphrase_train.txt", 5)
    _, *test = _rows(folder / "msr_paraphrase_test.txt", 5)
    of_dev = [row for _, row in rows if tuple(row[1:3]) in dev_ids]
    of_train = [row for _, row in rows if tuple(row[1:3]) not in dev_ids]
    test_header = ["index", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    of_test = [[str(number), *row[1:]] for number, (_, row) in enumerate(test)]
    tables = ([header[1], *of_train], [header[1], *of_dev], [test_header, *of_test])
    for name, table in zip(_MRPC, tables, strict=True):
        write_text(folder / name, "".join("\t".join(row) + "\n" for row in table))


def _rows(path: Path, columns: int) -> list[tuple[int, list[str]]]:
    """The numbers and the fields of the lines of a file."""
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; remove it and fetch it again") from None
    rows = [(number, line.strip().split("\t")) for number, line in enumerate(lines, 1)]
    for number, row in rows:
        if len(row) != columns:
            raise InputError(
                f"{path}, line {number}: has {len(row)} columns, not {columns}; remove it and fetch it again"
            )
    return rows
