"""Your own labelled texts, from .csv, .tsv, .jsonl and .parquet: which columns, which kind of task, which labels.

What is not said is found out where it is plain, and then said aloud (`OwnData.said`). The second text of a pair may be
empty: then there is one, as in the original.

Kind. Lists, or labels with a separator, are several classes at once ("multi"). If all labels are numbers and one of
them is not whole, or there are more than 150 different ones, they are a score to be predicted ("regression"). All else
is one class a row ("single"): the stars 1 to 5 are five classes.

Labels. Those of the training rows in alphabetical order, numbers by size. A whole number has one name however it is
written: 1.0 is 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import not_
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bertworks.data.bad_rows import BadRows
from bertworks.data.tables import column, columns_of, records
from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.classification.balance import draw
from bertworks.tasks.classification.own_columns import Columns, guess_columns, id_of
from bertworks.tasks.known_tasks import score, unknown
from bertworks.tasks.rows import Label, Row, is_blank

Kind = Literal["single", "multi", "regression"]

# What a person may say of the texts in their files, and of the labels.
OF_TEXTS = ("text_column", "pair_column", "label_column", "id_column", "label_separator", "dev_fraction")
OF_LABELS = ("labels", "kind")

# More different numbers than this are not classes.
MOST_CLASSES = 150

# A whole number that is written as one with decimals.
_WHOLE = re.compile(r"-?[0-9]+\.0+")


@dataclass(frozen=True)
class OwnData:
    """What was read.

    Attributes:
        kind: what is to be predicted.
        labels: the classes in the order of the model's outputs; none for regression.
        columns: those that were read.
        train, dev, test: the rows; empty where there is no file.
        said: what was found out, lines for a person.
    """

    kind: Kind
    labels: tuple[str, ...]
    columns: Columns
    train: list[Row]
    dev: list[Row]
    test: list[Row]
    said: list[str]


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person may say about the files; what they do not say is found out.

    Attributes:
        text_column, pair_column, label_column, id_column: names of columns.
        labels: the classes, in order.
        label_separator: what stands between several labels of a row.
        kind: what is to be predicted.
        dev_fraction: the share of the training rows that becomes the dev set, where there is no file of one.
        seed: which rows these are.
        quoted: see `data.tables.records`.
    """

    text_column: str | None = None
    pair_column: str | None = None
    label_column: str | None = None
    id_column: str | None = None
    labels: tuple[str, ...] | None = None
    label_separator: str | None = None
    kind: Kind | None = None
    dev_fraction: float = 0.0
    seed: int = 0
    quoted: bool | None = None

    def said(self, names: Sequence[str] = OF_TEXTS + OF_LABELS) -> list[str]:
        """Which of these a person has said."""
        return [name for name in names if getattr(self, name)]


class _Raw(NamedTuple):
    """A row whose label is as the file has it."""

    place: str
    id: str
    text: str
    pair: str | None
    label: Any


def read(
    train_file: Path | None, dev_file: Path | None, test_file: Path | None, wishes: Wishes, bad: BadRows
) -> OwnData:
    """Read the files there are.

    Without a training file, `wishes` must have the labels, or say that the kind is regression: a trained model knows.

    Raises:
        InputError: with the file, and the line where there is one: a column that is not there or cannot be guessed, an
            empty text, no label or an unknown one, a score that is no number, an id that occurs twice, only one class.
    """
    first = train_file or dev_file or test_file
    if first is None:
        raise InputError("--train_file, --dev_file, --test_file: at least one must be given")
    if not 0 <= wishes.dev_fraction < 1:
        raise InputError(f"--dev_fraction={wishes.dev_fraction}: must be at least 0 and below 1")
    needs_label = train_file is not None or dev_file is not None
    wished = Columns(text=wishes.text_column, pair=wishes.pair_column, label=wishes.label_column, id=wishes.id_column)
    columns = guess_columns(first, wished, needs_label=needs_label, quoted=wishes.quoted)
    raw = [_raw_rows(path, columns, wishes, bad) if path else [] for path in (train_file, dev_file, test_file)]
    kind = wishes.kind or _kind(raw[0] or raw[1], wishes)
    wished_labels = tuple(map(class_name, wishes.labels or ()))
    labels = () if kind == "regression" else wished_labels or _labels(raw[0], kind, wishes)
    if kind != "regression" and not labels:
        raise InputError(f"{first}: the classes are not known; give --train_file, or --labels=a,b,c")
    train, dev, test = (
        _labelled(rows, kind, labels, wishes, bad, needs_label)
        for rows, needs_label in zip(raw, (True, True, False), strict=True)
    )
    for path, rows in ((train_file, train), (dev_file, dev), (test_file, test)):
        if path and not rows:
            raise bad.nothing_left(path)
    if train_file:
        _check_variety(train_file, kind, train)
    said = [f"{first}: columns: {columns}", _said_of_kind(kind, labels, columns), *_said_of_spelling(labels)]
    if train and not dev_file and wishes.dev_fraction:
        drawn = draw([row.label for row in train], wishes.dev_fraction, wishes.seed).tolist()
        train, dev = list(compress(train, map(not_, drawn))), list(compress(train, drawn))
        said.append(f"{len(dev):,} of {len(train) + len(dev):,} training rows are the dev set (--dev_fraction)")
    return OwnData(kind, labels, columns, train, dev, test, said)


def _raw_rows(path: Path, columns: Columns, wishes: Wishes, bad: BadRows) -> list[_Raw]:
    """The rows of a file that have a text, an id of their own, and a label that can be one, or none."""
    assert columns.text is not None
    there = columns_of(path, wishes.quoted)
    texts = [columns.text] if columns.pair is None else [columns.text, columns.pair]
    for name, flag in zip(texts, ("--text_column", "--pair_column"), strict=False):
        column(there, name, path, flag)
    id_column = id_of(there, columns)
    seen: dict[str, str] = {}
    rows = []
    for number, (place, values) in enumerate(records(path, bad, wishes.quoted), 1):
        label = None if columns.label is None else values.get(columns.label)
        given = None if id_column is None else values.get(id_column)
        identity = str(number if given is None else given)
        problem = _problem(values, columns, label)
        if not problem and identity in seen:
            problem = f"the id {identity!r:.60} ({id_column}) is that of {seen[identity]} too"
        if problem:
            bad.found(f"{place}: {problem}")
            continue
        if given is not None:
            seen[identity] = place.rpartition(", ")[2]
        pair = None if columns.pair is None else values[columns.pair]
        rows.append(_Raw(place, identity, values[columns.text], pair, label))
    if not rows:
        raise bad.nothing_left(path)
    return rows


def _problem(values: Mapping[str, Any], columns: Columns, label: object) -> str:
    """What is wrong with the texts or the label of a row; empty where nothing is."""
    for name in filter(None, (columns.text, columns.pair)):
        text = values.get(name)
        if text is None or (isinstance(text, str) and name == columns.text and is_blank(text)):
            return f"the text is empty ({name})"
        if not isinstance(text, str):
            return f"{name} is not a text but {text!r:.40}"
    parts = label if isinstance(label, list) else [label]
    strange = next((part for part in parts if not isinstance(part, str | int | float | None)), None)
    return "" if strange is None else f"a label is neither a text nor a number but {strange!r:.40}"


def _kind(rows: Iterable[_Raw], wishes: Wishes) -> Kind:
    """See above."""
    given = [row.label for row in rows if row.label is not None]
    if wishes.label_separator or any(isinstance(label, list) for label in given):
        return "multi"
    numbers = [_number(label) for label in given if class_name(label)]
    finite = {number for number in numbers if number is not None and math.isfinite(number)}
    if wishes.labels or None in numbers or not finite:
        return "single"
    return "regression" if len(finite) > MOST_CLASSES or any(number % 1 for number in finite) else "single"


def _number(label: object) -> float | None:
    """A label as a number, infinite ones too; None if it is none."""
    if isinstance(label, bool) or not isinstance(label, int | float | str) or "_" in str(label):
        return None
    try:
        return float(label)
    except (ValueError, OverflowError):
        return None


def _labels(rows: Iterable[_Raw], kind: Kind, wishes: Wishes) -> tuple[str, ...]:
    """The classes that occur, in order."""
    found = {name for row in rows for name in _written(row.label, kind, wishes) or ()}
    numbers = {name: _number(name) for name in found}
    if None in numbers.values():
        return tuple(sorted(found))
    # What is not a number among numbers is a mistake, not a class.
    return tuple(sorted((name for name in found if math.isfinite(float(name))), key=lambda name: (float(name), name)))


def _written(label: object, kind: Kind, wishes: Wishes) -> tuple[str, ...] | None:
    """The classes of a row as they are written; None where nothing is."""
    if kind == "multi" and isinstance(label, str):
        parts = label.split(wishes.label_separator) if wishes.label_separator else [label]
        return tuple(dict.fromkeys(class_name(part) for part in parts if part.strip()))
    if isinstance(label, list):
        return tuple(dict.fromkeys(class_name(part) for part in label))
    return None if label is None or class_name(label) == "" else (class_name(label),)


def class_name(label: object) -> str:
    """A class as it is called: 1.0, as a column of whole numbers with gaps is stored, is 1, also as a text."""
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    name = str(label).strip()
    return name.partition(".")[0] if _WHOLE.fullmatch(name) else name


def _labelled(
    rows: Iterable[_Raw], kind: Kind, labels: Sequence[str], wishes: Wishes, bad: BadRows, needs_label: bool
) -> list[Row]:
    """The rows with the labels that they mean; of a test file, they need none."""
    place_of = {label: place for place, label in enumerate(labels)}
    result = []
    for row in rows:
        written = _written(row.label, kind, wishes)
        label: Label | None = None
        try:
            if written is None:
                if needs_label:
                    raise InputError(f"{row.place}: has no label")
            elif kind == "regression":
                label = score(row.place, str(row.label))
            elif strange := [name for name in written if name not in place_of]:
                raise InputError(f"{row.place}: {unknown(strange[0], labels)}")
            elif kind == "multi":
                label = tuple(sorted(written, key=place_of.__getitem__))
            elif len(written) == 1:
                label = written[0]
            else:
                raise InputError(f"{row.place}: has {len(written)} labels, where one is expected")
        except InputError as problem:
            bad.found(str(problem))
            continue
        result.append(Row(row.place, row.id, row.text, row.pair, label))
    return result


def _check_variety(path: Path, kind: Kind, rows: Sequence[Row]) -> None:
    """There must be something to learn."""
    if len({row.label for row in rows}) == 1:
        what = "score" if kind == "regression" else "label"
        raise InputError(
            f"{path}: all {len(rows):,} rows have the {what} {rows[0].label!r:.60}; two are needed to learn"
        )


def _said_of_kind(kind: Kind, labels: Sequence[str], columns: Columns) -> str:
    names = listed(labels)
    if kind == "multi":
        return f"several of {len(labels)} classes at once ({names}); if each row has one, give --kind=single"
    if kind == "single":
        return f"one of {len(labels)} classes ({names}); if these are scores, give --kind=regression"
    return f"{columns.label or 'the label'} is a score (regression); if it is a class, give --kind=single"


def _said_of_spelling(labels: Sequence[str]) -> list[str]:
    """A line where classes differ in nothing but capitals or blanks."""
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault("".join(label.casefold().split()), []).append(label)
    pairs = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    said = f"{', '.join(pairs[:3])} are taken for different classes; if they are the same, write them alike"
    return [said] if pairs else []
