"""Your own labelled texts, from .csv, .tsv, .json and .parquet: the columns, the kind of problem, the labels.

What a person does not give is found in the files (`columns.py`, `label_values.py`, `data/tables.py`), and
`OwnData.notes` tells it. The second text of a pair may be empty: it then counts as a single text, as in the original.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import compress
from operator import not_
from pathlib import Path
from typing import Any

from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited_tables import Reading
from bertworks.data.tables import Table, open_table
from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.classification.balance import draw_dev_set
from bertworks.tasks.classification.columns import USUAL_NAMES, ColumnFlags, Columns, guess_columns, joined
from bertworks.tasks.classification.label_values import (
    NO_LABEL,
    LabelKind,
    LabelValues,
    decide,
    is_number,
    plain_label,
)
from bertworks.tasks.classification.own_rows import RawRow, raw_rows
from bertworks.tasks.classification.rows import Label, Row
from bertworks.tasks.labels import class_name, has_comma, score, unknown

# The flags that are about the texts of a file, and those about its labels.
TEXT_FLAGS = (
    *("text_column", "pair_column", "label_column", "id_column", "label_separator", "merge_labels", "dev_fraction"),
    *("encoding", "separator", "header"),
)
LABEL_FLAGS = ("labels", "kind")


@dataclass(frozen=True)
class OwnData:
    """The rows of your own files.

    Attributes:
        kind: of what is predicted.
        labels: the classes in the order of the model's outputs; none for regression.
        columns: those that were read.
        reading: how the first file was read.
        separator: what stands between several labels of a row.
        train, dev, test: the rows; none without a file.
        notes: what was found in the files, a line each.
        drawn: whether the dev rows were drawn from the training file.
    """

    kind: LabelKind
    labels: tuple[str, ...]
    columns: Columns
    reading: Reading
    separator: str | None
    train: list[Row]
    dev: list[Row]
    test: list[Row]
    notes: list[str]
    drawn: bool = False

    @property
    def remembered(self) -> dict[str, object]:
        """The flags that read files like these again."""
        columns = self.columns
        found = {
            "text_column": joined(columns.text),
            "pair_column": columns.pair,
            "label_column": joined(columns.label),
            "label_separator": self.separator,
            "encoding": self.reading.encoding if self.reading.encoding not in ("utf-8", "utf-16", "utf-32") else None,
            "separator": self.reading.separator if self.reading.separator not in (",", "\t") else None,
            "header": False if self.reading.header is False else None,
        }
        return {flag: value for flag, value in found.items() if value is not None and value != ""}


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How to read your own files; what is None is found in the files.

    Attributes:
        columns: those that a person names, or a trained model remembers.
        reading: how text files are written.
        labels: the classes, in order.
        label_separator: the text between several labels of a row.
        kind: of what is predicted.
        merge_labels: whether labels that differ only in capitals and blanks are one class.
        dev_fraction: the share of the training rows that becomes the dev set, if there is no dev file.
        seed: of the draw of these rows.
        given: which of `TEXT_FLAGS` and `LABEL_FLAGS` a person gave.
    """

    columns: ColumnFlags = field(default_factory=ColumnFlags)
    reading: Reading = field(default_factory=Reading)
    labels: tuple[str, ...] | None = None
    label_separator: str | None = None
    kind: LabelKind | None = None
    merge_labels: bool = False
    dev_fraction: float = 0.0
    seed: int = 0
    given: tuple[str, ...] = ()


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
    names = USUAL_NAMES | options.columns.words
    tables = [open_table(path, options.reading, names) if path else None for path in paths]
    needs_label = bool(train_file or dev_file)
    main = next(table for table in tables if table)
    named = options.columns.of(main, needs_label=needs_label)
    columns = guess_columns(main, named, needs_label=needs_label)
    if not needs_label:
        # A guess could be wrong. The column of the training's labels is no guess.
        columns = replace(columns, label=named.label)
    raw: list[list[RawRow]] = []
    repeated: list[str] = []
    # A file to be predicted needs no labels.
    for table, is_labelled in zip(tables, (True, True, False), strict=True):
        rows, about = _raw_rows(table, columns, options, bad, needs_label=is_labelled)
        raw.append(rows)
        repeated += about
    shown = replace(columns, id=None) if repeated else columns
    notes = [note for table in tables if table for note in table.notes]
    notes += [f"{first}: columns: {shown}", *repeated]
    try:
        values = _decided(first, [row.label for row in raw[0] or raw[1] or raw[2]], columns, options)
    except InputError:
        if needs_label:
            raise
        # A test set needs no labels.
        values = _decided(first, [], columns, options)
    if train_file and values.kind != "regression" and not values.labels:
        raise InputError(f"{first}: no row has a label in column {joined(columns.label)!r} (--label_column)")
    if values.kind != "regression" and not (values.labels and (train_file or options.labels)):
        raise InputError(f"{first}: the classes are not known; give --train_file, or --labels=a,b,c")
    train, dev = (_labelled(rows, values, bad) for rows in raw[:2])
    test = _test_rows(raw[2], values, bad)
    for path, found in zip(paths, (train, dev, test), strict=True):
        if path and not found:
            raise bad.nothing_left(path)
    if train_file and len({row.label for row in train}) == 1:
        what = "score" if values.kind == "regression" else "label"
        raise InputError(
            f"{train_file}: all {len(train):,} rows have the {what} {train[0].label!r:.60}; two are needed to learn"
        )
    notes += [*values.notes, _note_of_kind(values, columns), *_notes_of_spelling(values.labels)]
    drawn = bool(train and not dev_file and options.dev_fraction)
    if drawn:
        chosen = draw_dev_set([row.label for row in train], options.dev_fraction, options.seed).tolist()
        train, dev = list(compress(train, map(not_, chosen))), list(compress(train, chosen))
        notes.append(f"{len(dev):,} of {len(train) + len(dev):,} training rows are the dev set (--dev_fraction)")
    return OwnData(values.kind, values.labels, columns, main.reading, values.separator, train, dev, test, notes, drawn)


def _decided(path: Path, labels: Sequence[Any], columns: Columns, options: DataOptions) -> LabelValues:
    """Return what the labels of a file mean."""
    try:
        return decide(
            labels,
            kind=options.kind,
            labels=options.labels,
            separator=options.label_separator,
            hot=columns.label if len(columns.label) > 1 else (),
            merge=options.merge_labels,
        )
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from None


def _raw_rows(
    table: Table | None, columns: Columns, options: DataOptions, bad: BadRows, *, needs_label: bool
) -> tuple[list[RawRow], list[str]]:
    if table is None:
        return [], []
    return raw_rows(table, columns, bad, named_id=options.columns.id_column is not None, needs_label=needs_label)


def _labelled(rows: Sequence[RawRow], values: LabelValues, bad: BadRows) -> list[Row]:
    """Return the rows with their labels; `bad` gets those with a wrong label, or a missing one.

    Rows whose label says that there is none are left out.
    """
    result = []
    for row in rows:
        try:
            label = _label(row, values)
            if label is None and class_name(row.label) in values.none:
                continue
            if label is None:
                raise InputError(f"{row.location}: has no label")
        except InputError as problem:
            bad.found(str(problem))
            continue
        result.append(Row(*row[:-1], label))
    return result


def _test_rows(rows: Sequence[RawRow], values: LabelValues, bad: BadRows) -> list[Row]:
    """Return the rows of a test file, which need no labels: wrong ones are remarked."""
    result = []
    for row in rows:
        label = None
        try:
            label = _label(row, values)
        except InputError as problem:
            if class_name(row.label) not in NO_LABEL:
                bad.remarks.append(f"{problem}; a test set needs no labels")
        result.append(Row(*row[:-1], label))
    return result


def _label(row: RawRow, values: LabelValues) -> Label | None:
    """Return the label of a row; None if it has none.

    Raises:
        InputError: it is wrong.
    """
    try:
        classes = values.classes(row.label)
    except InputError as problem:
        raise InputError(f"{row.location}: {problem}") from None
    if classes is None:
        return None
    if values.kind == "regression":
        written = str(row.label)
        return score(row.location, written.replace(",", ".") if has_comma(written) else written)
    if wrong := [name for name in classes if name not in values.labels]:
        raise InputError(f"{row.location}: {unknown(wrong[0], values.labels)}")
    if values.kind == "multi":
        return tuple(sorted(classes, key=values.labels.index))
    if len(classes) != 1:
        raise InputError(f"{row.location}: has {len(classes)} labels, where one is expected")
    return classes[0]


def _note_of_kind(values: LabelValues, columns: Columns) -> str:
    names = listed(values.labels)
    if values.kind == "multi":
        return f"several of {len(values.labels)} classes at once ({names}); if each row has one, give --kind=single"
    if values.kind == "single":
        scores = "; if these are scores, give --kind=regression" if all(map(is_number, values.labels)) else ""
        return f"one of {len(values.labels)} classes ({names}){scores}"
    label = ", ".join(columns.label) or "the label"
    return f"{label} is a score (regression); if it is a class, give --kind=single"


# Labels of so many letters may have typing errors; of so many classes; and how alike they are then, from 0 to 1.
_LEAST_TYPED, _MOST_TYPED, _ALIKE = 5, 200, 0.9


def _notes_of_spelling(labels: Sequence[str]) -> list[str]:
    """Return lines about classes that differ only in capitals or blanks, or in what may be a typing error."""
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(plain_label(label), []).append(label)
    pairs = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    notes = []
    if pairs:
        notes.append(f"{', '.join(pairs[:3])} are taken for different classes; if they are the same: --merge_labels")
    typed = [name for name in alike if len(name) >= _LEAST_TYPED and not any(map(str.isdigit, name))]
    near = [(a, b) for i, a in enumerate(typed[:_MOST_TYPED]) for b in get_close_matches(a, typed[i + 1 :], 1, _ALIKE)]
    if near:
        shown = ", ".join(f"{alike[a][0]!r} and {alike[b][0]!r}" for a, b in near[:3])
        notes.append(f"{shown} are nearly the same and taken for different classes; is one a typing error?")
    return notes
