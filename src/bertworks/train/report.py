"""Report a run to a person: metrics.jsonl, progress, TensorBoard, a learning curve.

Each training line gives means over the steps since the line before it. Sums stay on the device until a line is due, so
that reporting never waits for the device. A checkpoint holds the sums of the unfinished window, so that a resumed run
writes the same lines.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bertworks import files
from bertworks.cores import CpuPressure
from bertworks.progress import Advance, say


class MetricWindow:
    """Named means over the steps since the last line, each as a sum on the device and a count on the host."""

    def __init__(self, device: torch.device, saved: Mapping[str, list[float]] | None = None) -> None:
        self._device = device
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, float] = {}
        for name, (total, count) in (saved or {}).items():
            self.add(name, total, count)

    def add(self, name: str, total: Tensor | float, count: float) -> None:
        """Add `total`, a sum over `count` predictions, to the mean of `name`. A number does not wait for the device."""
        if not isinstance(total, Tensor):
            total = torch.full((), total, dtype=torch.float64, device=self._device)
        total = total.detach().to(self._device, torch.float64)
        self._sums[name] = self._sums[name] + total if name in self._sums else total.clone()
        self._counts[name] = self._counts.get(name, 0.0) + count

    def stacked(self) -> Tensor:
        """Return all sums in one tensor, so that they are summed over processes and read back once."""
        if not self._sums:
            return torch.zeros(0, dtype=torch.float64, device=self._device)
        return torch.stack(list(self._sums.values()))

    def pairs(self, sums: Tensor) -> dict[str, list[float]]:
        """Name -> [sum, count], given `stacked()` as summed over processes."""
        return {name: [s, self._counts[name]] for name, s in zip(self._sums, sums.tolist(), strict=True)}

    def clear(self) -> None:
        """Begin the next window."""
        self._sums.clear()
        self._counts.clear()


class Report:
    """The files and the progress bar of a run. Only the main process has a report."""

    def __init__(
        self, output_dir: Path, first_step: int, advance: Advance, description: Mapping[str, Any], seconds: float = 0.0
    ) -> None:
        """Open the report; drop the lines after `first_step`, which a killed run has left.

        Args:
            description: settings for the first line of a new file.
            seconds: the training time of an earlier process since its last line.
        """
        self._path = output_dir / "metrics.jsonl"
        self.advance = advance
        kept = cut_back(self._path, first_step) if first_step else []
        files.write_text(self._path, "".join(kept))
        self._stream = self._path.open("a", encoding="utf-8", buffering=1)
        if not kept:
            self._write({"step": 0, **description})
        self._board = _tensorboard(output_dir, first_step)
        self._began = time.monotonic() - seconds
        self._pressure = CpuPressure()

    @property
    def seconds(self) -> float:
        """Training time since the last line, without evaluation and saving."""
        return time.monotonic() - self._began

    @contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """Do not count the time inside the block as training time."""
        stopped = time.monotonic()
        yield
        self._began += time.monotonic() - stopped

    def training(self, step: int, means: Mapping[str, float], tokens: int) -> None:
        """Write the line of the window that ends at `step` and has `tokens` tokens."""
        seconds = self.seconds
        speed = tokens / max(seconds, 1e-9)
        self._write({"step": step, **means, "tokens": tokens, "seconds": seconds, "tokens_per_second": speed})
        self._scalars("train", step, {**means, "tokens_per_second": speed})
        accuracies = [f"{n.removesuffix('_accuracy')} {means[n]:.1%}" for n in means if n.endswith("_accuracy")]
        self.advance(0, ", ".join([f"{speed:,.0f} tokens/s", f"loss {means['loss']:.2f}", *accuracies]))
        if notice := self._pressure.notice():
            say(f"step {step:,}: {notice}")
        self._began = time.monotonic()

    def evaluation(self, step: int, results: Mapping[str, float]) -> None:
        """Write the line of an evaluation after `step`."""
        self._write({"step": step, "evaluation": dict(results)})
        self._scalars("evaluation", step, results)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in results.items())
        say(f"step {step:,}, evaluation: {shown}")

    def flush(self) -> None:
        """Write the lines to the disk. A checkpoint counts on the lines up to its step being there."""
        files.sync_file(self._stream)

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._stream.close()
        if self._board is not None:
            self._board.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(line) + "\n")

    def _scalars(self, group: str, step: int, values: Mapping[str, float]) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, step)


def cut_back(path: Path, step: int) -> list[str]:
    """Return the lines of metrics.jsonl up to and including `step`; a last line that a kill cut short is dropped."""
    kept: list[str] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            try:
                within = json.loads(line)["step"] <= step
            except (ValueError, KeyError, TypeError):
                break
            if not within or not line.endswith("\n"):
                break
            kept.append(line)
    return kept


def _tensorboard(output_dir: Path, first_step: int) -> Any:
    """Return a TensorBoard writer where the extra is installed, else None."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (slow to import, and optional)

    return SummaryWriter(str(output_dir / "tensorboard"), purge_step=first_step + bool(first_step))


def learning_curve(
    output_dir: Path,
    metrics: Sequence[str],
    best: tuple[int, float] | None = None,
    baselines: Mapping[str, float] | None = None,
) -> Path:
    """Draw metrics.jsonl over the steps: the loss on the left and metrics on the right, in training and held out.

    Args:
        output_dir: the folder of metrics.jsonl and of the picture, learning_curve.png.
        metrics: the metrics to draw, without the prefix `eval_` of evaluations.
        best: step and first metric of the checkpoint that was kept; it is marked with a star.
        baselines: label -> value to compare the metrics with, a dotted line.

    Returns:
        the picture's path.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import)
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
