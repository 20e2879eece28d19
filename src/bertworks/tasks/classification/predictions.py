"""The files of predictions: the original's, one with ids and names beside it, and what GLUE takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.files import write_text
from bertworks.tasks.classification.problem import Problem
from bertworks.tasks.classification.task import predicted, probabilities

# What begins another field or line, for one program or another.
_BREAKS = re.compile("[\\t\\n\\v\\f\\r\\x1c-\\x1e\\x85\u2028\u2029]")


def write_predictions(
    folder: Path, problem: Problem, ending: str, ids: Sequence[str], logits: NDArray[np.float32]
) -> list[Path]:
    """Write what a model predicts about a test set.

    `test_results.tsv` is the original's: a line an example, the probability of each class in the order of the labels,
    no header. `predictions.tsv` has the id, the predicted class by its name, and named probabilities. The third file,
    where the task has one, is in GLUE's format: index and prediction.

    Args:
        folder: where to.
        problem: what was predicted.
        ending: which test set, "" for the usual one.
        ids: [N].
        logits: [N, C].

    Returns:
        the paths written.
    """
    values = probabilities(problem.kind, logits)
    named = _named(problem, predicted(problem.kind, logits))
    original, labelled = folder / f"test_results{ending}.tsv", folder / f"predictions{ending}.tsv"
    write_text(original, "".join("\t".join(map(str, row)) + "\n" for row in values))
    write_text(labelled, _table(problem, ids, named, values))
    written = [original, labelled]
    if submission := _submission(problem, ending):
        lines = [f"{i}\t{_as_submitted(problem, name)}\n" for i, name in enumerate(named)]
        write_text(folder / submission, "index\tprediction\n" + "".join(lines))
        written.append(folder / submission)
    return written


def _named(problem: Problem, found: NDArray[Any]) -> list[str]:
    """Predictions as a person reads them."""
    if problem.kind == "single":
        return [problem.labels[i] for i in found.tolist()]
    if problem.kind == "multi":
        return [",".join(label for label, there in zip(problem.labels, row, strict=True) if there) for row in found]
    return [f"{value:.6g}" if problem.kind == "regression" else str(value) for value in found.tolist()]


def _table(problem: Problem, ids: Sequence[str], named: Sequence[str], values: NDArray[np.float32]) -> str:
    """Tab-separated, with a header, unquoted as `data.tables` reads it: tabs and line ends in names become blanks."""
    classes: Sequence[str] = problem.labels or [f"choice {i}" for i in range(values.shape[1])]
    if problem.kind == "regression":
        classes, values = [], values[:, :0]
    rows = [["id", "prediction", *(f"probability of {label}" for label in classes)]]
    rows += [[i, name, *(f"{value:.6f}" for value in of)] for i, name, of in zip(ids, named, values, strict=True)]
    return "".join("\t".join(_BREAKS.sub(" ", field) for field in row) + "\n" for row in rows)


def _submission(problem: Problem, ending: str) -> str | None:
    if problem.known is None:
        return None
    names = [split for split in problem.known.submissions if split.startswith("test")]
    wanted = f"test{ending}" if ending else next(iter(names), "")
    return problem.known.submissions.get(wanted)


def _as_submitted(problem: Problem, name: str) -> str:
    """A prediction as GLUE spells it: scores between 0 and 5 with three decimals."""
    return f"{min(5.0, max(0.0, float(name))):.3f}" if problem.kind == "regression" else name
