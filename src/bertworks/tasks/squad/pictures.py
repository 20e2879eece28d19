"""Pictures of answering or not: precision against recall, and histograms of the no-answer scores.

The files have the names that evaluate-v2.0.py uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertworks import files
from bertworks.tasks.squad.score import Curve, Gold, curves

_TITLES = {
    "exact": "Precision and recall of exact match",
    "f1": "Precision and recall of F1",
    "oracle": "Precision and recall of telling what has an answer",
}
_BINS = 20


def draw(folder: Path, gold: Gold, predictions: Mapping[str, str], na_probs: Mapping[str, float]) -> list[Path]:
    """Draw pr_exact.png, pr_f1.png, pr_oracle.png, na_prob_hist_hasAns.png and na_prob_hist_noAns.png.

    Questions without a prediction are left out, and so are pictures without a question.

    `na_probs` has the no-answer scores of at least all questions with a prediction. Returns the paths of the pictures.
    """
    written = [
        _curve(folder / f"pr_{name}.png", curve, _TITLES[name])
        for name, curve in curves(gold, predictions, na_probs).items()
    ]
    scores = {question: na_probs[question] for question in gold if question in predictions}
    # Both histograms have one scale. The script's is 0 to 1; BERT's differences of logits are outside of it.
    limits = min([0.0, *scores.values()]), max([1.0, *scores.values()])
    for name, what, has_answer in (("hasAns", "with an answer", True), ("noAns", "without an answer", False)):
        shown = [score for question, score in scores.items() if bool(gold[question]) == has_answer]
        if shown:
            path = folder / f"na_prob_hist_{name}.png"
            written.append(_histogram(path, shown, limits, f"No-answer scores of {len(shown):,} questions {what}"))
    return written


def _curve(path: Path, curve: Curve, title: str) -> Path:
    figure, axes = _figure()
    axes.step(curve.recalls, curve.precisions, where="post", color="tab:blue")
    axes.fill_between(curve.recalls, curve.precisions, step="post", alpha=0.2, color="tab:blue")
    axes.set(xlim=(0, 1.05), ylim=(0, 1.05), xlabel="recall", ylabel="precision")
    axes.set_title(f"{title}\naverage precision {curve.average_precision:.2f} %")
    return _saved(figure, path)


def _histogram(path: Path, values: list[float], limits: tuple[float, float], title: str) -> Path:
    figure, axes = _figure()
    axes.hist(values, bins=_BINS, range=limits, weights=[1 / len(values)] * len(values), color="tab:blue")
    axes.set(xlim=limits, xlabel="no-answer score", ylabel="share of the questions", title=title)
    return _saved(figure, path)


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import)

    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes


def _saved(figure: Any, path: Path) -> Path:
    with files.written_whole(path) as stream:
        figure.savefig(stream, format="png", dpi=120)
    return path
