"""Probabilities that mean what they say: a temperature found on the dev set, and a picture of how reliable they are.

Guo et al. 2017, "On Calibration of Modern Neural Networks": the logits are divided by the temperature with the lowest
loss on the dev set. No decision changes. The head is linear, so that its weights can be divided instead.

Shapes: N examples, C classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bertworks.files import written_whole
from bertworks.tasks.classification.task import ProblemKind, predictions, probabilities

_BINS = 10

# Temperatures are looked for between these, by halving the interval of their logarithms.
_LOWEST, _HIGHEST, _HALVINGS = 0.02, 50.0, 60


class Reliability(NamedTuple):
    """How sure a model is, and how often it is right, in bins of equal width.

    Attributes:
        sure, right: [bins]; the mean probability of the decisions, and the share of them that is right.
        counts: [bins]; how many decisions there are.
        error: the expected calibration error, the mean distance of the two.
    """

    sure: NDArray[np.float64]
    right: NDArray[np.float64]
    counts: NDArray[np.int64]
    error: float


def temperature(kind: ProblemKind, labels: NDArray[Any], logits: NDArray[np.float32]) -> float:
    """Return the temperature with the lowest loss.

    Args:
        kind: one class a row, or several at once.
        labels: as `LabelledSequences.labels`.
        logits: [N, C].
    """
    scores = logits.astype(np.float64)

    def slope(inverse: float) -> float:
        """Return the derivative of the loss by the inverse of the temperature, in which the loss is convex."""
        scaled = scores * inverse
        if kind == "multi":
            expected = scores / (1 + np.exp(-np.clip(scaled, -700, 700)))
            return float((expected - scores * labels).mean())
        shares = np.exp(scaled - scaled.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return float(((shares * scores).sum(1) - scores[np.arange(len(labels)), labels]).mean())

    low, high = np.log(1 / _HIGHEST), np.log(1 / _LOWEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(float(np.exp(middle))) > 0 else (middle, high)
    return float(1 / np.exp((low + high) / 2))


def warning_of(degrees: float, rows: int) -> str:
    """Return what a person must know if the dev set does not tell the temperature: it is at a limit; else ""."""
    if _LOWEST * 1.001 < degrees < _HIGHEST / 1.001:
        return ""
    always = "right" if degrees < 1 else "no better than chance"
    return (
        f"; this is a limit, because the model is {always} on all {rows:,} rows, which say nothing of how sure it may "
        "be: take more dev rows, or leave out --calibrate"
    )


@torch.no_grad()
def cool(classifier: nn.Module, degrees: float) -> None:
    """Divide the outputs of a dense layer by a temperature, in place."""
    for parameter in classifier.parameters():
        parameter.div_(degrees)


def reliability(kind: ProblemKind, labels: NDArray[Any], logits: NDArray[np.float32]) -> Reliability:
    """Compare how sure the model is of its decisions with how often they are right.

    A decision is the class of a row; with several classes at once it is yes or no to each class.
    """
    found, values = predictions(kind, logits), probabilities(kind, logits).astype(np.float64)
    if kind == "multi":
        sure, right = np.maximum(values, 1 - values).ravel(), (found == labels).ravel()
    else:
        sure, right = values.max(1), found == labels
    of = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(of, minlength=_BINS)
    some = np.maximum(counts, 1)
    mean_sure = np.bincount(of, weights=sure, minlength=_BINS) / some
    mean_right = np.bincount(of, weights=right, minlength=_BINS) / some
    error = float((np.abs(mean_sure - mean_right) * counts).sum() / max(1, counts.sum()))
    return Reliability(mean_sure, mean_right, counts, error)


def draw_reliability(path: Path, before: Reliability, after: Reliability) -> Path:
    """Draw how often decisions are right against how sure the model is, before and after calibration."""
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import; only when a picture is drawn)

    figure = Figure(figsize=(6, 6), layout="constrained")
    curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curve.plot([0, 1], [0, 1], linestyle=":", color="gray", label="as sure as right")
    for name, of in (("before", before), ("after", after)):
        there = of.counts > 0
        label = f"{name} calibration: error {of.error:.3f}"
        curve.plot(of.sure[there], of.right[there], marker="o", label=label)
    middles = (np.arange(_BINS) + 0.5) / _BINS
    for shift, of in ((-0.2, before), (0.2, after)):
        counts.bar(middles + shift / _BINS, of.counts, width=0.4 / _BINS)
    curve.set(ylabel="share that is right", title="Reliability on the dev set", ylim=(0, 1.02))
    counts.set(xlabel="probability of the decision", ylabel="decisions", xlim=(0, 1))
    curve.grid(alpha=0.3)
    curve.legend(fontsize="small")
    with written_whole(path) as stream:
        figure.savefig(stream, format="png", dpi=120, bbox_inches="tight")
    return path
