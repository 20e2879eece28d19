"""What is to be classified, whether it came from a task known by name or from somebody's own files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.data.sequences import encode
from bertworks.data.tables import BadRows
from bertworks.errors import InputError
from bertworks.tasks import datasets, own_data
from bertworks.tasks.classification import Kind, Labelled
from bertworks.tasks.known_task import KnownTask
from bertworks.tasks.rows import ChoiceRow, Row
from bertworks.text.tokenizer import Tokenizer

AnyRow = Row | ChoiceRow

# What decides, and what is shown beside it, where no task says so.
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
        metrics: names of `tasks.metrics`, the one that decides first.
        train: its rows; empty where nothing is trained.
        dev, test: rows by what their files' names end with ("" for the usual one).
        said: what was found out about the data, lines for a person.
        known: the task, where it is one known by name.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    train: Sequence[AnyRow] = ()
    dev: Mapping[str, Sequence[AnyRow]] = field(default_factory=dict)
    test: Mapping[str, Sequence[AnyRow]] = field(default_factory=dict)
    said: Sequence[str] = ()
    known: KnownTask | None = None

    @property
    def classes(self) -> int:
        """The size of the head's output."""
        return max(1, len(self.labels))


def of_known_task(task: KnownTask, data_dir: Path, wanted: Sequence[str], bad: BadRows) -> Problem:
    """A task known by name; `wanted` are train, dev and test, as far as they are needed.

    Raises:
        InputError: a file is not there or not of this task.
    """
    if task.kind == "tags":
        raise InputError(f"--task_name={task.name}: tags words; use bert run_ner")

    def read(split: str) -> list[Any]:
        return list(datasets.rows(task, data_dir, split, bad))

    def all_of(split: str) -> dict[str, list[AnyRow]]:
        # MNLI's dev_matched is what the original calls dev; the other set's results end with _mismatched.
        names = datasets.split_names(task, split) if split in wanted else []
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


def of_own_data(data: own_data.OwnData, name: str) -> Problem:
    """Somebody's own files."""
    return Problem(
        name=name,
        kind=data.kind,
        labels=data.labels,
        metrics=_METRICS[data.kind],
        train=data.train,
        dev={"": data.dev} if data.dev else {},
        test={"": data.test} if data.test else {},
        said=data.said,
    )


def labelled(problem: Problem, rows: Sequence[AnyRow], tokenizer: Tokenizer, max_seq_length: int) -> Labelled:
    """Rows as the model takes them."""
    texts = (pair for row in rows for pair in _texts(row))
    return Labelled([row.id for row in rows], encode(tokenizer, texts, max_seq_length), _labels(problem, rows))


def _texts(row: AnyRow) -> Iterable[tuple[str, str | None]]:
    if isinstance(row, ChoiceRow):
        return [(row.text, choice) for choice in row.choices]
    return [(row.text, row.pair)]


def _labels(problem: Problem, rows: Sequence[AnyRow]) -> NDArray[Any] | None:
    """What is right for each row; None where a row has none."""
    if any(row.label is None for row in rows):
        return None
    labels: list[Any] = [row.label for row in rows]
    number = {label: i for i, label in enumerate(problem.labels)}
    if problem.kind == "multi":
        return _several([[number[one] for one in several] for several in labels], problem.classes)
    if problem.kind == "single":
        return np.array([number[label] for label in labels], np.int64)
    return np.array(labels, np.float32 if problem.kind == "regression" else np.int64)


def _several(rows: Sequence[Sequence[int]], classes: int) -> NDArray[np.float32]:
    result = np.zeros((len(rows), classes), np.float32)
    for i, there in enumerate(rows):
        result[i, list(there)] = 1
    return result
