"""How many steps fit into a time: measured once, with real steps on this machine, and kept for a resumed run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from bertworks import files
from bertworks.errors import damage_named
from bertworks.pretraining.flags import PretrainingFlags
from bertworks.pretraining.recipes import WARMUP
from bertworks.pretraining.run import pretrain
from bertworks.train.distributed import World

# Steps that are measured at least, the first of which does not count; more, if a phase has a small share.
MEASURED, MOST_MEASURED = 8, 1000

# Short steps are measured again, for so many seconds or this share of the time, whichever is less: a few of them take
# more or less time by chance.
MEASURED_SECONDS, MEASURED_SHARE = 5.0, 0.02

# Of the time, what is left for evaluations, checkpoints and the end.
RESERVE = 0.05

_FILE = "recipe.json"

# A training that only measures.
_BRIEF: dict[str, Any] = {
    "do_eval": False,
    "eval_every_steps": 0,
    "save_checkpoints_steps": 0,
    "log_every_steps": 1,
    "average_checkpoints": 0,
    "num_warmup_steps": 1,
    "schedule": "linear",
    "num_decay_steps": 0,
    "plan": False,
}

_Flags = TypeVar("_Flags", bound=PretrainingFlags)


def with_steps(flags: _Flags, output_dir: Path, world: World) -> _Flags:
    """Return the flags with as many steps as fit into --max_hours, unless a person gave a number."""
    if flags.given is not None and "num_train_steps" in flags.given:
        return flags
    path = output_dir / _FILE
    if not path.exists():
        folder = output_dir / "timing"
        if world.is_main:
            files.remove(folder)  # of a process that was killed
        world.wait()
        seconds = _seconds_of_a_step(flags, folder, world)
        hours = flags.max_hours or 0.0
        steps = max(10, int(hours * 3600 * (1 - RESERVE) / seconds))
        world.say(
            f"--max_hours={hours:g}: a step takes {seconds:.3g} s here and now, so {steps:,} steps are planned ({path})"
        )
        if world.is_main:
            found = {"num_train_steps": steps, "seconds_of_a_step": seconds}
            files.write_text(path, json.dumps(found, indent=1) + "\n")
            files.remove(folder)
        world.wait()
    with damage_named(path, "delete it, and the steps are measured again"):
        steps = int(json.loads(path.read_bytes())["num_train_steps"])
    is_given = flags.given is not None and "num_warmup_steps" in flags.given
    return replace(
        flags,
        num_train_steps=steps,
        num_warmup_steps=flags.num_warmup_steps if is_given else math.ceil(WARMUP * steps),
    )


def _seconds_of_a_step(flags: PretrainingFlags, folder: Path, world: World) -> float:
    """Train for some steps in a folder, with weights that are thrown away; return the mean time of a step."""
    shares = flags.phase_shares if isinstance(flags.phase_shares, tuple) else (1.0,)
    steps = min(MOST_MEASURED, math.ceil(MEASURED / min(shares)))
    enough = min(MEASURED_SECONDS, MEASURED_SHARE * (flags.max_hours or 0.0) * 3600)
    mean = _mean_of_steps(flags, steps, folder, world)
    if steps * mean < enough and steps < MOST_MEASURED:
        steps = min(MOST_MEASURED, math.ceil(enough / mean))
        if world.is_main:
            files.remove(folder)
        world.wait()
        mean = _mean_of_steps(flags, steps, folder, world)
    return mean


def _mean_of_steps(flags: PretrainingFlags, steps: int, folder: Path, world: World) -> float:
    """Train for so many steps; return the mean time of one, the same in all processes."""
    pretrain(replace(flags, output_dir=str(folder), num_train_steps=steps, **_BRIEF), folder, world)
    mean = 0.0
    if world.is_main:
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        seconds = [float(line["seconds"]) for line in lines if "seconds" in line][1:]
        mean = sum(seconds) / len(seconds)
    return world.sum_numbers([mean])[0]
