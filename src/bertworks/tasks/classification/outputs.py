"""Write what a classifier predicts: files of predictions, and a picture of the confusion matrix."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.files import write_text, written_whole
from bertworks.tasks.classification.problem import Problem
from bertworks.tasks.classification.task import predictions, probabilities
from bertworks.tasks.fonts import can_show, installed_fonts, plain, set_fonts

# Characters that some program takes for the end of a field or a line.
_BREAKS = re.compile("[\\t\\n\\v\\f\\r\\x1c-\\x1e\\x85\u2028\u2029]")


def write_predictions(
    folder: Path, problem: Problem, ending: str, ids: Sequence[str], logits: NDArray[np.float32]
) -> list[Path]:
    """Write the predictions for a test set, and return the paths.

    `test_results.tsv` is the original's: a line an example, the probability of each class in the order of the labels,
    no header. `predictions.tsv` has the id, the name of the predicted class, and named probabilities. A task of GLUE
    also gets its file for submission: index and prediction.

    Args:
        folder: the output folder.
        problem: the problem that the model solves.
        ending: of the test set's results ("" for the usual set).
        ids: [N].
        logits: [N, C].
    """
    values = probabilities(problem.kind, logits)
    named = _named(problem, predictions(problem.kind, logits))
    original, labelled = folder / f"test_results{ending}.tsv", folder / f"predictions{ending}.tsv"
    write_text(original, "".join("\t".join(map(str, row)) + "\n" for row in values))
    write_text(labelled, _table(problem, ids, named, values))
    written = [original, labelled]
    if submission := _submission(problem, ending):
        lines = [f"{i}\t{_as_submitted(problem, name)}\n" for i, name in enumerate(named)]
        write_text(folder / submission, "index\tprediction\n" + "".join(lines))
        written.append(folder / submission)
    return written


def write_dev_rows(folder: Path, problem: Problem) -> Path:
    """Write which rows of the training file are the dev set, and return the path: `dev_rows.tsv`, place and id."""
    rows = [(row.location.rpartition(", ")[2], row.id) for row in problem.dev.get("", ())]
    lines = ["row\tid", *(f"{place}\t{_BREAKS.sub(' ', identity)}" for place, identity in rows)]
    path = folder / "dev_rows.tsv"
    write_text(path, "\n".join(lines) + "\n")
    return path


def _named(problem: Problem, found: NDArray[Any]) -> list[str]:
    """Return the names of predicted classes, or numbers, as text."""
    if problem.kind == "single":
        return [problem.labels[i] for i in found.tolist()]
    if problem.kind == "multi":
        return [",".join(compress(problem.labels, row)) for row in found]
    return [f"{value:.6g}" if problem.kind == "regression" else str(value) for value in found.tolist()]


def _table(problem: Problem, ids: Sequence[str], named: Sequence[str], values: NDArray[np.float32]) -> str:
    """Return lines separated by tabs, with a header, without quotes; tabs and line ends in names become blanks."""
    classes: Sequence[str] = problem.labels or [f"choice {i}" for i in range(values.shape[1])]
    if problem.kind == "regression":
        classes, values = [], values[:, :0]
    rows = [["id", "prediction", *(f"probability of {label}" for label in classes)]]
    rows += [[i, name, *(f"{value:.6f}" for value in of)] for i, name, of in zip(ids, named, values, strict=True)]
    return "".join("\t".join(_BREAKS.sub(" ", field) for field in row) + "\n" for row in rows)


def _submission(problem: Problem, ending: str) -> str | None:
    """Return the name of the file for submission to GLUE, if the task has one."""
    if problem.known is None:
        return None
    names = [split for split in problem.known.submissions if split.startswith("test")]
    wanted = f"test{ending}" if ending else next(iter(names), "")
    return problem.known.submissions.get(wanted)


def _as_submitted(problem: Problem, name: str) -> str:
    """Return a prediction in GLUE's spelling: scores between 0 and 5 have three decimals."""
    return f"{min(5.0, max(0.0, float(name))):.3f}" if problem.kind == "regression" else name


# The most classes for which a cell shows its count and its share, and its share alone.
_BOTH, _SHARES = 12, 60
_LARGEST_SIDE = 18.0  # inches; beyond this size not every class is named


def draw_confusion_matrix(path: Path, counts: NDArray[np.int64], names: Sequence[str], title: str = "") -> Path:
    """Draw how many examples of each class (rows) were predicted as each class (columns); colours are shares of a row.

    Args:
        path: the PNG file.
        counts: [C, C], of `metrics.confusion_matrix`.
        names: of the classes; long ones are wrapped or cut, those that no installed font can show are numbered.
        title: above the picture, such as the data and its accuracy.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import; only when a picture is drawn)

    classes = len(names)
    fonts = installed_fonts()
    names = [name if can_show(fonts, name) else f"class {i}" for i, name in enumerate(names)]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    roomy = classes <= _BOTH
    size = 10 if roomy else 8 if classes <= 25 else 6
    side = min(max(3.0, classes * (0.95 if roomy else 0.5 if classes <= 25 else 0.3)), _LARGEST_SIDE)
    figure = Figure(figsize=(side + 4, side + 2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the row", format=lambda share, _: f"{share:.0%}")
    named = range(0, classes, math.ceil(classes * 0.15 / side))
    labels = [_wrapped(names[i]) if roomy else _shortened(names[i]) for i in named]
    totals = [f"{label} ({counts[i].sum():,})" for i, label in zip(named, labels, strict=True)]
    slanted: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if classes > 4 else {}
    axes.set_xticks(named, labels, fontsize=size, **slanted)
    axes.set_yticks(named, totals, fontsize=size)
    axes.set(xlabel="predicted", ylabel="actual (examples)", title=plain(title))
    axes.set_xticks(np.arange(1, classes) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, classes) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1 if classes <= _SHARES else 0)
    axes.tick_params(which="minor", length=0)
    # In a small cell, a share below one per cent is left out.
    for i, j in np.argwhere(shares > (0 if roomy else 0.01)).tolist() if classes <= _SHARES else []:
        text = f"{counts[i, j]:,}\n{_percent(shares[i, j])}" if roomy else _percent(shares[i, j]).removesuffix("%")
        colour = "white" if shares[i, j] > 0.55 else "black"
        axes.text(j, i, text, ha="center", va="center", fontsize=size - (size > 6), color=colour)
    set_fonts(figure, fonts)
    with written_whole(path) as stream:
        figure.savefig(stream, format="png", dpi=120, bbox_inches="tight")
    return path


def _wrapped(name: str) -> str:
    """Return a name in at most two lines."""
    return plain("\n".join(textwrap.wrap(name, 16, max_lines=2, placeholder="…")))


def _shortened(name: str) -> str:
    """Return a name in one line; of a long one the beginning and the end."""
    return plain(name if len(name) <= 24 else f"{name[:13]}…{name[-10:]}")


def _percent(share: float) -> str:
    """Return a share in whole per cent; only nothing is 0%, and only everything is 100%."""
    if 0 < share < 0.01:
        return "<1%"
    return f"{min(share, 0.99):.0%}" if share < 1 else "100%"
