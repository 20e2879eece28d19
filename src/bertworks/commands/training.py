"""Training as the flags of fine-tuning say, with one seed or several; what is left of it in the output folder."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bertworks import files
from bertworks.commands.common import write_flags
from bertworks.commands.finetuning import FinetuningFlags
from bertworks.commands.flag_checks import seeds_of, steps_between
from bertworks.commands.starting import Job
from bertworks.errors import InputError
from bertworks.flags import RETIRED, absolute_unless_name

if TYPE_CHECKING:
    from bertworks.train.distributed import World

_SEEDS = "seeds.json"


def train(flags: FinetuningFlags, make: Callable[[int], Job], world: World) -> Job:
    """Train with one seed or several; the output folder, and the job's model, end as the best.

    Args:
        make: from a seed to what is trained with it, from the beginning.
    """
    output_dir = Path(flags.output_dir)
    if flags.seeds is None:
        job = make(flags.random_seed)
        _train(flags, job, flags.random_seed, output_dir, world)
        if world.is_main:
            # The model is no longer the best of seeds that the folder was trained with before.
            (output_dir / _SEEDS).unlink(missing_ok=True)
        return job
    found: dict[int, float] = {}
    for seed in seeds_of(flags):
        world.say(f"Seed {seed}:")
        job = make(seed)
        if job.metric is None:
            raise InputError("--seeds: needs a dev set to compare on")
        best = _train(flags, job, seed, output_dir / f"seed-{seed}", world)
        found[seed] = best if best is not None else float("nan")
    winner = max(found, key=lambda seed: found[seed])
    _compare(found, winner, job.metric or "", output_dir, world)
    job = make(winner)
    _publish(output_dir / f"seed-{winner}", output_dir, job, flags.keep, world)
    return job


def _compare(found: Mapping[int, float], winner: int, metric: str, output_dir: Path, world: World) -> None:
    """Mean and spread over the seeds, in a table and in seeds.json."""
    values = list(found.values())
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))
    world.say("\n".join(f"  seed {seed:<8} {metric} {value:.4f}" for seed, value in found.items()))
    world.say(f"  mean          {metric} {mean:.4f}, standard deviation {spread:.4f}")
    if world.is_main:
        seeds = {str(seed): value for seed, value in found.items()}
        table = {"metric": metric, "seeds": seeds, "mean": mean, "deviation": spread, "best": winner}
        files.write_text(output_dir / _SEEDS, json.dumps(table, indent=2) + "\n")


def steps_in(flags: FinetuningFlags, examples: int) -> int:
    """How many steps a training has.

    Raises:
        InputError: none.
    """
    steps = int(examples / flags.train_batch_size * flags.num_train_epochs)
    if steps < 1:
        raise InputError(
            f"--num_train_epochs={flags.num_train_epochs}: {examples} examples in batches of "
            f"{flags.train_batch_size} make no step; lower --train_batch_size or raise the epochs"
        )
    return steps


def _train(flags: FinetuningFlags, job: Job, seed: int, output_dir: Path, world: World) -> float | None:
    """One training; gives the best result of its metric."""
    from bertworks.train import layers, loop
    from bertworks.train.best import Best

    steps = steps_in(flags, job.examples)
    if flags.early_stopping is not None and job.metric is None:
        raise InputError("--early_stopping: needs a dev set to compare on")
    every = steps_between(flags.eval_every, job.examples / flags.train_batch_size) if job.metric else 0
    best = None
    if job.metric is not None and flags.keep == "best":
        best = Best(output_dir, job.metric, job.write_model, flags.early_stopping)
    run = loop.Run(
        output_dir=output_dir,
        num_train_steps=steps,
        num_warmup_steps=int(steps * flags.warmup_proportion),
        learning_rate=flags.learning_rate,
        optimizer=flags.optimizer,
        weight_decay=flags.weight_decay,
        random_seed=seed,
        token_budget=flags.token_budget,
        log_every_steps=flags.log_every_steps,
        eval_every_steps=min(every, steps),
        save_checkpoints_steps=flags.save_checkpoints_steps,
        keep_checkpoint_max=flags.keep_checkpoint_max,
        identity={**job.identity, "--random_seed": seed, **_identity(flags, job)},
        settings=_settings(flags),
        rate_scale=layers.rate_scale(job.model, flags.layerwise_lr_decay),
        best=best,
        write_model=job.write_model,
        write_notes=partial(write_flags, output_dir, flags, _command(flags)),
    )
    results = loop.train(job.model, job.task, run, world)
    if best is not None:
        world.say(f"The best: {job.metric} {best.value:.4f} after step {best.step} of {steps}")
    _publish(output_dir, output_dir, job, flags.keep, world)
    if best is not None or job.metric is None:
        return best.value if best else None
    return (results or job.task.evaluate(job.model))[job.metric]


def _command(flags: FinetuningFlags) -> str:
    return type(flags).__module__.rpartition(".")[2]


def _publish(trained: Path, output_dir: Path, job: Job, keep: str, world: World) -> None:
    """Make the best model of a training the output folder's and the job's own."""
    from bertworks.checkpoints.load import load_into, open_checkpoint
    from bertworks.train import resume

    best = trained / "best"
    source = best if keep == "best" and (best / "model.safetensors").exists() else resume.steps(trained)[-1][1]
    if world.is_main:
        resume.publish(source, output_dir)
    world.wait()
    load_into(job.model, open_checkpoint(source, "--output_dir"))


def _identity(flags: FinetuningFlags, job: Job) -> dict[str, object]:
    """What makes a run what it is, by the flag to mend."""
    same = ("train_batch_size", "num_train_epochs", "optimizer", "max_seq_length", "freeze_layers", "train_fraction")
    begun = {f"--{name}": absolute_unless_name(getattr(flags, name)) for name in ("init_checkpoint", "model")}
    shape = {f"--bert_config_file ({n})": value for n, value in asdict(job.config).items() if n != "extra"}
    # Many a flag changes the data too: they come last, so that the flag is named.
    data = {"the training data (a hash)": job.training_data}
    return {**shape, **{f"--{name}": getattr(flags, name) for name in same}, **begun, **data}


def _settings(flags: FinetuningFlags) -> dict[str, object]:
    """Every flag, for the first line of metrics.jsonl."""
    apart = {"output_dir", "do_train", "do_eval", "do_predict"}
    names = [f.name for f in fields(flags) if f.metadata["group"] != RETIRED and f.name not in apart]
    return {name: getattr(flags, name) for name in names}


def show_learning_curves(flags: FinetuningFlags, metrics: Sequence[str]) -> None:
    """Draw the training that is in the output folder, or that of each seed, and say where.

    Args:
        metrics: names without `eval_`, the one that decides first.
    """
    from bertworks.train.pictures import learning_curve

    output_dir = Path(flags.output_dir)
    for path in sorted(output_dir.glob("seed-*/metrics.jsonl")) if flags.seeds else [output_dir / "metrics.jsonl"]:
        best = _best_of(path.parent, f"eval_{metrics[0]}") if flags.keep == "best" else None
        print(f"The learning curve: {learning_curve(path.parent, metrics, best)}")


def _best_of(folder: Path, metric: str) -> tuple[int, float] | None:
    """The step whose model a training kept, and its result."""
    from bertworks.train.best import Best

    best = Best(folder, metric, write_model=lambda _: None)
    best.begin(sys.maxsize)
    return None if best.step is None or best.value is None else (best.step, best.value)


def steps_of(output_dir: Path) -> int:
    """After how many steps the training in a folder ended, the best seed's where there are several; 0 without one."""
    from bertworks.train import resume

    seeds = output_dir / _SEEDS
    if seeds.exists():
        output_dir /= f"seed-{json.loads(seeds.read_text(encoding='utf-8'))['best']}"
    done = resume.steps(output_dir)
    return done[-1][0] if done else 0


def write_results(output_dir: Path, step: int, results: Mapping[str, float], first: Sequence[str] = ()) -> None:
    """Write `eval_results.txt` (`key = value` lines, the original's keys first) and `eval_results.json`; print them."""
    everything = {"global_step": step, **results}
    order = [*sorted(name for name in everything if name in first), *(n for n in everything if n not in first)]
    lines = [f"{name} = {everything[name]}" for name in order]
    files.write_text(output_dir / "eval_results.txt", "\n".join(lines) + "\n")
    files.write_text(output_dir / "eval_results.json", json.dumps({n: everything[n] for n in order}, indent=2) + "\n")
    print(*(f"  {line}" for line in lines), sep="\n")
