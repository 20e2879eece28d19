"""Rows in JSON: an object on each line, a list of objects, or columns as pandas writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from bertworks.data.bad_rows import BadRows
from bertworks.data.lines import Lines
from bertworks.errors import InputError, one_line


class Record(NamedTuple):
    """A row: its location for messages ("dev.csv, line 17"), its values by column, and its number in the file from 1.

    Rows that cannot be used are counted too; 0 where nobody counts.
    """

    location: str
    values: Mapping[str, Any]
    number: int = 0


def json_lines(path: Path, bad: BadRows, encoding: str | None = None) -> Iterator[Record]:
    """Read a file with one JSON object on each line. Empty lines are left out.

    Args:
        path: the file.
        bad: receives the lines that cannot be read.
        encoding: None is UTF-8.

    Raises:
        InputError: for a bad line, if `bad` raises; the file is missing.
    """
    number = 0
    with closing(Lines(path, encoding)) as lines:
        for line in lines:
            location = f"{path}, line {lines.number}"
            wrong, advice = lines.problem
            lines.begin()
            if not wrong and not line.strip():
                continue
            number += 1
            bad.rows += 1
            if wrong:
                bad.found(wrong, advice)
                continue
            problem, values = _parsed(line)
            if isinstance(values, dict):
                yield Record(location, values, number)
            else:
                expected = f": a JSON object was expected ({{...}}), not {type(values).__name__}"
                bad.found(f"{location}{problem or expected}")


def json_document(path: Path, encoding: str | None = None) -> list[Any] | None:
    """Return the objects of a file that is one JSON list, or one object of columns; None if it is lines of objects.

    An object of columns is what pandas writes: {"text": {"0": "a", "1": "b"}} or {"text": ["a", "b"]}; so are its
    orients index, {"0": {"text": "a"}}, and split, {"columns": ["text"], "data": [["a"]]}. An object with one list of
    objects, such as {"version": 1, "data": [...]}, means that list. Its orient values has rows that are lists, of one
    length; they are returned as such.

    Raises:
        InputError: it is a list and not JSON, or its items are not objects; the file is missing.
    """
    with closing(Lines(path, encoding)) as lines:
        content = filter(str.strip, lines)
        first = next(content, "").strip()
        alone = next(content, None) is None
    _, value = _parsed(first)
    begins_list = first[:1] == "[" and (value is None or alone)
    begins_object = first == "{" or (isinstance(value, dict) and alone)
    if not begins_list and not begins_object:
        return None
    if isinstance(value, dict):
        return _rows_of(value)
    with closing(Lines(path, encoding)) as lines:
        text = "".join(lines)
        if lines.problem[0]:
            problem, advice = lines.problem
            raise InputError(f"{problem} ({advice})")
    problem, value = _parsed(text)
    if value is None:
        raise InputError(f"{path}{problem}")
    rows = value if isinstance(value, list) else (_rows_of(value) or [value])
    widths = {len(row) if isinstance(row, list) else 0 for row in rows}
    if len(widths) == 1 and min(widths) > 1:
        return list(rows)
    wrong = next((i for i, row in enumerate(rows, 1) if not isinstance(row, dict)), 0)
    if wrong:
        kind = type(rows[wrong - 1]).__name__
        raise InputError(f"{path}, item {wrong}: a JSON object was expected ({{...}}), not {kind}")
    return list(rows)


def _rows_of(value: Mapping[str, Any]) -> list[Any] | None:
    """Return the rows that one object holds, as columns or in a list; None if it is a row itself."""
    if {"columns", "data"} <= value.keys() <= {"columns", "index", "data"} and _is_split(
        value["columns"], value["data"]
    ):
        return [dict(zip(value["columns"], row, strict=True)) for row in value["data"]]
    columns = list(value.values())
    if len(columns) > 1 and all(isinstance(column, dict) and column.keys() == columns[0].keys() for column in columns):
        # Rows by number; a column has no such name.
        if all(map(str.isdecimal, value)) and not all(map(str.isdecimal, columns[0])):
            return columns
        columns = [list(column.values()) for column in columns]
    if len(columns) > 1 and all(isinstance(column, list) and len(column) == len(columns[0]) > 0 for column in columns):
        return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
    lists = [column for column in columns if isinstance(column, list)]
    if len(lists) == 1 and lists[0] and all(isinstance(row, dict) for row in lists[0]):
        return list(lists[0])
    return None


def _is_split(names: Any, rows: Any) -> bool:
    """Tell whether these are the names of columns and a list of the values of each row."""
    if not isinstance(names, list) or not isinstance(rows, list) or not rows or len(set(map(str, names))) < len(names):
        return False
    return all(isinstance(name, str) for name in names) and all(
        isinstance(row, list) and len(row) == len(names) for row in rows
    )


def _parsed(text: str) -> tuple[str, Any]:
    """Return the JSON value of a text; or the end of a message about what is wrong, and None."""
    try:
        value = json.loads(text)
        if not text.isascii() or "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        place = f", line {error.lineno}" if "\n" in text.strip() else ""
        return f"{place}, column {error.colno}: not JSON ({error.msg})", None
    except UnicodeEncodeError:
        return ": half of a surrogate pair (\\ud800 to \\udfff) in a text", None
    except (ValueError, RecursionError) as error:
        return f": not JSON that can be read ({one_line(error)})", None
    return "", value
