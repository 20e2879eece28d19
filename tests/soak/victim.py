"""A pre-training that gets a signal at a chosen moment. Continued, it must end as one that was left alone."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.together import bert

# The function that each moment stands for, and after how many calls of it the signal comes.
MOMENTS = {
    "plan": ("bertworks.data.stream", "ShardSource.instances", 0),
    "step": ("bertworks.train.step", "Stepper.take", 5),
    "checkpoint": ("bertworks.checkpoints.formats.safetensors", "write_tensors", 1),
    "evaluation": ("bertworks.tasks.pretraining", "evaluate", 2),
    "publish": ("bertworks.train.resume", "publish", 1),
}

# What only the main process does.
OF_MAIN = ("checkpoint", "publish")


def words(shards: Path, output: Path, steps: int = 12) -> list[str]:
    """A run in which everything happens: dropout, checkpoints, evaluations while training and at the end."""
    sizes = ["--size=2/32", "--max_seq_length=64", "--max_predictions_per_seq=10", "--train_batch_size=8"]
    often = ["--log_every_steps=1", "--save_checkpoints_steps=4", "--eval_every_steps=3", "--max_eval_steps=3"]
    rates = ["--learning_rate=1e-3", "--num_warmup_steps=2", f"--num_train_steps={steps}", "--precision=fp32"]
    data = [f"--input_file={shards}", f"--output_dir={output}"]
    return ["run_pretraining", *sizes, *often, *rates, *data, "--do_train", "--do_eval"]


def hit(rank: int, moment: str, number: int, of_rank: int, log: Path, command: Sequence[str]) -> None:
    """Run as process `rank`; process `of_rank` gets signal `number` at the moment."""
    if rank == of_rank:
        _arrange(moment, number, log)
    bert(rank, log, command)


def _arrange(moment: str, number: int, log: Path) -> None:
    module_name, name, before = MOMENTS[moment]
    owner: Any = importlib.import_module(module_name)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original, calls = getattr(owner, last), 0

    def signalled(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == before + 1:
            (log / "hit").write_text(moment)
            os.kill(os.getpid(), number)
        return original(*arguments, **more)

    setattr(owner, last, signalled)
