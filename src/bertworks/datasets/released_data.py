"""Bringing a released data set to a folder: downloaded, checked, and unpacked whole or not at all."""

from __future__ import annotations

from pathlib import Path

from bertworks.datasets.archives import unpack
from bertworks.datasets.download import download_file
from bertworks.datasets.schema import DataSet
from bertworks.errors import InputError
from bertworks.files import write_text

# Bytes accepted of a file whose size nobody has published.
_LARGEST = 256 << 20

# The files that GLUE makes from those of MRPC.
_MRPC = ("train.tsv", "dev.tsv", "test.tsv")


def fetch(data: DataSet, data_dir: Path) -> Path:
    """Bring the files of a data set that are missing to its folder below `data_dir`.

    Returns:
        the folder.

    Raises:
        InputError: a file cannot be downloaded, or another one came; the message tells what to download by hand, and
            where to put it.
    """
    folder = data_dir / data.folder
    if not data.files:
        raise InputError(f"{data.name}: no address to download it from is known; {data.remark} {folder} ({data.home})")
    for remote in data.files:
        if remote.is_in(folder):
            continue
        path = download_file(remote, folder, data.name, _LARGEST)
        if remote.unpack:
            try:
                unpack(path, remote)
            except InputError as error:
                raise InputError(f"{path}: {error}; remove it and try again, or see {data.home}") from None
    if data.name == "MRPC" and not all((folder / name).is_file() for name in _MRPC):
        make_mrpc(folder)
    return folder


def make_mrpc(folder: Path) -> None:
    """Make GLUE's train.tsv, dev.tsv and test.tsv from the three files of MRPC, as `download_glue_data.py` does.

    The header of the first two keeps the byte order mark of the release. The test set gets an index instead of its
    labels.

    Raises:
        InputError: a row does not have five columns, or a file is not UTF-8.
    """
    dev_ids = {tuple(row) for row in _rows(folder / "dev_ids.tsv", 2)}
    header, *rows = _rows(folder / "msr_paraphrase_train.txt", 5)
    _, *test = _rows(folder / "msr_paraphrase_test.txt", 5)
    of_dev = [row for row in rows if tuple(row[1:3]) in dev_ids]
    of_train = [row for row in rows if tuple(row[1:3]) not in dev_ids]
    test_header = ["index", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    of_test = [[str(number), *row[1:]] for number, row in enumerate(test)]
    tables = ([header, *of_train], [header, *of_dev], [test_header, *of_test])
    for name, table in zip(_MRPC, tables, strict=True):
        write_text(folder / name, "".join("\t".join(row) + "\n" for row in table))


def _rows(path: Path, columns: int) -> list[list[str]]:
    """Read the fields of every line of a file."""
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; remove it and fetch it again") from None
    rows = [line.strip().split("\t") for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) != columns:
            raise InputError(
                f"{path}, line {number}: has {len(row)} columns, not {columns}; remove it and fetch it again"
            )
    return rows
