"""Pictures of a run, where a person would rather look than read numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bertworks import files


def learning_curve(output_dir: Path, baselines: Mapping[str, float] | None = None) -> Path:
    """Draw metrics.jsonl: the loss, and every accuracy in training and evaluation, over the steps.

    Args:
        output_dir: where metrics.jsonl lies and learning_curve.png goes.
        baselines: label -> accuracy of something to compare with, as a dotted line.

    Returns:
        the picture's path.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import; only when a picture is drawn)

    lines = [json.loads(line) for line in (output_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    training = [line for line in lines if "loss" in line]
    evaluations = [{"step": line["step"], **line["evaluation"]} for line in lines if "evaluation" in line]
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    _curve(loss, training, "loss", "training")
    _curve(loss, evaluations, "loss", "held out", marker="o")
    for name in (name for name in {**(training or [{}])[0]} if name.endswith("_accuracy")):
        title = name.removesuffix("_accuracy").replace("_", " ")
        _curve(accuracy, training, name, f"{title}, training")
        _curve(accuracy, evaluations, name, f"{title}, held out", marker="o")
    for label, value in (baselines or {}).items():
        accuracy.axhline(value, linestyle=":", color="gray", label=label)
    for axes, title in ((loss, "loss"), (accuracy, "accuracy")):
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    path = output_dir / "learning_curve.png"
    with files.written_whole(path) as stream:
        figure.savefig(stream, format="png", dpi=120)
    return path


def _curve(axes: Any, lines: Sequence[Mapping[str, float]], name: str, label: str, marker: str = "") -> None:
    points = [(line["step"], line[name]) for line in lines if name in line]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, marker=marker)
