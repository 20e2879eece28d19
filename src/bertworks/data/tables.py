"""Reading files of rows as streams: .csv, .tsv, .txt, .json, .jsonl, .parquet and .xlsx.

What a person does not say about a text file is found in it: its encoding, the separator, whether fields are quoted, and
whether the first line has the names of the columns. `Table.notes` tells what is not as usual. Without a header, columns
are called 0, 1, 2, ... A column without a name is called as pandas calls it (`Unnamed: 3`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited import delimited_rows
from bertworks.data.delimited_tables import SAMPLE, Reading, look_into, of_rows
from bertworks.data.json_rows import Record, json_document, json_lines
from bertworks.data.lines import Lines
from bertworks.data.parquet import class_names, parquet_columns, parquet_rows
from bertworks.data.spreadsheet import ENDINGS as SHEETS
from bertworks.data.spreadsheet import open_sheet
from bertworks.data.table_guesses import find_encoding
from bertworks.errors import InputError
from bertworks.files import state, unchanged
from bertworks.foreign import refuse_foreign, refuse_pipe
from bertworks.names import listed

FORMATS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", *SHEETS)


@dataclass(frozen=True)
class Table:
    """A file of rows that was looked into.

    Attributes:
        path: of the file.
        columns: their names.
        notes: what was found out about the file that is not as usual, a line each.
        reading: how it is read, as found; as it was given, for a file that is not delimited text.
        read: reads its rows.
        class_names: of columns whose numbers from 0 on are classes with these names.
    """

    path: Path
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    reading: Reading
    read: Callable[[BadRows], Iterator[Record]]
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def records(self, bad: BadRows) -> Iterator[Record]:
        """Read the rows.

        Raises:
            InputError: for a bad row, if `bad` raises; there are no rows.
        """
        found = self.read(bad)
        first = next(found, None)
        if first is not None:
            yield first
            yield from found
        elif not bad.of(self.path):
            delimited = self.path.suffix.lower() in (".csv", ".tsv", ".txt")
            raise InputError(f"{self.path}: has no rows{' below its header' if delimited else ''}")

    def sample(self) -> list[Record]:
        """Return the first rows that can be read."""
        return list(islice(self.read(BadRows("skip")), SAMPLE))


def open_table(path: Path, reading: Reading | None = None, known_names: Collection[str] = ()) -> Table:
    """Look into a file. The end of its name tells the format.

    Args:
        path: the file.
        reading: how to read it; None finds it out.
        known_names: names of columns, in lower case, that tell a header.

    Raises:
        InputError: it is missing, empty or of an unknown format, or two columns have one name.
    """
    reading = reading or Reading()
    reading.check()
    refuse_pipe(path)
    before = state(path)
    table = _opened(path, reading, known_names)
    return replace(table, read=partial(_watched, path, before, table.read))


def _watched(path: Path, before: object, read: Callable[[BadRows], Iterator[Record]], bad: BadRows) -> Iterator[Record]:
    """Read the rows of a file, which must be the one that was looked into."""
    with unchanged(path, before):
        yield from read(bad)


def _opened(path: Path, reading: Reading, known_names: Collection[str]) -> Table:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        names = class_names(path)
        notes = tuple(f"{path}: the numbers in {column} mean {listed(of)}" for column, of in names.items())
        return Table(path, parquet_columns(path), notes, reading, partial(_counted, path), names)
    if suffix in SHEETS:
        sheet = open_sheet(path)
        found = of_rows(path, sheet.rows, reading, known_names, unit="row")
        return Table(
            path, found.columns, sheet.notes + found.notes, replace(reading, header=found.reading.header), found.read
        )
    refuse_foreign(path, reads_utf16=True)
    if path.is_dir():
        raise InputError(f"{path}: a folder, not a file")
    if suffix not in FORMATS:
        what = "is compressed; decompress it" if suffix in (".gz", ".bz2", ".xz") else "cannot be read"
        raise InputError(f"{path}: {what}; give a file that ends with {', '.join(FORMATS)}")
    if reading.encoding and "encoding" not in reading.remembered:
        encoding, note = reading.encoding, ""
    else:
        encoding, note = find_encoding(path, reading.encoding)
    notes = (note,) if note else ()
    if suffix in (".csv", ".tsv", ".txt"):
        found = look_into(path, encoding, reading, known_names)
        return Table(path, found.columns, notes + found.notes, found.reading, found.read)
    document = json_document(path, encoding)
    if document is None:
        read = partial(_json_rows, path, encoding)
    else:
        if document and isinstance(document[0], list):
            document, note = _of_lists(path, document, reading.header, known_names)
            notes += (note,)
        records = [Record(f"{path}, item {i}", values, i) for i, values in enumerate(document, 1)]
        read = partial(_listed, records)
    first = islice(read(BadRows("skip")), SAMPLE)
    columns = tuple(dict.fromkeys(name for record in first for name in record.values))
    return Table(path, columns, notes, reading, read)


def _of_lists(
    path: Path, rows: Sequence[Sequence[Any]], header: bool | None, known_names: Collection[str]
) -> tuple[list[Mapping[str, Any]], str]:
    """Return rows by column of a file whose rows are lists, and a line about it."""
    if header is None:
        header = any(isinstance(name, str) and name.strip().lower() in known_names for name in rows[0])
    names = list(map(str, rows[0])) if header else list(map(str, range(len(rows[0]))))
    what = "the first has the names of the columns" if header else "their fields are the columns 0, 1, ... (--header)"
    return [dict(zip(names, row, strict=True)) for row in rows[header:]], f"{path}: its rows are lists; {what}"


def column(columns: Sequence[str], name: str, path: Path, flag: str) -> str:
    """Return the column that a name or a number (from 0; -1 is the last) means.

    Raises:
        InputError: there is none; the message lists the columns and names the nearest. `flag` is the flag to fix.
    """
    if name in columns:
        return name
    if name.removeprefix("-").isdecimal() and -len(columns) <= int(name) < len(columns):
        return columns[int(name)]
    near = difflib.get_close_matches(name, columns, 1, 0.6)
    hint = f"; did you mean {listed(near)}?" if near else ""
    raise InputError(f"{path}: has no column {name!r} ({flag}); it has {listed(columns)}{hint}")


def fields(path: Path, bad: BadRows) -> Iterator[tuple[str, list[str]]]:
    """Read the location and the fields of every row of a .csv or .tsv file in UTF-8, header included.

    Empty lines are left out. Fields of a .csv may be quoted. In a .tsv a quotation mark is an ordinary character, as in
    the files of GLUE, unless every field of the first line is in quotation marks.

    Raises:
        InputError: for a bad row, if `bad` raises; the file is missing.
    """
    separator = "," if path.suffix.lower() == ".csv" else "\t"
    with closing(Lines(path)) as lines:
        first = next(lines, "").rstrip("\r\n").split(separator)
        lines.keep(0)
        quoted = separator == "," or all(len(field) > 1 and field[0] == field[-1] == '"' for field in first)
        yield from delimited_rows(lines, separator, quoted, bad)


def _json_rows(path: Path, encoding: str, bad: BadRows) -> Iterator[Record]:
    return json_lines(path, bad, encoding)


def _listed(records: Sequence[Record], bad: BadRows) -> Iterator[Record]:
    bad.rows += len(records)
    return iter(records)


def _counted(path: Path, bad: BadRows) -> Iterator[Record]:
    for number, (location, values) in enumerate(parquet_rows(path), 1):
        bad.rows += 1
        yield Record(location, values, number)
