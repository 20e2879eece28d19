"""Your own labelled texts, from .csv, .tsv, .jsonl and .parquet: the columns, the kind of problem, the labels.

What a person does not give is found in the files, and `OwnData.notes` tells it. The second text of a pair may be empty:
it then counts as a single text, as in the original.

Kind. Lists, or labels with a separator, are several classes at once ("multi"). If all labels are numbers, and one of
them is not whole or more than 150 are different, they are scores ("regression"). All else is one class a row
("single"): the stars 1 to 5 are five classes.

Labels. Those of the training rows in alphabetical order, numbers by size. A whole number has one name in every
spelling: 1.0 is 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import not_
from pathlib import Path
from typing import Any, Literal

from bertworks.data.bad_rows import BadRows
from bertworks.data.tables import column, columns_of, records
from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.classification.balance import draw_dev_set
from bertworks.tasks.classification.columns import Columns, guess_columns, id_of
from bertworks.tasks.classification.rows import Label, Row
from bertworks.tasks.labels import score, unknown
from bertworks.tasks.texts import is_blank

LabelKind = Literal["single", "multi", "regression"]

# The options that are about the texts of a file, and those about its labels.
TEXT_OPTIONS = ("text_column", "pair_column", "label_column", "id_column", "label_separator", "dev_fraction")
LABEL_OPTIONS = ("labels", "kind")

# With more different numbers than this, labels are scores.
MOST_CLASSES = 150

# A whole number written with decimals.
_WHOLE = re.compile(r"-?[0-9]+\.0+")


@dataclass(frozen=True)
class OwnData:
    """The rows of your own files.

    Attributes:
        kind: of what is predicted.
        labels: the classes in the order of the model's outputs; none for regression.
        columns: those that were read.
        train, dev, test: the rows; none without a file.
        notes: what was found in the files, a line each.
    """

    kind: LabelKind
    labels: tuple[str, ...]
    columns: Columns
    train: list[Row]
    dev: list[Row]
    test: list[Row]
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How to read your own files; what is None is found in the files.

    Attributes:
        text_column, pair_column, label_column, id_column: names of columns.
        labels: the classes, in order.
        label_separator: the text between several labels of a row.
        kind: of what is predicted.
        dev_fraction: the share of the training rows that becomes the dev set, if there is no dev file.
        seed: of the draw of these rows.
        quoted: see `data.tables.records`.
    """

    text_column: str | None = None
    pair_column: str | None = None
    label_column: str | None = None
    id_column: str | None = None
    labels: tuple[str, ...] | None = None
    label_separator: str | None = None
    kind: LabelKind | None = None
    dev_fraction: float = 0.0
    seed: int = 0
    quoted: bool | None = None

    def given(self, names: Sequence[str] = TEXT_OPTIONS + LABEL_OPTIONS) -> list[str]:
        """Return which of these options are given."""
        return [name for name in names if getattr(self, name)]


def read(
    train_file: Path | None, dev_file: Path | None, test_file: Path | None, options: DataOptions, bad: BadRows
) -> OwnData:
    """Read those of the three files that are given.

    Without a training file, `options` must have the labels or the kind regression, from a trained model.

    Raises:
        InputError: with the file, and the line if there is one: a column that is missing or cannot be guessed, an empty
            text, no label or an unknown one, a score that is not a number, a repeated id, only one class.
    """
    paths = (train_file, dev_file, test_file)
    first = next(filter(None, paths), None)
    if first is None:
        raise InputError("--train_file, --dev_file, --test_file: at least one must be given")
    if not 0 <= options.dev_fraction < 1:
        raise InputError(f"--dev_fraction={options.dev_fraction}: must be at least 0 and below 1")
    given = Columns(
        text=options.text_column, pair=options.pair_column, label=options.label_column, id=options.id_column
    )
    columns = guess_columns(first, given, needs_label=bool(train_file or dev_file), quoted=options.quoted)
    raw = [_raw_rows(path, columns, options, bad) if path else [] for path in paths]
    kind = options.kind or _kind(raw[0] or raw[1], options)
    labels: tuple[str, ...] = ()
    if kind != "regression":
        labels = tuple(map(class_name, options.labels or ())) or _labels(raw[0], kind, options)
        if not labels:
            raise InputError(f"{first}: the classes are not known; give --train_file, or --labels=a,b,c")
    sets = []
    for path, rows, needs_label in zip(paths, raw, (True, True, False), strict=True):
        sets.append(_labelled(rows, kind, labels, options, bad, needs_label=needs_label))
        if path and not sets[-1]:
            raise bad.nothing_left(path)
    train, dev, test = sets
    if train_file and len({row.label for row in train}) == 1:
        what = "score" if kind == "regression" else "label"
        raise InputError(
            f"{train_file}: all {len(train):,} rows have the {what} {train[0].label!r:.60}; two are needed to learn"
        )
    notes = [f"{first}: columns: {columns}", _note_of_kind(kind, labels, columns), *_notes_of_spelling(labels)]
    if train and not dev_file and options.dev_fraction:
        drawn = draw_dev_set([row.label for row in train], options.dev_fraction, options.seed).tolist()
        train, dev = list(compress(train, map(not_, drawn))), list(compress(train, drawn))
        notes.append(f"{len(dev):,} of {len(train) + len(dev):,} training rows are the dev set (--dev_fraction)")
    return OwnData(kind, labels, columns, train, dev, test, notes)


def _raw_rows(path: Path, columns: Columns, options: DataOptions, bad: BadRows) -> list[Row]:
    """The rows of a file that have a text and an id of their own, with their labels as the file has them."""
    assert columns.text is not None
    names = columns_of(path, options.quoted)
    for name, flag in ((columns.text, "--text_column"), (columns.pair, "--pair_column")):
        if name is not None:
            column(names, name, path, flag)
    id_column = id_of(names, columns)
    lines: dict[str, str] = {}  # id -> the line of its row
    rows = []
    for number, (location, values) in enumerate(records(path, bad, options.quoted), 1):
        label = None if columns.label is None else values.get(columns.label)
        given = None if id_column is None else values.get(id_column)
        identity = str(number if given is None else given)
        problem = _problem(values, columns, label)
        if not problem and identity in lines:
            problem = f"the id {identity!r:.60} ({id_column}) is that of {lines[identity]} too"
        if problem:
            bad.found(f"{location}: {problem}")
            continue
        if given is not None:
            lines[identity] = location.rpartition(", ")[2]
        pair = None if columns.pair is None else values[columns.pair]
        rows.append(Row(location, identity, values[columns.text], pair, label))
    if not rows:
        raise bad.nothing_left(path)
    return rows


def _problem(values: Mapping[str, Any], columns: Columns, label: object) -> str:
    """Why the texts or the label of a row cannot be used; empty if they can."""
    for name in filter(None, (columns.text, columns.pair)):
        text = values.get(name)
        if text is None or (isinstance(text, str) and name == columns.text and is_blank(text)):
            return f"the text is empty ({name})"
        if not isinstance(text, str):
            return f"{name} is not a text but {text!r:.40}"
    parts = label if isinstance(label, list) else [label]
    strange = next((part for part in parts if not isinstance(part, str | int | float | None)), None)
    return "" if strange is None else f"a label is neither a text nor a number but {strange!r:.40}"


def _kind(rows: Iterable[Row], options: DataOptions) -> LabelKind:
    """The kind of problem that the labels of these rows suggest; see the beginning of this file."""
    given = [row.label for row in rows if row.label is not None]
    if options.label_separator or any(isinstance(label, list) for label in given):
        return "multi"
    numbers = [_number(label) for label in given if class_name(label)]
    finite = {number for number in numbers if number is not None and math.isfinite(number)}
    if options.labels or None in numbers or not finite:
        return "single"
    return "regression" if len(finite) > MOST_CLASSES or any(number % 1 for number in finite) else "single"


def _number(label: object) -> float | None:
    """A label as a number, also an infinite one; None if it is not a number."""
    if isinstance(label, bool) or not isinstance(label, int | float | str) or "_" in str(label):
        return None
    try:
        return float(label)
    except (ValueError, OverflowError):
        return None


def _labels(rows: Iterable[Row], kind: LabelKind, options: DataOptions) -> tuple[str, ...]:
    """The classes of these rows, in order."""
    found = {name for row in rows for name in _classes(row.label, kind, options) or ()}
    if any(_number(name) is None for name in found):
        return tuple(sorted(found))
    # NaN and infinity among numbers are mistakes, not classes.
    return tuple(sorted((name for name in found if math.isfinite(float(name))), key=lambda name: (float(name), name)))


def _classes(label: object, kind: LabelKind, options: DataOptions) -> tuple[str, ...] | None:
    """The names of a row's classes; None if it has no label."""
    if kind == "multi" and isinstance(label, str):
        parts = label.split(options.label_separator) if options.label_separator else [label]
        return tuple(dict.fromkeys(class_name(part) for part in parts if part.strip()))
    if isinstance(label, list):
        return tuple(dict.fromkeys(class_name(part) for part in label))
    return None if label is None or class_name(label) == "" else (class_name(label),)


def class_name(label: object) -> str:
    """Return the name of a class: 1.0, as columns of whole numbers with gaps are stored, is 1, also in a text."""
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    name = str(label).strip()
    return name.partition(".")[0] if _WHOLE.fullmatch(name) else name


def _labelled(
    rows: Iterable[Row],
    kind: LabelKind,
    labels: Sequence[str],
    options: DataOptions,
    bad: BadRows,
    *,
    needs_label: bool,
) -> list[Row]:
    """The rows with their labels as `Row` has them; `bad` gets those with a wrong label, or a missing one."""
    number = {label: i for i, label in enumerate(labels)}
    result = []
    for row in rows:
        classes = _classes(row.label, kind, options)
        label: Label | None = None
        try:
            if classes is None:
                if needs_label:
                    raise InputError(f"{row.location}: has no label")
            elif kind == "regression":
                label = score(row.location, str(row.label))
            elif wrong := [name for name in classes if name not in number]:
                raise InputError(f"{row.location}: {unknown(wrong[0], labels)}")
            elif kind == "multi":
                label = tuple(sorted(classes, key=number.__getitem__))
            elif len(classes) == 1:
                label = classes[0]
            else:
                raise InputError(f"{row.location}: has {len(classes)} labels, where one is expected")
        except InputError as problem:
            bad.found(str(problem))
            continue
        result.append(row._replace(label=label))
    return result


def _note_of_kind(kind: LabelKind, labels: Sequence[str], columns: Columns) -> str:
    names = listed(labels)
    if kind == "multi":
        return f"several of {len(labels)} classes at once ({names}); if each row has one, give --kind=single"
    if kind == "single":
        return f"one of {len(labels)} classes ({names}); if these are scores, give --kind=regression"
    return f"{columns.label or 'the label'} is a score (regression); if it is a class, give --kind=single"


def _notes_of_spelling(labels: Sequence[str]) -> list[str]:
    """A line about classes that differ only in capitals or blanks; none if there are no such classes."""
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault("".join(label.casefold().split()), []).append(label)
    pairs = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    note = f"{', '.join(pairs[:3])} are taken for different classes; if they are the same, write them alike"
    return [note] if pairs else []
