"""From rows.toml to trainings: every row, with each point of its grid, as flags of `bert run_pretraining`."""

from __future__ import annotations

import itertools
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BASELINE = "baseline"


@dataclass(frozen=True)
class Trial:
    """One point of a row's grid.

    Attributes:
        row: the name of the row.
        what: what it is, for a person.
        point: the values that the grid gives it, as text; "" without a grid.
        cost: what it has in common with trials that take the same time: the row, and the values but for rates.
        flags: of `bert run_pretraining`, but for those that depend on the number of steps.
        warmup, decay: shares of the steps.
    """

    row: str
    what: str
    point: str
    cost: str
    flags: dict[str, Any] = field(hash=False)
    warmup: float = 0.05
    decay: float = 0.0

    def words(self, steps: int) -> list[str]:
        """Return the command line's flags for a training of so many steps."""
        more: dict[str, Any] = {"num_train_steps": steps, "num_warmup_steps": math.ceil(self.warmup * steps)}
        if self.decay:
            more["num_decay_steps"] = math.ceil(self.decay * steps)
        return [f"--{name}={value}" for name, value in {**self.flags, **more}.items()]

    @property
    def smallest_share(self) -> float:
        """The smallest share of the steps that a phase has."""
        shares = str(self.flags.get("phase_shares", 1.0)).split(",")
        return min(map(float, shares))


@dataclass(frozen=True)
class Setting:
    """What all trainings of a call share."""

    corpus: str
    work: Path
    results: Path
    shards: dict[str, Path]
    size: str
    max_seq_length: int
    minutes: float
    dropout: bool
    eval_steps: int
    tasks: tuple[str, ...]
    finetuning_seeds: str
    finetuning: tuple[str, ...]
    training_threads: int
    machine: str


def read_trials(path: Path, max_seq_length: int) -> list[Trial]:
    """Return all trials of a file of rows, in order.

    Raises:
        ValueError: there is no baseline, or another row has a larger grid.
    """
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    common: dict[str, Any] = content.get("common", {})
    trials: list[Trial] = []
    for row in content["row"]:
        grid: dict[str, list[Any]] = row.get("grid", {})
        for values in itertools.product(*grid.values()):
            point = dict(zip(grid, values, strict=True))
            flags = {**common, "max_seq_length": max_seq_length, **row.get("flags", {}), **point}
            warmup = flags.pop("warmup", 0.05)
            lengths = {"length": max_seq_length, "half": max_seq_length // 2}
            flags = {name: v.format(**lengths) if isinstance(v, str) else v for name, v in flags.items()}
            shown = {name: f"{name}={value}" for name, value in point.items()}
            # A rate takes no time.
            costly = [text for name, text in shown.items() if not name.endswith("learning_rate")]
            cost = " ".join([row["name"], ", ".join(costly)]).strip()
            texts = (row["name"], row.get("what", ""), ", ".join(shown.values()), cost)
            trials.append(Trial(*texts, flags, warmup, row.get("decay", 0.0)))
    sizes = {trial.row: sum(other.row == trial.row for other in trials) for trial in trials}
    if BASELINE not in sizes:
        raise ValueError(f"{path}: has no row named {BASELINE}")
    if larger := [row for row, size in sizes.items() if size > sizes[BASELINE]]:
        raise ValueError(f"{path}: the grid of {larger[0]} is larger than the baseline's")
    return trials
