"""Reading .xlsx files with openpyxl, which is an extra and is imported when it is needed.

A spreadsheet is a zip of XML. What it says of its size is checked before anything of it is read. A cell is what a
person sees in it, as far as that is one text: 3 and not 3.0, a date without a time at midnight, 25% and not 0.25.
"""

from __future__ import annotations

import datetime
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited_tables import SAMPLE
from bertworks.errors import InputError, one_line
from bertworks.foreign import HEAD_BYTES, foreign, refuse_foreign
from bertworks.names import listed

ENDINGS = (".xlsx", ".xlsm")

# The XML of a table grows to some 20 times of what is stored; far more than this is no table.
_MOST_GROWTH = 100
_SMALL = 64 << 20
_MOST_BYTES = 4 << 30


# What damaged zips make the library raise.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)


# As many rows as the format allows; its columns have names of three letters at most.
_MOST_ROWS = 1 << 20
_FAR_CELL = re.compile(rb' r="[A-Z]{4}')


class _Cell(NamedTuple):
    """What a cell holds, the library's letter for its kind, and the format in which it is shown."""

    value: Any
    kind: str
    form: str


class Sheet(NamedTuple):
    """The first sheet of a file.

    Attributes:
        path: the file.
        width: how many columns its first rows have.
        notes: what a person should know, a line each.
    """

    path: Path
    width: int
    notes: tuple[str, ...]

    def rows(self, bad: BadRows) -> Iterator[tuple[str, list[str]]]:
        """Read the location and the cells of every row that has some."""
        for number, cells in _cells(self.path):
            texts = [_shown(cell) for cell in cells]
            while texts and not texts[-1]:
                texts.pop()
            if texts:
                yield f"{self.path}, row {number}", texts + [""] * (self.width - len(texts))


def open_sheet(path: Path) -> Sheet:
    """Look into a file.

    Raises:
        InputError: it is missing, damaged, no spreadsheet or claims too much; or openpyxl is not installed.
    """
    try:
        _check(path)
        has_formulas = _has_formulas(path)
    except _ZIP_ERRORS as error:
        refuse_foreign(path)
        raise InputError(f"{path}: is not a spreadsheet of this name, or damaged ({one_line(error)})") from None
    with _opened(path, data_only=True) as book:
        names = [sheet.title for sheet in book.worksheets]
    notes = []
    if len(names) > 1:
        notes.append(
            f"{path}: of {len(names)} sheets ({listed(names)}) the first is read; save another in its own file"
        )
    width = uncomputed = wrong = 0
    for number, cells in _cells(path):
        wrong += sum(cell.kind == "e" for cell in cells)
        if number <= SAMPLE:
            width = max(width, len(cells))
    if has_formulas:
        pairs = zip(_cells(path), _cells(path, data_only=False), strict=True)
        for (_, values), (_, formulas) in pairs:
            found = zip_longest(formulas, (cell.value for cell in values[: len(formulas)]))
            uncomputed += sum(formula.kind == "f" and value is None for formula, value in found)
    if uncomputed:
        notes.append(
            f"{path}: {uncomputed:,} formulas have no value in the file and are read as empty; open it in an office "
            "program and save it"
        )
    if wrong:
        notes.append(f"{path}: {wrong:,} cells show an error such as #N/A and are read as empty")
    return Sheet(path, width, tuple(notes))


def _check(path: Path) -> None:
    """Refuse a file that is no such zip or says that it becomes too large, or has XML that grows."""
    if path.is_dir():
        raise InputError(f"{path}: a folder, not a file")
    try:
        with zipfile.ZipFile(path) as archive:
            size, parts = path.stat().st_size, archive.infolist()
            claimed = sum(part.file_size for part in parts)
            if claimed > min(max(_SMALL, _MOST_GROWTH * size), _MOST_BYTES):
                raise InputError(f"{path}: says that its {size:,} bytes become {claimed:,}; no table does")
            if "xl/workbook.xml" not in archive.namelist():
                raise InputError(f"{path}: is a zip archive and no spreadsheet")
            for part in parts:
                if part.filename.endswith((".xml", ".rels")):
                    with archive.open(part) as stream:
                        # No office program declares entities, which can grow without end.
                        if b"<!DOCTYPE" in stream.read(HEAD_BYTES):
                            raise InputError(
                                f"{path}: its part {part.filename} declares a document type; no sheet does"
                            )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None


@contextmanager
def _opened(path: Path, *, data_only: bool) -> Iterator[Any]:
    """Open a workbook, from which rows are read as they are needed."""
    try:
        import openpyxl  # noqa: PLC0415
    except ImportError:
        with path.open("rb") as stream:
            reason = foreign(stream.read(HEAD_BYTES), path)
        raise InputError(f'{path}: {reason}; or to read it as it is: pip install "bertworks[spreadsheet]"') from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions
            book = openpyxl.load_workbook(path, read_only=True, data_only=data_only, keep_links=False)
        try:
            if not book.worksheets:
                raise InputError(f"{path}: has no sheet with cells")
            yield book
        finally:
            book.close()
    except InputError:
        raise
    except Exception as error:  # damaged XML makes the library raise almost anything
        if isinstance(error, OSError) and error.errno:
            raise
        raise InputError(f"{path}: is a damaged spreadsheet ({one_line(error)}); save it again") from None


def _cells(path: Path, *, data_only: bool = True) -> Iterator[tuple[int, list[_Cell]]]:
    """Read the number and the cells of every row of the first sheet."""
    with _opened(path, data_only=data_only) as book:
        sheet = book.worksheets[0]
        # What the sheet says of its size may be wrong.
        sheet.reset_dimensions()
        rows = sheet.iter_rows(max_row=_MOST_ROWS)
        for number, row in enumerate(rows, 1):
            cells = list(row)
            while cells and cells[-1].value is None:
                cells.pop()
            yield number, [_Cell(cell.value, cell.data_type, cell.number_format or "") for cell in cells]


def _has_formulas(path: Path) -> bool:
    """Tell whether a sheet of a file has a formula.

    Raises:
        InputError: a cell is in a column that no sheet has, so that the cells before it would fill the memory.
    """
    found = False
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/"):
                with archive.open(name) as stream:
                    before = b""
                    while chunk := stream.read(1 << 20):
                        text = before + chunk
                        if _FAR_CELL.search(text):
                            raise InputError(f"{path}: {name} has a cell in a column that no sheet has")
                        found = found or b"<f>" in text or b"<f " in text
                        before = chunk[-8:]
    return found


def _shown(cell: _Cell) -> str:
    """Return what a person sees in a cell, as far as it is one text."""
    value, kind, form = cell
    if value is None or kind == "e":
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
    if isinstance(value, int | float):
        if form.endswith("%"):
            return f"{value * 100:.12g}%"
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return str(value)
