"""What an evaluation of a classifier shows a person: results by class, baselines, what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.tasks.classification.problem import Problem
from bertworks.tasks.classification.task import predictions
from bertworks.tasks.metrics import confusion_matrix, per_class, total

# The most classes, and the most confusions, that are shown.
_CLASSES, _CONFUSIONS = 60, 5


def report(problem: Problem, labels: NDArray[Any], logits: NDArray[np.float32]) -> str:
    """Return lines about the predictions for N labelled examples.

    Args:
        labels: as `LabelledSequences.labels`.
        logits: [N, C].
    """
    found = predictions(problem.kind, logits)
    if problem.kind == "regression":
        return _of_numbers(labels, found)
    if problem.kind == "choice":
        return ""
    lines = [_table(problem.labels, labels, found)]
    if problem.kind == "single":
        often = np.bincount(labels, minlength=problem.classes)
        most = int(often.argmax())
        lines.append(f"always {problem.labels[most]}: accuracy {often[most] / len(labels):.4f}")
        lines += _confusions(problem.labels, confusion_matrix(labels, found, problem.classes))
    return "\n".join(lines)


def mean_absolute_error(labels: NDArray[Any], found: NDArray[Any]) -> float:
    """Return the mean of the absolute differences."""
    return float(np.abs(np.asarray(labels, np.float64) - found).mean())


def _of_numbers(labels: NDArray[Any], found: NDArray[Any]) -> str:
    mean, wrong = float(np.mean(labels, dtype=np.float64)), mean_absolute_error(labels, found)
    always = mean_absolute_error(labels, np.full(len(labels), mean))
    return f"mean absolute error {wrong:.4g}; always the mean, {mean:.4g}: {always:.4g}"


def _table(names: Sequence[str], labels: NDArray[Any], found: NDArray[Any]) -> str:
    """Return precision, recall and F1 of each class, and their plain mean."""
    counts = per_class(labels, found, len(names))
    width = max(map(len, ("all", *names[:_CLASSES])))
    lines = [f"{'':{width}}  precision  recall      F1  examples  predicted  correct"]
    for name, of in [*list(zip(names, counts, strict=True))[:_CLASSES], ("all", total(counts))]:
        shares = f"{of.precision:9.2%} {of.recall:7.2%} {of.f1:7.2%}"
        lines.append(f"{name:{width}}  {shares} {of.actual:9,}  {of.predicted:9,} {of.correct:8,}")
    if len(names) > _CLASSES:
        lines.insert(-1, f"and {len(names) - _CLASSES:,} more")
    return "\n".join(lines)


def _confusions(names: Sequence[str], matrix: NDArray[np.int64]) -> list[str]:
    """Return which classes are most often taken for which."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    most = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS].tolist()
    pairs = [divmod(place, len(names)) for place in most]
    shown = [f"{names[i]} as {names[j]} {wrong[i, j]:,} times" for i, j in pairs if wrong[i, j]]
    return [f"most often taken for another: {', '.join(shown)}"] if shown else []
