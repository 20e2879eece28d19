"""Reading files of rows as streams: .csv, .tsv, .txt, .json, .jsonl and .parquet.

What a person does not say about a text file is found in it: its encoding, the separator, whether fields are quoted, and
whether the first line has the names of the columns. `Table.notes` tells what is not as usual. Without a header, columns
are called 0, 1, 2, ... A column without a name is called as pandas calls it (`Unnamed: 3`).
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited import delimited_rows
from bertworks.data.json_rows import Record, json_document, json_lines
from bertworks.data.lines import Lines
from bertworks.data.parquet import class_names, parquet_columns, parquet_rows
from bertworks.data.table_guesses import find_encoding, find_header, find_quotes, find_separator
from bertworks.errors import InputError
from bertworks.foreign import refuse_foreign
from bertworks.names import listed

FORMATS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")

# How the names of columns without a name begin.
UNNAMED = "Unnamed: "

# The number of rows that are looked at to tell what the columns are.
_SAMPLE = 1000

_SEPARATOR_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How to read a text file; what is None is found in the file.

    Attributes:
        encoding: a name that Python knows.
        separator: the character between fields, or `tab`.
        header: whether the first line has the names of the columns.
        quoted: whether fields may be in quotation marks.
        remembered: those of these that a trained model remembers: they decide only where a file does not tell.
    """

    encoding: str | None = None
    separator: str | None = None
    header: bool | None = None
    quoted: bool | None = None
    remembered: frozenset[str] = frozenset()

    def check(self) -> None:
        """Refuse what nothing can be read with.

        Raises:
            InputError: names the flag.
        """
        if self.encoding is not None:
            try:
                " ".encode(self.encoding)
            except LookupError:
                known = "utf-8, utf-16, cp1252 (western), cp1251, gb18030 (Chinese), shift_jis"
                raise InputError(f"--encoding={self.encoding}: there is none of this name; such are {known}") from None
        if self.separator is not None and len(self.separator_character or "") != 1:
            raise InputError(f"--separator={self.separator}: give one character, or tab")

    @property
    def separator_character(self) -> str | None:
        """The separator itself."""
        return None if self.separator is None else _SEPARATOR_NAMES.get(self.separator, self.separator)


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
        return list(islice(self.read(BadRows("skip")), _SAMPLE))


def open_table(path: Path, reading: Reading = Reading(), known_names: Collection[str] = ()) -> Table:
    """Look into a file. The end of its name tells the format.

    Args:
        path: the file.
        reading: how to read it.
        known_names: names of columns, in lower case, that tell a header.

    Raises:
        InputError: it is missing, empty or of an unknown format, or two columns have one name.
    """
    reading.check()
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        names = class_names(path)
        notes = tuple(f"{path}: the numbers in {column} mean {listed(of)}" for column, of in names.items())
        return Table(path, parquet_columns(path), notes, reading, partial(_counted, path), names)
    refuse_foreign(path, reads_utf16=True)
    if suffix not in FORMATS:
        what = "is compressed; decompress it" if suffix in (".gz", ".bz2", ".xz") else "cannot be read"
        raise InputError(f"{path}: {what}; give a file that ends with {', '.join(FORMATS)}")
    if path.is_dir():
        raise InputError(f"{path}: a folder, not a file")
    if reading.encoding and "encoding" not in reading.remembered:
        encoding, note = reading.encoding, ""
    else:
        encoding, note = find_encoding(path, reading.encoding)
    notes = (note,) if note else ()
    if suffix in (".csv", ".tsv", ".txt"):
        return _open_delimited(path, encoding, notes, reading, known_names)
    document = json_document(path, encoding)
    if document is None:
        read = partial(_json_rows, path, encoding)
    else:
        records = [Record(f"{path}, item {i}", values, i) for i, values in enumerate(document, 1)]
        read = partial(_listed, records)
    first = islice(read(BadRows("skip")), _SAMPLE)
    columns = tuple(dict.fromkeys(name for record in first for name in record.values))
    return Table(path, columns, notes, reading, read)


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


def _open_delimited(
    path: Path, encoding: str, notes: tuple[str, ...], reading: Reading, known_names: Collection[str]
) -> Table:
    usual = "," if path.suffix.lower() == ".csv" else "\t"
    before, separator = 0, reading.separator_character
    if separator is None or "separator" in reading.remembered:
        separator, before, note = find_separator(path, encoding, separator or usual)
        notes += (note,) if note else ()
    quoted = reading.quoted
    if quoted is None:
        quoted = path.suffix.lower() == ".csv" or find_quotes(path, encoding, separator)
        if quoted and path.suffix.lower() != ".csv":
            notes += (f"{path}: its fields are in quotation marks where they need it, which are undone",)
    layout = _Layout(path, encoding, separator, quoted, before)
    # What is wrong with the header cannot be left out.
    next(layout.rows(BadRows()), None)
    first = [row for _, row in islice(layout.rows(BadRows("skip")), _SAMPLE)]
    if not first:
        raise InputError(f"{path}: is empty")
    header = reading.header
    if header is None or "header" in reading.remembered:
        header, why = find_header(first, known_names, otherwise=header)
        if not header:
            notes += (f"{path}: line 1 is a row, not the names of columns: {why}; if it has names: --header",)
    names, columns = _columns(path, first, header=header)
    if len(columns) < len(names):
        notes += (f"{path}: columns without a name and values, which are not read: {len(names) - len(columns)}",)
    found = Reading(encoding=encoding, separator=separator, header=header, quoted=quoted)
    return Table(path, columns, notes, found, partial(_delimited, layout, names, columns, header))


@dataclass(frozen=True)
class _Layout:
    """How a .csv or .tsv file is written; `before` lines stand above its header."""

    path: Path
    encoding: str
    separator: str
    quoted: bool
    before: int

    def rows(self, bad: BadRows) -> Iterator[tuple[str, list[str]]]:
        """Read the location and the fields of every row, header included."""
        with closing(Lines(self.path, self.encoding)) as lines:
            for _ in islice(lines, self.before):
                pass
            yield from delimited_rows(lines, self.separator, self.quoted, bad)


def _columns(path: Path, first: Sequence[Sequence[str]], *, header: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a file's columns, and of those that are read: all but those without a name and a value."""
    if not header:
        names = tuple(map(str, range(len(first[0]))))
        return names, names
    given = [name.strip() for name in first[0]]
    names = tuple(name or f"{UNNAMED}{i}" for i, name in enumerate(given))
    counts = Counter(names)
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise InputError(
            f"{path}: line 1 has {counts[twice[0]]} columns called {twice[0]!r}; rename all but one, or give "
            "--noheader if it is a row"
        )
    empty = {
        i for i, name in enumerate(given) if not name and not any(row[i].strip() for row in first[1:] if i < len(row))
    }
    return names, tuple(name for i, name in enumerate(names) if i not in empty)


def _delimited(
    layout: _Layout, names: Sequence[str], columns: Sequence[str], header: bool, bad: BadRows
) -> Iterator[Record]:
    rows = layout.rows(bad)
    if header:
        next(rows, None)
    before, read = bad.rows, set(columns)
    for location, row in rows:
        bad.rows += 1
        wanted, width = len(names), len(row)
        # Spreadsheets write empty cells behind the last column, and leave those of columns without a name out.
        beyond, missing = row[wanted:], names[width:]
        if not any(cell.strip() for cell in beyond) and not any(name in read for name in missing):
            values = dict(zip(names, row, strict=False))
            yield Record(location, {name: values[name] for name in columns}, bad.rows - before)
        else:
            of = "the header" if header else "line 1"
            hint = "; if each line is one text: --separator=tab" if wanted == 1 and layout.separator != "\t" else ""
            bad.found(f"{location}: has {width} field{'s' * (width != 1)}, but {of} has {wanted}{hint}")


def _json_rows(path: Path, encoding: str, bad: BadRows) -> Iterator[Record]:
    return json_lines(path, bad, encoding)


def _listed(records: Sequence[Record], bad: BadRows) -> Iterator[Record]:
    bad.rows += len(records)
    return iter(records)


def _counted(path: Path, bad: BadRows) -> Iterator[Record]:
    for number, (location, values) in enumerate(parquet_rows(path), 1):
        bad.rows += 1
        yield Record(location, values, number)
