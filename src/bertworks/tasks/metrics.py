"""The metrics of GLUE, CLUE and the original's recipes, on plain arrays.

Every metric is a short formula; the tests check it against scikit-learn and scipy. Where a formula has no value (no
positive example, all predictions equal) the result is 0, as in scikit-learn, so that checkpoints can always be compared
and a collapsed model has a bad score.

Shapes: N examples, C classes. Classes are int64 [N], several labels at once 0 or 1 in [N, C], scores floats [N].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError

Labels = NDArray[Any]


class Counts(NamedTuple):
    """How often a class, or a type of entity, was predicted correctly, was predicted, and was the label."""

    correct: int
    predicted: int
    actual: int

    @property
    def precision(self) -> float:
        """The share of predictions that are correct."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of labels that were predicted."""
        return self.correct / self.actual if self.actual else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.correct / (self.predicted + self.actual) if self.predicted + self.actual else 0.0


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sums of the counts, for micro averages."""
    return Counts(*np.array([(0, 0, 0), *counts]).sum(0).tolist())


def accuracy(labels: Labels, predictions: Labels) -> float:
    """Return the share of correct examples; with several classes at once, all classes of an example must be correct."""
    right = labels == predictions
    return float(np.mean(right if right.ndim == 1 else right.all(1)))


def f1(labels: Labels, predictions: Labels) -> float:
    """Return F1 of class 1, the score of MRPC and QQP."""
    return per_class(labels, predictions, max(2, _classes(labels, predictions)))[1].f1


def macro_f1(labels: Labels, predictions: Labels) -> float:
    """Return the mean F1 of the classes that occur or were predicted; with several classes at once, of all classes."""
    counts = _counts(labels, predictions)
    if labels.ndim == 1:
        counts = [count for count in counts if count.predicted or count.actual]
    return float(np.mean([count.f1 for count in counts]))


def micro_f1(labels: Labels, predictions: Labels) -> float:
    """Return F1 of all decisions together; with one class for each example, this is the accuracy."""
    return total(_counts(labels, predictions)).f1


def matthews(labels: Labels, predictions: Labels) -> float:
    """Return Matthews' correlation of any number of classes (Gorodkin 2004, "Comparing two K-category assignments")."""
    matrix = confusion_matrix(labels, predictions, _classes(labels, predictions)).astype(np.float64)
    actual, predicted, count = matrix.sum(1), matrix.sum(0), matrix.sum()
    spread = (count**2 - predicted @ predicted) * (count**2 - actual @ actual)
    return float((matrix.trace() * count - predicted @ actual) / np.sqrt(spread)) if spread else 0.0


def pearson(labels: Labels, predictions: Labels) -> float:
    """Return the linear correlation of two scores."""
    one, other = (
        np.asarray(scores, np.float64) - np.mean(scores, dtype=np.float64) for scores in (labels, predictions)
    )
    spread = np.sqrt((one @ one) * (other @ other))
    # The mean of equal numbers may differ from them in the last digit; their spread is still 0.
    if not spread or np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float(np.clip(one @ other / spread, -1, 1))


def spearman(labels: Labels, predictions: Labels) -> float:
    """Return the linear correlation of the ranks of two scores; equal scores have the mean of their ranks."""
    return pearson(_ranks(labels), _ranks(predictions))


# Higher is better in all of them, so any can choose the best checkpoint.
METRICS: Mapping[str, Callable[[Labels, Labels], float]] = {
    "accuracy": accuracy,
    "f1": f1,
    "macro_f1": macro_f1,
    "micro_f1": micro_f1,
    "exact_match": accuracy,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
}


def evaluate(names: Iterable[str], labels: Labels, predictions: Labels) -> dict[str, float]:
    """Return the named metrics, in this order.

    Raises:
        InputError: there is no such metric, no example, or a prediction that is not a number.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise ValueError(f"labels {labels.shape}, predictions {predictions.shape}")
    if not len(labels):
        raise InputError("evaluation: no labelled examples")
    wrong = np.flatnonzero(~np.isfinite(predictions).reshape(len(predictions), -1).all(1))
    if len(wrong):
        raise InputError(
            f"evaluation: the model's output for example {wrong[0]} is not a number; train with a lower --learning_rate"
        )
    results = {}
    for name in names:
        if name not in METRICS:
            raise InputError(f"metric {name!r}: is not one of {', '.join(METRICS)}")
        results[name] = METRICS[name](labels, predictions)
    return results


def confusion_matrix(labels: Labels, predictions: Labels, classes: int) -> NDArray[np.int64]:
    """Count the examples of class i (rows) that were predicted as class j (columns). Shape [C, C]."""
    cells = np.asarray(labels, np.int64) * classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=classes**2).astype(np.int64).reshape(classes, classes)


def per_class(labels: Labels, predictions: Labels, classes: int) -> list[Counts]:
    """Return the counts of each class. `labels` and `predictions` are [N], or 0 and 1 in [N, C]."""
    if labels.ndim == 2:
        correct, predicted, actual = (labels * predictions).sum(0), predictions.sum(0), labels.sum(0)
    else:
        matrix = confusion_matrix(labels, predictions, classes)
        correct, predicted, actual = matrix.diagonal(), matrix.sum(0), matrix.sum(1)
    return [Counts(*counts) for counts in np.stack([correct, predicted, actual], 1).astype(np.int64).tolist()]


def _counts(labels: Labels, predictions: Labels) -> list[Counts]:
    return per_class(labels, predictions, _classes(labels, predictions))


def _classes(labels: Labels, predictions: Labels) -> int:
    """Return the number of classes, up to the last that occurs or was predicted."""
    return labels.shape[1] if labels.ndim == 2 else int(max(labels.max(), predictions.max())) + 1


def _ranks(scores: Labels) -> NDArray[np.float64]:
    """Return each score's rank [N] in ascending order, from 1; equal scores have the mean of their ranks."""
    _, which, repeats = np.unique(scores, return_inverse=True, return_counts=True)
    lasts = np.cumsum(repeats)
    means: NDArray[np.float64] = lasts - (repeats - 1) / 2
    return means[which]
