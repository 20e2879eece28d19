"""Files of rows, read as streams: .csv, .tsv, .jsonl and .parquet, with the line of the file that every row begins on.

Text files are UTF-8, with or without a byte order mark, and lines may end in CR LF. A .csv is quoted as spreadsheets
quote it, and a field may go on over several lines. A .tsv is taken as GLUE's files are: a quotation mark is a
character like any other; unless every field of the first line is in quotation marks.
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

# Bytes of a line. More is no table of texts, and would be read into memory in one piece.
LONGEST_LINE = 16 << 20

# Lines of a .jsonl whose names make its columns.
_LINES_FOR_COLUMNS = 1000


class Record(NamedTuple):
    """A row with its values by the names of their columns; `place` says where it stands, for messages."""

    place: str
    values: Mapping[str, Any]


def records(path: Path, bad: BadRows, quoted: bool | None = None) -> Iterator[Record]:
    """The rows of a file; what format it is in, its name says.

    Args:
        path: .csv and .tsv need a first line with the names of their columns.
        bad: gets the rows that are none.
        quoted: whether quotation marks enclose fields of a .csv or .tsv; None: see above.

    Raises:
        InputError: for a bad row, if `bad` says so; the file is in no such format, has two columns of one name, or no
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
    """The names of a file's columns; of a .jsonl, those of its first thousand lines.

    Raises:
        InputError: see `records`.
    """
    suffix = _suffix(path)
    if suffix == ".parquet":
        return parquet_columns(path)
    if suffix in (".jsonl", ".json"):
        first = islice(json_lines(path, BadRows("skip")), _LINES_FOR_COLUMNS)
        return tuple(dict.fromkeys(name for record in first for name in record.values))
    return _header(path, fields(path, BadRows(), quoted))


def column(columns: Sequence[str], name: str, path: Path, flag: str) -> str:
    """`name`, if it is one of a file's columns.

    Raises:
        InputError: it is not; says what there is and which is nearest. `flag` is the flag to mend.
    """
    if name in columns:
        return name
    near = difflib.get_close_matches(name, columns, 1, 0.6)
    hint = f"; did you mean {listed(near)}?" if near else ""
    raise InputError(f"{path}: has no column {name!r} ({flag}); it has {listed(columns)}{hint}")


def fields(path: Path, bad: BadRows, quoted: bool | None = None) -> Iterator[tuple[str, list[str]]]:
    """The place and the fields of every row of a .csv or .tsv, its header too; empty lines are left out.

    Raises:
        InputError: see `records`.
    """
    comma = _suffix(path) == ".csv"
    with _opened(path) as stream:
        if quoted is None:
            quoted = comma or _is_quoted(stream)
        lines = _Lines(path, stream)
        if quoted:
            csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
            reader: Iterator[list[str]] = csv.reader(lines, delimiter="," if comma else "\t", strict=True)
        else:
            separator = "," if comma else "\t"
            reader = (line.rstrip("\r\n").split(separator) for line in lines)
        while True:
            first = lines.number + 1
            place = f"{path}, line {first}"
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                bad.found(f"{place}: {_said_of_quotes(error)}")
                continue
            if lines.problem:
                bad.found(lines.problem)
                lines.problem = ""
            elif row and row != [""]:
                yield place, row


def starts_with(path: Path, text: str) -> bool:
    """Whether a file begins so, behind a byte order mark."""
    with _opened(path) as stream:
        return stream.read(len(BYTE_ORDER_MARK) + 4 * len(text)).removeprefix(BYTE_ORDER_MARK).startswith(text.encode())


def json_lines(path: Path, bad: BadRows) -> Iterator[Record]:
    """The objects of a file with one of them a line; empty lines are left out.

    Raises:
        InputError: see `records`.
    """
    with _opened(path) as stream:
        lines = _Lines(path, stream)
        for line in lines:
            problem, values = lines.problem, None
            lines.problem = ""
            if not problem and not line.strip():
                continue
            if not problem:
                problem, values = _parsed(line)
                problem = problem and f"{path}, line {lines.number}{problem}"
            if values is None:
                bad.found(problem)
            else:
                yield Record(f"{path}, line {lines.number}", values)


def _delimited(path: Path, bad: BadRows, quoted: bool | None) -> Iterator[Record]:
    rows = fields(path, bad, quoted)
    columns = _header(path, rows)
    for place, row in rows:
        if len(row) == len(columns):
            yield Record(place, dict(zip(columns, row, strict=True)))
        else:
            bad.found(f"{place}: has {_count(len(row), 'field')}, but the header has {len(columns)}")


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
    """Refuse a header in one piece that another separator divides; its rows would all be taken for texts."""
    ours = "," if _suffix(path) == ".csv" else "\t"
    for separator, called, remedy in (
        ("\t", "tabs", "name it .tsv"),
        (";", "';'", "save it with commas (.csv) or tabs (.tsv)"),
        (",", "commas", "name it .csv"),
    ):
        if separator != ours and all(part.strip() for part in header.split(separator)) and separator in header:
            raise InputError(f"{path}, line 1: looks separated by {called}; {remedy}")


class _Lines:
    """The lines of a file as text, numbered.

    A line that is no text comes as an empty one and sets `problem`: if it were raised from here, the reader of quoted
    fields, which asks for the lines, could not go on behind it.
    """

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self.number = 0
        self.problem = ""
        self._stream = stream

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        place = f"{self.path}, line {self.number}"
        if len(line) > LONGEST_LINE:
            raise InputError(f"{place}: is longer than {LONGEST_LINE >> 20} MB; is this a file of rows of text?")
        if self.number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            known = " (it looks like UTF-16)" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
            self.problem = self.problem or f"{place}, byte {error.start + 1}: not UTF-8{known}; convert the file"
            return "\n"
        if "\0" in text:
            self.problem = self.problem or f"{place}, column {text.index(chr(0)) + 1}: a NUL byte; is this a text file?"
            return "\n"
        return text


def _parsed(line: str) -> tuple[str, Mapping[str, Any] | None]:
    """What is wrong with a line of JSON, as the end of a message, and its object."""
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
    """Whether every field of the first line is in quotation marks."""
    first = stream.readline(LONGEST_LINE).removeprefix(BYTE_ORDER_MARK).rstrip(b"\r\n")
    stream.seek(0)
    return all(len(field) > 1 and field[:1] == field[-1:] == b'"' for field in first.split(b"\t"))


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path}: cannot be read; give a file that ends with {', '.join(FORMATS)}")
    return suffix


def _said_of_quotes(error: csv.Error) -> str:
    """What csv says, in words that help."""
    said = {
        "unexpected end of data": "a quotation mark begins a field here and nothing ends it",
        "field larger than": "a quotation mark begins a field here and nothing ends it for long",
        "expected after": 'a quotation mark inside of a quoted field; write it twice ("")',
        "new-line character": "a carriage return without a line feed; convert the line ends",
    }
    return next((words for part, words in said.items() if part in str(error)), one_line(error))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
