"""Reading files of rows as streams: .csv, .tsv, .jsonl and .parquet. Every row comes with its line in the file.

Text files are UTF-8, with or without a byte order mark. Lines end in LF or CR LF. A .csv file is quoted as spreadsheets
quote it, and a quoted field may contain line ends. In a .tsv file a quotation mark is an ordinary character, as in the
files of GLUE, unless every field of the first line is in quotation marks.
"""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, starmap
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from bertworks.data.bad_rows import BadRows
from bertworks.data.parquet import parquet_columns, parquet_rows
from bertworks.errors import InputError, one_line
from bertworks.files import BYTE_ORDER_MARK
from bertworks.names import listed

FORMATS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")

# The most bytes in a line: a longer line is no row of texts, and it would be read into memory in one piece.
LONGEST_LINE = 16 << 20

# The number of lines of a .jsonl file that are searched for names of columns.
_LINES_FOR_COLUMNS = 1000

# What the messages of the csv module mean.
_CSV_ERRORS = {
    "unexpected end of data": "a quotation mark begins a field here and nothing ends it",
    "field larger than": "a quotation mark begins a field here and nothing ends it for long",
    "expected after": 'a quotation mark inside of a quoted field; write it twice ("")',
    "new-line character": "a carriage return without a line feed; convert the line ends",
}


class Record(NamedTuple):
    """A row: its location for messages ("dev.csv, line 17"), and its values by name of column."""

    location: str
    values: Mapping[str, Any]


def records(path: Path, bad: BadRows, quoted: bool | None = None) -> Iterator[Record]:
    """Read the rows of a file. The end of its name tells the format.

    Args:
        path: a .csv or .tsv file needs a first line with the names of its columns.
        bad: receives the rows that cannot be read.
        quoted: whether quotation marks enclose fields of a .csv or .tsv file; None decides as described above.

    Raises:
        InputError: for a bad row, if `bad` raises; the format is unknown, two columns have one name, or there are no
            rows.
    """
    suffix = _suffix(path)
    if suffix == ".parquet":
        found: Iterator[Record] = starmap(Record, parquet_rows(path))
    elif suffix in (".jsonl", ".json"):
        found = json_lines(path, bad)
    else:
        found = _delimited(path, bad, quoted)
    first = next(found, None)
    if first is not None:
        yield first
        yield from found
    elif not bad.of(path):
        raise InputError(f"{path}: has no rows{' below its header' if suffix in ('.csv', '.tsv') else ''}")


def columns_of(path: Path, quoted: bool | None = None) -> tuple[str, ...]:
    """Return the names of a file's columns; for .jsonl, those in its first thousand lines. Errors as in `records`."""
    suffix = _suffix(path)
    if suffix == ".parquet":
        return parquet_columns(path)
    if suffix in (".jsonl", ".json"):
        first = islice(json_lines(path, BadRows("skip")), _LINES_FOR_COLUMNS)
        return tuple(dict.fromkeys(name for record in first for name in record.values))
    return _header(path, fields(path, BadRows(), quoted))


def column(columns: Sequence[str], name: str, path: Path, flag: str) -> str:
    """Return `name` if it is one of a file's columns.

    Raises:
        InputError: it is not; the message lists the columns and names the nearest. `flag` is the flag to fix.
    """
    if name in columns:
        return name
    near = difflib.get_close_matches(name, columns, 1, 0.6)
    hint = f"; did you mean {listed(near)}?" if near else ""
    raise InputError(f"{path}: has no column {name!r} ({flag}); it has {listed(columns)}{hint}")


def fields(path: Path, bad: BadRows, quoted: bool | None = None) -> Iterator[tuple[str, list[str]]]:
    """Read the location and the fields of every row of a .csv or .tsv file, header included, without empty lines.

    Errors as in `records`.
    """
    separator = "," if _suffix(path) == ".csv" else "\t"
    with _opened(path) as stream:
        if quoted is None:
            quoted = separator == "," or _is_quoted(stream)
        lines = _Lines(path, stream)
        if quoted:
            csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
            rows: Iterator[list[str]] = csv.reader(lines, delimiter=separator, strict=True)
        else:
            rows = (line.rstrip("\r\n").split(separator) for line in lines)
        while True:
            location = f"{path}, line {lines.number + 1}"
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                reason = next((words for part, words in _CSV_ERRORS.items() if part in str(error)), one_line(error))
                bad.found(f"{location}: {reason}")
                continue
            if problem := lines.take_problem():
                bad.found(problem)
            elif row and row != [""]:
                yield location, row


def json_lines(path: Path, bad: BadRows) -> Iterator[Record]:
    """Read a file with one JSON object on each line. Empty lines are left out. Errors as in `records`."""
    with _opened(path) as stream:
        lines = _Lines(path, stream)
        for line in lines:
            location = f"{path}, line {lines.number}"
            if problem := lines.take_problem():
                bad.found(problem)
            elif line.strip():
                problem, values = _parsed(line)
                if values is None:
                    bad.found(f"{location}{problem}")
                else:
                    yield Record(location, values)


def _delimited(path: Path, bad: BadRows, quoted: bool | None) -> Iterator[Record]:
    rows = fields(path, bad, quoted)
    columns = _header(path, rows)
    for location, row in rows:
        if len(row) == len(columns):
            yield Record(location, dict(zip(columns, row, strict=True)))
        else:
            number = f"{len(row)} field" if len(row) == 1 else f"{len(row)} fields"
            bad.found(f"{location}: has {number}, but the header has {len(columns)}")


def _header(path: Path, rows: Iterator[tuple[str, list[str]]]) -> tuple[str, ...]:
    _, header = next(rows, ("", []))
    if not header:
        raise InputError(f"{path}: is empty")
    columns = [name.strip() for name in header]
    if len(columns) == 1:
        _check_separator(path, columns[0])
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InputError(f"{path}: has {columns.count(twice[0])} columns called {twice[0]!r}; rename all but one")
    return tuple(columns)


def _check_separator(path: Path, header: str) -> None:
    """Refuse a header of one column that another separator divides."""
    ours = "," if _suffix(path) == ".csv" else "\t"
    for separator, called, remedy in (
        ("\t", "tabs", "name it .tsv"),
        (";", "';'", "save it with commas (.csv) or tabs (.tsv)"),
        (",", "commas", "name it .csv"),
    ):
        if separator != ours and all(part.strip() for part in header.split(separator)) and separator in header:
            raise InputError(f"{path}, line 1: looks separated by {called}; {remedy}")


class _Lines:
    """The lines of a file as text, numbered from 1.

    A line that is not text comes as an empty line, and `take_problem` tells why. An exception raised here would end
    csv.reader, which could then not read the rows that follow.
    """

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.number = 0
        self._path = path
        self._stream = stream
        self._problem = ""

    def take_problem(self) -> str:
        """Return the first problem since the last call, or nothing."""
        problem, self._problem = self._problem, ""
        return problem

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        location = f"{self._path}, line {self.number}"
        if len(line) > LONGEST_LINE:
            raise InputError(f"{location}: is longer than {LONGEST_LINE >> 20} MB; is this a file of rows of text?")
        if self.number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            known = " (it looks like UTF-16)" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
            problem = f"{location}, byte {error.start + 1}: not UTF-8{known}; convert the file"
        else:
            if "\0" not in text:
                return text
            problem = f"{location}, column {text.index(chr(0)) + 1}: a NUL byte; is this a text file?"
        self._problem = self._problem or problem
        return "\n"


def _parsed(line: str) -> tuple[str, Mapping[str, Any] | None]:
    """Return the JSON object of a line; or the end of a message about what is wrong, and None."""
    try:
        values = json.loads(line)
        if not line.isascii() or "\\u" in line:
            json.dumps(values, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        return f", column {error.colno}: not JSON ({error.msg})", None
    except UnicodeEncodeError:
        return ": half of a surrogate pair (\\ud800 to \\udfff) in a text", None
    except (ValueError, RecursionError) as error:
        return f": not JSON that can be read ({one_line(error)})", None
    if not isinstance(values, dict):
        return f": a JSON object was expected ({{...}}), not {type(values).__name__}", None
    return "", values


def _opened(path: Path) -> BinaryIO:
    if path.is_dir():
        raise InputError(f"{path}: a folder, not a file")
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None


def _is_quoted(stream: BinaryIO) -> bool:
    """Tell whether every field of the first line is in quotation marks."""
    first = stream.readline(LONGEST_LINE).removeprefix(BYTE_ORDER_MARK).rstrip(b"\r\n")
    stream.seek(0)
    return all(len(field) > 1 and field[:1] == field[-1:] == b'"' for field in first.split(b"\t"))


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path}: cannot be read; give a file that ends with {', '.join(FORMATS)}")
    return suffix
