"""What a fine-tuning shows of itself: learning curves, and after how many steps it ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bertworks.finetune.flags import FinetuningFlags
from bertworks.train.report import learning_curve
from bertworks.train.results import steps_done
from bertworks.train.resume import Best

SEEDS = "seeds.json"


def show_learning_curves(flags: FinetuningFlags, metrics: Sequence[str]) -> None:
    """Draw the training in the output folder, or that of each seed, and print the path of the picture.

    Args:
        metrics: names without `eval_`, the one that decides first.
    """
    output_dir = Path(flags.output_dir)
    for path in sorted(output_dir.glob("seed-*/metrics.jsonl")) if flags.seeds else [output_dir / "metrics.jsonl"]:
        best = _best_of(path.parent, f"eval_{metrics[0]}") if flags.keep == "best" else None
        print(f"The learning curve: {learning_curve(path.parent, metrics, best)}")


def _best_of(folder: Path, metric: str) -> tuple[int, float] | None:
    """The step whose model a training kept, and its result."""
    best = Best(folder, metric, write_model=lambda _: None)
    best.begin(sys.maxsize)
    return None if best.step is None or best.value is None else (best.step, best.value)


def steps_of(output_dir: Path) -> int:
    """After how many steps the training in a folder ended, the best seed's of several; 0 without one."""
    seeds = output_dir / SEEDS
    if seeds.exists():
        output_dir /= f"seed-{json.loads(seeds.read_text(encoding='utf-8'))['best']}"
    return steps_done(output_dir)
