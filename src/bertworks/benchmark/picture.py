"""A report as a picture: a bar for each contestant, the longer the faster."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from bertworks.benchmark.results import BenchmarkReport, Entry

_OURS, _THEIRS = "#1f77b4", "#b0b0b0"

# Characters of a line beside a bar, and below the picture.
_LINE, _CAPTION = 48, 160


def draw(report: BenchmarkReport, path: Path) -> None:
    """Draw all contests that have a measured contestant, one above the other."""
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import, and needed once)

    contests = {name: [e for e in entries if e.turns] for name, entries in report.contests().items()}
    contests = {name: entries for name, entries in contests.items() if entries}
    if not contests:
        return
    bars = sum(map(len, contests.values()))
    figure = Figure(figsize=(10, 1.7 + 0.6 * bars + 0.7 * len(contests)), layout="constrained")
    axes = figure.subplots(len(contests), squeeze=False, height_ratios=[len(e) + 1 for e in contests.values()])
    for axis, (name, entries) in zip(axes[:, 0], contests.items(), strict=True):
        amounts = [_speed(report.kind, entry) for entry in entries]
        names = [f"{entry.name} {entry.precision}\n{fill(entry.settings, _LINE)}" for entry in entries]
        colours = [_OURS if entry.is_ours else _THEIRS for entry in entries]
        drawn = axis.barh(range(len(entries)), [amount for amount, _ in amounts], color=colours)
        labels = []
        for entry, (amount, _) in zip(entries, amounts, strict=True):
            ratio = report.ratio(entry)
            labels.append(f"{amount:,.1f}" + ("" if ratio is None else f"  (ours: {ratio.median:.2f} times)"))
        axis.bar_label(drawn, labels, padding=3)
        axis.set_yticks(range(len(entries)), names, fontsize=8)
        axis.invert_yaxis()
        axis.set_title(f"{name}: {amounts[0][1]}", loc="left")
        axis.margins(x=0.25)
    figure.suptitle(report.title)
    told = "\n".join(fill(line.strip("`"), _CAPTION) for line in report.machine.lines())
    # A dollar sign would begin a formula.
    figure.supxlabel(told.replace("$", r"\$"), fontsize=7)
    figure.savefig(path, dpi=120)


def _speed(kind: str, entry: Entry) -> tuple[float, str]:
    """Return what a contestant does in a second, and what that is."""
    if entry.megabytes:
        return entry.megabytes / entry.seconds, "MB/s"
    if kind == "latency":
        return entry.sequences / entry.seconds, "sequences/s, by the median"
    return entry.tokens / entry.seconds, "real tokens/s"
