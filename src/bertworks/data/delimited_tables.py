"""Files of delimited text as tables: .csv, .tsv and .txt. What a person does not say about one is found in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited import Quotes, delimited_rows
from bertworks.data.json_rows import Record
from bertworks.data.lines import Lines
from bertworks.data.table_guesses import find_header, find_marks, find_quotes, find_separator, has_row_names
from bertworks.errors import InputError

# How the names of columns without a name begin.
UNNAMED = "Unnamed: "

# The number of rows that are looked at to tell what the columns are.
SAMPLE = 1000

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


Rows = Callable[[BadRows], Iterator[tuple[str, list[str]]]]


class DelimitedTable(NamedTuple):
    """What was found in a file.

    Attributes:
        columns: their names.
        notes: what is not as usual, a line each.
        reading: how the file is read.
        read: reads its rows.
    """

    columns: tuple[str, ...]
    notes: tuple[str, ...]
    reading: Reading
    read: Callable[[BadRows], Iterator[Record]]


def look_into(path: Path, encoding: str, reading: Reading, known_names: Collection[str]) -> DelimitedTable:
    """Find out how a file is written; see `tables.open_table`."""
    usual = "," if path.suffix.lower() == ".csv" else "\t"
    notes: tuple[str, ...] = ()
    before, separator = 0, reading.separator_character
    if separator is None or "separator" in reading.remembered:
        separator, before, note = find_separator(path, encoding, separator or usual)
        notes += (note,) if note else ()
    quoted = reading.quoted
    if quoted is None:
        quoted = path.suffix.lower() == ".csv" or find_quotes(path, encoding, separator)
        if quoted and path.suffix.lower() != ".csv":
            notes += (f"{path}: its fields are in quotation marks where they need it, which are undone",)
    quotes, note = find_marks(path, encoding, separator) if quoted else (Quotes(), "")
    notes += (note,) if note else ()
    rows = partial(_rows, path, encoding, separator, quoted, before, quotes)
    found = Reading(encoding=encoding, separator=separator, quoted=quoted)
    table = of_rows(path, rows, reading, known_names, one_column_hint=separator != "\t")
    return table._replace(notes=notes + table.notes, reading=replace(found, header=table.reading.header))


def of_rows(
    path: Path,
    rows: Rows,
    reading: Reading,
    known_names: Collection[str],
    *,
    unit: str = "line",
    one_column_hint: bool = False,
) -> DelimitedTable:
    """Tell the columns of rows, which are lists of fields, the names of the columns perhaps first.

    Args:
        path: the file, for messages.
        rows: reads them, with their locations.
        reading: whether there are names.
        known_names: names of columns, in lower case, that tell a header.
        unit: what a row is called in messages.
        one_column_hint: whether to advise another separator where a row has more fields than the header.

    Raises:
        InputError: there are no rows, or two columns have one name.
    """
    # What is wrong with the header cannot be left out.
    next(rows(BadRows()), None)
    first = [row for _, row in islice(rows(BadRows("skip")), SAMPLE)]
    if not first:
        raise InputError(f"{path}: is empty")
    notes: tuple[str, ...] = ()
    header = reading.header
    if header is None or "header" in reading.remembered:
        header, why = find_header(first, known_names, otherwise=header)
        if not header:
            notes += (f"{path}: {unit} 1 is a row, not the names of columns: {why}; if it has names: --header",)
    if header and has_row_names(first):
        notes += (
            f"{path}: rows have a field more than there are names: the first is the number of the row, as R writes it",
        )
        first[0] = ["", *first[0]]
        rows = partial(_with_row_names, rows)
    names, columns = _columns(path, first, header=header, unit=unit)
    if len(columns) < len(names):
        notes += (f"{path}: columns without a name and values, which are not read: {len(names) - len(columns)}",)
    hint = "; if each line is one text: --separator=tab" if one_column_hint and len(names) == 1 else ""
    of = ("the header" if header else f"{unit} 1") + f" has {len(names)}{hint}"
    read = partial(_records, rows, names, columns, header, of)
    return DelimitedTable(columns, notes, Reading(header=header), read)


def _with_row_names(rows: Rows, bad: BadRows) -> Iterator[tuple[str, list[str]]]:
    """Read rows whose header has no name for their first field."""
    found = rows(bad)
    for location, names in islice(found, 1):
        yield location, ["", *names]
    yield from found


def _rows(
    path: Path, encoding: str, separator: str, quoted: bool, before: int, quotes: Quotes, bad: BadRows
) -> Iterator[tuple[str, list[str]]]:
    """Read the location and the fields of every row, header included; `before` lines stand above the header."""
    with closing(Lines(path, encoding)) as lines:
        for _ in islice(lines, before):
            pass
        yield from delimited_rows(lines, separator, quoted, bad, quotes)


def _columns(
    path: Path, first: Sequence[Sequence[str]], *, header: bool, unit: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a file's columns, and of those that are read: all but those without a name and a value."""
    if not header:
        names = tuple(map(str, range(len(first[0]))))
        return names, names
    given = [name.strip() for name in first[0]]
    names = tuple(name or f"{UNNAMED}{i}" for i, name in enumerate(given))
    counts = Counter(names)
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise InputError(
            f"{path}: {unit} 1 has {counts[twice[0]]} columns called {twice[0]!r}; rename all but one, or give "
            "--noheader if it is a row"
        )
    empty = {
        i for i, name in enumerate(given) if not name and not any(row[i].strip() for row in first[1:] if i < len(row))
    }
    return names, tuple(name for i, name in enumerate(names) if i not in empty)


def _records(
    read: Rows, names: Sequence[str], columns: Sequence[str], header: bool, header_has: str, bad: BadRows
) -> Iterator[Record]:
    rows = read(bad)
    if header:
        next(rows, None)
    before, wanted = bad.rows, set(columns)
    for location, row in rows:
        bad.rows += 1
        width = len(row)
        # Spreadsheets write empty cells behind the last column, and leave those of columns without a name out.
        beyond, missing = row[len(names) :], names[width:]
        if not any(cell.strip() for cell in beyond) and not any(name in wanted for name in missing):
            values = dict(zip(names, row, strict=False))
            yield Record(location, {name: values[name] for name in columns}, bad.rows - before)
        else:
            bad.found(f"{location}: has {width} field{'s' * (width != 1)}, but {header_has}")
