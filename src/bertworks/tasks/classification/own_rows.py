"""The rows of your own file: their texts, ids and labels as the file has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bertworks.data.bad_rows import BadRows
from bertworks.data.tables import Table, column
from bertworks.tasks.classification.annotation_exports import answer_column, is_refused, without_choices
from bertworks.tasks.classification.columns import Columns, id_of
from bertworks.tasks.texts import is_blank


class RawRow(NamedTuple):
    """A row with its label as the file has it; of several columns of labels, the list of their values."""

    location: str
    id: str
    text: str
    pair: str | None
    label: Any


def raw_rows(
    table: Table, columns: Columns, bad: BadRows, *, named_id: bool, needs_label: bool
) -> tuple[list[RawRow], list[str]]:
    """Read the rows of a file that can be used, and lines about them.

    Args:
        table: the file.
        columns: to read.
        bad: receives the rows without a text, and those with another's id if `named_id`.
        named_id: whether a person named the column of the id. Another one that repeats is not used.
        needs_label: whether the file must have the columns of the label, as one that is learned or evaluated does.

    Raises:
        InputError: the file lacks a column; for a bad row, if `bad` raises; no row can be used.
    """
    for name in columns.text:
        column(table.columns, name, table.path, "--text_column")
    if columns.pair is not None:
        column(table.columns, columns.pair, table.path, "--pair_column")
    for name in columns.label if needs_label else ():
        column(table.columns, name, table.path, "--label_column")
    identity = id_of(table.columns, columns)
    has_labels = bool(columns.label) and all(name in table.columns for name in columns.label)
    answer = answer_column(table, columns.used)
    lines: dict[str, str] = {}  # id -> the line of its row
    rows, numbers, repeated = [], [], ""
    refused = 0
    for location, values, number in table.records(bad):
        if answer is not None and is_refused(values.get(answer)):
            refused += 1
            continue
        label = _label(values, columns, table.class_names) if has_labels else None
        given = None if identity is None else values.get(identity)
        own = str(number if given is None else given)
        problem = _problem(values, columns, label)
        if not problem and own in lines:
            repeated = repeated or f"{location} has that of {lines[own]}, {own!r:.60}"
            if named_id:
                problem = f"the id {own!r:.60} ({identity}) is that of {lines[own]} too"
        if problem:
            bad.found(f"{location}: {problem}")
            continue
        lines.setdefault(own, location.rpartition(", ")[2])
        text = " ".join(filter(None, (values.get(name) or "" for name in columns.text)))
        rows.append(RawRow(location, own, text, None if columns.pair is None else values[columns.pair], label))
        numbers.append(str(number))
    if refused:
        bad.remarks.append(
            f"{table.path}: {refused:,} rows were rejected or ignored, as their column {answer} says (prodigy), and "
            "are not used; if it says something else, call the column otherwise, or it is the label: "
            f"--label_column={answer}"
        )
    if not rows:
        raise bad.nothing_left(table.path)
    if repeated and not named_id:
        rows = [row._replace(id=number) for row, number in zip(rows, numbers, strict=True)]
        return rows, [
            f"{table.path}: {identity} is no id, as it repeats ({repeated}); predictions have the numbers of rows"
        ]
    return rows, []


def _label(values: Mapping[str, Any], columns: Columns, class_names: Mapping[str, Sequence[str]]) -> Any:
    labels = [_named(without_choices(values.get(name)), class_names.get(name, ())) for name in columns.label]
    return labels[0] if len(labels) == 1 else ["" if label is None else label for label in labels]


def _named(label: Any, names: Sequence[str]) -> Any:
    """Return a label whose number has a name, by this name; so are the labels of a list."""
    if isinstance(label, list):
        return [_named(part, names) for part in label]
    return names[label] if isinstance(label, int) and 0 <= label < len(names) else label


def _problem(values: Mapping[str, Any], columns: Columns, label: object) -> str:
    """Return why the texts or the label of a row cannot be used; empty if they can."""
    for name in (*columns.text, *filter(None, (columns.pair,))):
        text = values.get(name)
        if text is not None and not isinstance(text, str):
            return f"{name} is not a text but {text!r:.40}"
    if all(values.get(name) is None or is_blank(values[name]) for name in columns.text):
        return f"the text is empty ({', '.join(columns.text)})"
    if columns.pair is not None and values.get(columns.pair) is None:
        return f"the text is empty ({columns.pair})"
    parts = label if isinstance(label, list) else [label]
    strange = next((part for part in parts if not isinstance(part, str | int | float | None)), None)
    return "" if strange is None else f"a label is neither a text nor a number but {strange!r:.40}"
