"""A classification problem and its data, from a task known by name, from your own files, or from record files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bertworks import ragged
from bertworks.data.labelled_records import LabelledRecords, read_labelled_records
from bertworks.data.sequences import LongText, Sequences, encode, encode_windows
from bertworks.errors import InputError
from bertworks.tasks.classification import own_data
from bertworks.tasks.classification.rows import AnyRow, ChoiceRow, EncodedRow, texts_of
from bertworks.tasks.classification.task import LabelledSequences, ProblemKind
from bertworks.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from bertworks.datasets.schema import KnownTask

# The metrics of problems that are not known tasks; the first chooses the best model.
_METRICS: dict[str, tuple[str, ...]] = {
    "single": ("accuracy", "macro_f1"),
    "multi": ("micro_f1", "macro_f1", "exact_match"),
    "regression": ("pearson", "spearman"),
    "choice": ("accuracy",),
}


@dataclass(frozen=True)
class Problem:
    """A problem and its data.

    Attributes:
        name: of the task, or of the training file.
        labels: the classes in the order of the model's outputs; none for numbers and choices.
        metrics: names in `tasks.metrics`; the first chooses the best model.
        train: the training rows; none if nothing is trained.
        dev, test: rows by the ending of their results' names ("" for the usual set).
        notes: what was found out about the data, a line each.
        known: the task, if it is known by name.
        remembered: flags that a model trained on it remembers, beside those that a person gives.
        drawn: whether the dev rows were drawn from the training file.
    """

    name: str
    kind: ProblemKind
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    train: Sequence[AnyRow] = ()
    dev: Mapping[str, Sequence[AnyRow]] = field(default_factory=dict)
    test: Mapping[str, Sequence[AnyRow]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    known: KnownTask | None = None
    remembered: Mapping[str, object] = field(default_factory=dict)
    drawn: bool = False

    @property
    def classes(self) -> int:
        """The size of the head's output."""
        return max(1, len(self.labels))


def of_own_data(data: own_data.OwnData, name: str) -> Problem:
    """Return the problem of your own files."""
    return Problem(
        name=name,
        kind=data.kind,
        labels=data.labels,
        metrics=_METRICS[data.kind],
        train=data.train,
        dev={"": data.dev} if data.dev else {},
        test={"": data.test} if data.test else {},
        notes=data.notes,
        remembered=data.remembered,
        drawn=data.drawn,
    )


def of_records(
    files: Mapping[str, Sequence[Path]], name: str, labels: Sequence[str] | None, vocab_size: int, max_seq_length: int
) -> Problem:
    """Read record files of the original (`data.labelled_records`): token ids and the number of a class each.

    Args:
        files: those of train, dev and test that are needed.
        labels: the names of the classes; None names them by their numbers.
        vocab_size: the model's.
        max_seq_length: the most tokens that a text may have.

    Raises:
        InputError: with the file: damaged, another vocabulary, more classes than labels, too long, or with tags.
    """
    found: dict[str, list[AnyRow]] = {}
    for split in sorted(files, key=("train", "dev", "test").index):
        path = files[split][0]
        # The original writes an arbitrary class into a test file.
        classes = len(labels) if labels and split != "test" else None
        records = read_labelled_records(files[split], vocab_size=vocab_size, classes=classes)
        _check_records(path, records, max_seq_length)
        if split == "train" and len(there := np.unique(records.labels)) == 1:
            raise InputError(f"{path}: all {len(records.labels):,} examples have the label {there[0]}; two are needed")
        if not labels and split == "test":
            raise InputError(f"{path}: the classes are not known; give --labels=a,b,c")
        # The training records define the classes; others must not have more.
        labels = labels or tuple(map(str, range(int(records.labels.max()) + 1)))
        found[split] = list(_encoded(split, path, records, labels))
    return Problem(
        name=name,
        kind="single",
        labels=tuple(labels or ()),
        metrics=_METRICS["single"],
        train=found.get("train", ()),
        dev={"": found["dev"]} if "dev" in found else {},
        test={"": found["test"]} if "test" in found else {},
    )


def _check_records(path: Path, records: LabelledRecords, max_seq_length: int) -> None:
    if records.has_tags:
        raise InputError(f"{path}: has a tag for every token; use bert run_ner")
    if (longest := int(records.sequences.lengths.max())) > max_seq_length:
        raise InputError(f"{path}: has texts of {longest} tokens; give --max_seq_length={longest}")


def _encoded(split: str, path: Path, records: LabelledRecords, labels: Sequence[str] | None) -> Iterator[EncodedRow]:
    sequences = records.sequences
    for i, (begin, end) in enumerate(pairwise(sequences.starts.tolist())):
        number = int(records.labels[i])
        label = None if split == "test" else labels[number] if labels else str(number)
        yield EncodedRow(f"{path}: record {i}", str(i), sequences.ids[begin:end], int(sequences.first[i]), label)


def encode_rows(
    problem: Problem,
    rows: Sequence[AnyRow],
    tokenizer: Tokenizer,
    max_seq_length: int,
    long_text: LongText = "truncate",
    stride: int = 1,
) -> LabelledSequences:
    """Tokenize rows for the model; see `data.sequences.encode` and `encode_windows` for the last two arguments."""
    ids, labels = [row.id for row in rows], _labels(problem, rows)
    if encoded := [row for row in rows if isinstance(row, EncodedRow)]:
        starts = ragged.starts([len(row.ids) for row in encoded])
        first = np.array([row.first for row in encoded], np.int64)
        return LabelledSequences(ids, Sequences(np.concatenate([row.ids for row in encoded]), starts, first), labels)
    texts = (pair for row in rows for pair in texts_of(row))
    if long_text == "window":
        sequences, counts = encode_windows(tokenizer, texts, max_seq_length, stride)
        return LabelledSequences(ids, sequences, labels, counts)
    counts = np.array([len(row.choices) if isinstance(row, ChoiceRow) else 1 for row in rows], np.int64)
    return LabelledSequences(ids, encode(tokenizer, texts, max_seq_length, long_text), labels, counts)


def _labels(problem: Problem, rows: Sequence[AnyRow]) -> NDArray[Any] | None:
    """Return the labels of rows as arrays (see `LabelledSequences`); None if a row has none."""
    if any(row.label is None for row in rows):
        return None
    labels: list[Any] = [row.label for row in rows]
    number = {label: i for i, label in enumerate(problem.labels)}
    if problem.kind == "multi":
        result = np.zeros((len(rows), problem.classes), np.float32)
        for i, names in enumerate(labels):
            result[i, [number[name] for name in names]] = 1
        return result
    if problem.kind == "single":
        return np.array([number[label] for label in labels], np.int64)
    return np.array(labels, np.float32 if problem.kind == "regression" else np.int64)
