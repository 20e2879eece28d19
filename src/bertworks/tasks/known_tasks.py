"""Reading the rows of the tasks known by name, from their files as released.

As in the originals, a row's id is "train-17", other columns than the task's are not read, an empty text is a text, and
a label may have several spellings ("contradictory").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bertworks.data.bad_rows import BadRows
from bertworks.data.json_rows import json_lines
from bertworks.data.tables import fields
from bertworks.datasets.registry import locate_split, split_names
from bertworks.datasets.schema import Column, KnownTask, TaskFile
from bertworks.errors import InputError
from bertworks.job import Setup
from bertworks.tasks.classification.problem import Problem
from bertworks.tasks.classification.rows import AnyRow, ChoiceRow, Label, Row, texts_of
from bertworks.tasks.labels import score, unknown
from bertworks.tasks.ner.annotated_texts import read_cluener
from bertworks.tasks.ner.tag_files import TaggedRow, read_columns, with_tags
from bertworks.tasks.texts import is_blank

# The values of a row: the fields of a line, or an object with names.
_Values = Sequence[str] | Mapping[str, Any]

_AnyRow = TypeVar("_AnyRow", Row, ChoiceRow)


def of_known_task(task: KnownTask, data_dir: Path, wanted: Sequence[str], bad: BadRows) -> Problem:
    """Read a task known by name; `wanted` are those of train, dev and test that are needed.

    Empty texts and repeated ids of the released files become remarks of `bad`.

    Raises:
        InputError: a file is missing or not of this task, or the task has no such set.
    """
    if task.kind == "tags":
        raise InputError(f"--task_name={task.name}: tags words; use bert run_ner")

    def read(split: str) -> list[Any]:
        found = list(rows(task, data_dir, split, bad))
        bad.remarks += _oddities(found)  # type: ignore[arg-type]
        return found

    def all_of(split: str) -> dict[str, list[AnyRow]]:
        # The original calls MNLI's dev_matched dev; the results of the other set end with _mismatched.
        names = split_names(task, split) if split in wanted else []
        if split in wanted and not names:
            locate_split(task, data_dir, split)
        return {"" if i == 0 else name.removeprefix(split): read(name) for i, name in enumerate(names)}

    return Problem(
        name=task.name,
        kind=task.kind,
        labels=task.labels,
        metrics=task.metrics,
        train=read("train") if "train" in wanted else (),
        dev=all_of("dev"),
        test=all_of("test"),
        known=task,
    )


def _oddities(rows: Sequence[Row | ChoiceRow]) -> list[str]:
    """Return remarks on empty texts and repeated ids of a released file."""
    found = []
    if blank := [row for row in rows if any(text is not None and is_blank(text) for text in chain(*texts_of(row)))]:
        found.append(f"{_rows(blank)} an empty text, the first: {blank[0].location}")
    seen: set[str] = set()
    if twice := [row for row in rows if row.id in seen or seen.add(row.id)]:  # type: ignore[func-returns-value]
        found.append(f"{_rows(twice)} the id of an earlier one, the first: {twice[0].location}, {twice[0].id!r:.60}")
    return found


def _rows(rows: Sequence[AnyRow]) -> str:
    return "1 row has" if len(rows) == 1 else f"{len(rows):,} rows have"


def read_tagged(
    task: KnownTask, data_dir: Path, setup: Setup, bad: BadRows, *, keeps_best: bool
) -> dict[str, list[TaggedRow]]:
    """Read the splits of a task known by name that are asked for.

    Args:
        keeps_best: whether the dev set decides which model is best, for a message where it is the test set.
    """
    found: dict[str, list[TaggedRow]] = {}
    for split in setup.splits:
        path, file = locate_split(task, data_dir, split)
        if split == "dev" and any(other.split == "test" and other.name == file.name for other in task.files):
            chosen = "; the best model is chosen by it too (not with --keep=last)" if keeps_best else ""
            setup.say(f"{task.name}: has no dev set; its test set is evaluated on ({path}){chosen}")
        found[split] = with_tags(split, rows(task, data_dir, split, bad))  # type: ignore[arg-type]
    return found


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
        for number, (location, values, _) in enumerate(json_lines(path, bad)):
            yield _Line(location, number, values)
        return
    lines = fields(path, bad)
    if file.header:
        next(fields(path, BadRows()), None)  # a header that is wrong cannot be left out
    header = next(lines, ("", []))[1] if file.header else []
    has_names = isinstance(file.text, str)
    for number, (location, row) in enumerate(lines, int(file.header)):
        bad.rows += 1
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
            raise InputError(f"{line.location}: {written!r:.40} is not a choice; choices are 0 to {len(choices) - 1}")
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
