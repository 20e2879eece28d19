"""Pictures of a run, where a person would rather look than read numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bertworks import files


def learning_curve(
    output_dir: Path,
    metrics: Sequence[str],
    best: tuple[int, float] | None = None,
    baselines: Mapping[str, float] | None = None,
) -> Path:
    """Draw metrics.jsonl over the steps: the loss, and beside it metrics, in training where it has them and held out.

    Args:
        output_dir: where metrics.jsonl lies and learning_curve.png goes.
        metrics: which figures to draw, without the `eval_` that an evaluation's may begin with.
        best: step and first metric of the checkpoint that was kept, to be marked.
        baselines: label -> value of something to compare the metrics with, as a dotted line.

    Returns:
        the picture's path.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import; only when a picture is drawn)
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    lines = [json.loads(line) for line in (output_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    evaluations = [
        {"step": line["step"], **{name.removeprefix("eval_"): value for name, value in line["evaluation"].items()}}
        for line in lines
        if "evaluation" in line
    ]
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, scores = figure.subplots(1, 2)
    _curve(loss, lines, "loss", "training")
    _curve(loss, evaluations, "loss", "held out", marker="o")
    for name in metrics:
        title = name.replace("_", " ")
        _curve(scores, lines, name, f"{title}, training")
        _curve(scores, evaluations, name, f"{title}, held out", marker="o")
    if best:
        label = f"kept: {best[1]:.4g} at step {best[0]:,}"
        scores.plot(*best, marker="*", markersize=14, color="black", linestyle="", label=label)
    for label, value in (baselines or {}).items():
        scores.axhline(value, linestyle=":", color="gray", label=label)
    for axes, title in ((loss, "loss"), (scores, "score")):
        axes.set(title=title, xlabel="step")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    path = output_dir / "learning_curve.png"
    with files.written_whole(path) as stream:
        figure.savefig(stream, format="png", dpi=120, bbox_inches="tight")
    return path


def _curve(axes: Any, lines: Sequence[Mapping[str, float]], name: str, label: str, marker: str = "") -> None:
    points = [(line["step"], line[name]) for line in lines if name in line]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, marker=marker)
