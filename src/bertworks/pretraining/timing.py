"""How many steps fit into a time: measured once, with real steps on this machine, and kept for a resumed run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from bertworks import files
from bertworks.errors import damage_named
from bertworks.pretraining.flags import PretrainingFlags
from bertworks.pretraining.recipes import WARMUP
from bertworks.pretraining.run import pretrain
from bertworks.train.distributed import World
from bertworks.train.results import steps_done

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

# The flags that decide how long a step takes.
_DECIDE = (
    *("size", "max_seq_length", "train_batch_size", "phase_shares", "objective", "next_sentence", "bag_of_words"),
    *("masked_lm_prob", "max_predictions_per_seq", "optimizer", "optimizer_bits"),
    *("precision", "gradient_checkpointing", "compile", "deterministic", "token_budget", "fsdp"),
)
_NAME_A_MODEL = ("model", "bert_config_file", "init_checkpoint")

_Flags = TypeVar("_Flags", bound=PretrainingFlags)


def with_steps(flags: _Flags, output_dir: Path, world: World, folder: Path) -> _Flags:
    """Return the flags with as many steps as fit into --max_hours, unless a person gave a number.

    Once a training has begun, its number stays, because the rates of all steps depend on it. Before, the steps are
    measured again if the hours, or the flags that decide the time of a step, are others than those of `recipe.json`.

    Args:
        output_dir: has `recipe.json`, which is written if this is not a plan.
        folder: where the steps that are measured may leave something for a while.

    Raises:
        InputError: `recipe.json` is damaged.
    """
    if flags.given is not None and "num_train_steps" in flags.given:
        return flags
    path = output_dir / _FILE
    asked = {"max_hours": flags.max_hours, **_of_a_step(flags, world)}
    before, has_begun = _recorded(path, output_dir, world)
    other = _others(before.get("measured", {}), asked)
    if other and has_begun:
        world.say(
            f"{other}: the training in {output_dir} has begun and keeps its {before['num_train_steps']:,} steps, "
            "because its rates depend on them; give another --output_dir to plan anew"
        )
    elif other:
        world.say(f"{other}: no training has begun in {output_dir}, so the steps are measured again")
    steps = before.get("num_train_steps")
    if steps is None or (other and not has_begun):
        steps = _measured(flags, asked, path, folder / "timing", world)
    is_given = flags.given is not None and "num_warmup_steps" in flags.given
    return replace(
        flags,
        num_train_steps=steps,
        num_warmup_steps=flags.num_warmup_steps if is_given else math.ceil(WARMUP * steps),
    )


def _of_a_step(flags: PretrainingFlags, world: World) -> dict[str, Any]:
    """Return what decides the time of a step, by flag, as JSON gives it back."""
    named = {name: getattr(flags, name) for name in _DECIDE}
    models = {name: files.absolute_unless_name(getattr(flags, name)) for name in _NAME_A_MODEL}
    found: dict[str, Any] = {**named, **models, "device": world.device.type, "processes": world.size}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _recorded(path: Path, output_dir: Path, world: World) -> tuple[dict[str, Any], bool]:
    """Return what the file has, {} if it is missing, and whether a training has begun, as the main process sees it."""
    found: dict[str, Any] = {}

    def read() -> None:
        if path.exists():
            with damage_named(path, "delete it, and the steps are measured again"):
                content = json.loads(path.read_bytes())
                found["num_train_steps"] = int(content["num_train_steps"])
                # Files of earlier versions do not tell what was measured.
                told = {"max_hours": content["max_hours"]} if "max_hours" in content else {}
                found["measured"] = {**told, **content.get("measured_with", {})}

    world.in_main(read)
    before, has_begun = json.loads(world.gather(json.dumps([found, steps_done(output_dir) > 0]).encode())[0])
    return before, has_begun


def _others(measured: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Say which values are others than those that were measured; "" if none is."""
    other = [name for name, value in asked.items() if name in measured and measured[name] != value]
    return ", ".join(f"{_shown(name, asked[name])} (planned with {_shown(name, measured[name])})" for name in other)


def _shown(name: str, value: Any) -> str:
    if name == "processes":
        return f"{value} process{'' if value == 1 else 'es'}"
    if value is None:
        return f"no --{name}"
    return f"--{name}={','.join(map(str, value)) if isinstance(value, list) else value}"


def _measured(flags: PretrainingFlags, asked: Mapping[str, Any], path: Path, folder: Path, world: World) -> int:
    """Measure steps in a folder, which is removed; return how many fit, and write it to the file unless this plans."""
    is_new = not path.parent.exists()
    if world.is_main:
        files.remove(folder)  # of a process that was killed
    world.wait()
    seconds = _seconds_of_a_step(flags, folder, world)
    hours = flags.max_hours or 0.0
    steps = max(10, int(hours * 3600 * (1 - RESERVE) / seconds))
    to = "" if flags.plan else f" ({path})"
    world.say(f"--max_hours={hours:g}: a step takes {seconds:.3g} s here and now, so {steps:,} steps are planned{to}")
    if world.is_main:
        files.remove(folder)
        if flags.plan and is_new:
            with suppress(OSError):
                path.parent.rmdir()
        if not flags.plan:
            measured_with = {name: value for name, value in asked.items() if name != "max_hours"}
            found = {"num_train_steps": steps, "seconds_of_a_step": seconds, "max_hours": hours}
            files.write_text(path, json.dumps({**found, "measured_with": measured_with}, indent=1) + "\n")
    world.wait()
    return steps


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
