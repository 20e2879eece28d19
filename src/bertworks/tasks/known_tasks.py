"""Reading the rows of the tasks known by name, from their files as released.

As in the originals, a row's id is "train-17", other columns than the task's are not read, an empty text is a text, and
a label may have several spellings ("contradictory").
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bertworks.data.bad_rows import BadRows
from bertworks.data.tables import fields, json_lines
from bertworks.datasets.registry import locate_split
from bertworks.datasets.schema import Column, KnownTask, TaskFile
from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.classification.rows import ChoiceRow, Label, Row
from bertworks.tasks.ner.annotated_texts import read_cluener
from bertworks.tasks.ner.tag_files import TaggedRow, read_columns

# The values of a row: the fields of a line, or an object with names.
_Values = Sequence[str] | Mapping[str, Any]

_AnyRow = TypeVar("_AnyRow", Row, ChoiceRow)


def rows(
    task: KnownTask, data_dir: Path, split: str, bad: BadRows | None = None
) -> Iterator[Row] | Iterator[ChoiceRow] | Iterator[TaggedRow]:
    """Read the rows of a split: `ChoiceRow` for kind choice, `TaggedRow` for tags, else `Row`.

    Args:
        task: the task.
        data_dir: the folder with its files.
        split: as in `locate_split`.
        bad: collects the rows that cannot be used; None raises an error at the first one.

    Raises:
        InputError: as in `locate_split`; or for a bad row, with the file and the line: it lacks a column, its label is
            not the task's, or its score is not a number.
    """
    path, file = locate_split(task, data_dir, split)
    bad = BadRows() if bad is None else bad
    if task.kind == "tags":
        read = read_cluener if path.suffix == ".json" else read_columns
        return read(path, bad)
    if task.kind == "choice":
        return _usable_rows(task, path, file, bad, _choice_row)
    return _usable_rows(task, path, file, bad, _row)


class _Line(NamedTuple):
    """A row of a file: its file and line, its number from 0 (a header is number 0), and its values."""

    location: str
    number: int
    values: _Values

    def get(self, column: Column) -> Any:
        """Return the value of a column.

        Raises:
            _MissingError: the row lacks it.
        """
        try:
            return self.values[column]  # type: ignore[index]
        except (IndexError, KeyError):
            raise _MissingError(f"{self.location}: {self._lacks(column)}") from None

    def text(self, column: Column) -> str:
        """Return the value of a column that must be a text."""
        value = self.get(column)
        if not isinstance(value, str):
            raise InputError(f"{self.location}: {column} is not a text but {value!r:.40}")
        return value

    def _lacks(self, column: Column) -> str:
        if isinstance(column, str):
            return f"has no {column}"
        return f"has {len(self.values)} columns, and number {column + 1} is needed; is this the task's file?"


class _MissingError(InputError):
    """A row lacks a column."""


def _lines(path: Path, file: TaskFile, bad: BadRows) -> Iterator[_Line]:
    if path.suffix == ".json":
        for number, (location, values) in enumerate(json_lines(path, bad)):
            yield _Line(location, number, values)
        return
    lines = fields(path, bad)
    header = next(lines, ("", []))[1] if file.header else []
    has_names = isinstance(file.text, str)
    for number, (location, row) in enumerate(lines, int(file.header)):
        # A row that is shorter than the header lacks the last columns.
        yield _Line(location, number, dict(zip(header, row, strict=False)) if has_names else row)


def _usable_rows(
    task: KnownTask, path: Path, file: TaskFile, bad: BadRows, make: Callable[[KnownTask, TaskFile, _Line], _AnyRow]
) -> Iterator[_AnyRow]:
    """Make a row of every line that belongs to the file's rows (see `TaskFile.only`) and can be used."""
    found, used = False, False
    for line in _lines(path, file, bad):
        try:
            if file.only and line.get(file.only[0]) != file.only[1]:
                continue
            found = True
            if file.label is not None and line.get(file.label) in task.left_out:
                continue
            row = make(task, file, line)
        except InputError as problem:
            if task.incomplete_rows and isinstance(problem, _MissingError):
                bad.notes.append(str(problem))
            else:
                bad.found(str(problem))
            continue
        used = True
        yield row
    if not used and (found or bad.of(path)):
        raise bad.nothing_left(path)
    if not used:
        which = f" with {file.only[1]} in column {file.only[0]}" if file.only else ""
        raise InputError(f"{path}: has no rows{which}")


def _row(task: KnownTask, file: TaskFile, line: _Line) -> Row:
    pair = None if file.pair is None else line.text(file.pair)
    label = None if file.label is None else _label(task, line, str(line.get(file.label)))
    return Row(line.location, _id(file, line), line.text(file.text), pair, label)


def _choice_row(task: KnownTask, file: TaskFile, line: _Line) -> ChoiceRow:
    beginning = "" if file.pair is None else line.text(file.pair)
    choices = tuple(f"{beginning} {line.text(column)}".strip() for column in file.choices)
    label = None
    if file.label is not None:
        written = str(line.get(file.label))
        if written not in map(str, range(len(choices))):
            raise InputError(f"{line.location}: {written!r:.40} is no choice; they are 0 to {len(choices) - 1}")
        label = int(written)
    return ChoiceRow(line.location, _id(file, line), line.text(file.text), choices, label)


def _id(file: TaskFile, line: _Line) -> str:
    return f"{file.split}-{line.number if file.id is None else line.get(file.id)}"


def _label(task: KnownTask, line: _Line, written: str) -> Label:
    if task.kind == "regression":
        return score(line.location, written)
    label = task.spellings.get(written, written)
    if label not in task.labels:
        raise InputError(f"{line.location}: {unknown(label, task.labels)}")
    return label


def score(location: str, written: str) -> float:
    """Return a label that is a number.

    Raises:
        InputError: it is not a number, or not finite; the message begins with `location`.
    """
    try:
        value = float(written)
    except ValueError:
        raise InputError(f"{location}: the score {written!r:.40} is not a number") from None
    if not math.isfinite(value):
        raise InputError(f"{location}: the score is {value}; give a number")
    return value


def unknown(label: str, labels: Sequence[str]) -> str:
    """Return the message for an unknown label, with the nearest known one."""
    near = difflib.get_close_matches(label, labels, 1, 0.6)
    hint = f"did you mean {listed(near)}?" if near else f"known are {listed(labels)}"
    return f"{label!r:.60} is no label; {hint}"
