"""Train a job with one seed or several, leave the best model in the output folder, and show the results."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from bertworks import files
from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.errors import InputError, damage_named
from bertworks.finetuning.flags import FinetuningFlags, seeds_of, steps_between
from bertworks.flag_groups import NO_SETTINGS
from bertworks.flags import recorded
from bertworks.job import Job, Network, Setup
from bertworks.train import loop, resume
from bertworks.train.best import Best
from bertworks.train.distributed import World
from bertworks.train.notes import write_notes
from bertworks.train.optimizer import layerwise_rate_scale
from bertworks.train.report import learning_curve
from bertworks.train.results import begun_with, finish, shape_of, steps_done, write_model
from bertworks.train.run import Run, of_machine

SEEDS = "seeds.json"

# A kill sets a fine-tuning back by no more than this.
SAVE_EVERY_MINUTES = 5.0

BuildNetwork = Callable[[int], Network]


def train(flags: FinetuningFlags, setup: Setup, job: Job, build: BuildNetwork, world: World) -> Network:
    """Train with one seed or several. The output folder, and the network returned, end as the best.

    Args:
        build: from a seed to the network that is trained with it, from the beginning.
    """
    output_dir = setup.output_dir
    if flags.seeds is None:
        network = build(flags.random_seed)
        _train(flags, setup, job, network, flags.random_seed, output_dir, world)
        if world.is_main:
            # The model is no longer the best of seeds that the folder was trained with before.
            (output_dir / SEEDS).unlink(missing_ok=True)
        return network
    resume.check_own(output_dir)
    found: dict[int, float] = {}
    kept: dict[int, Path] = {}
    for seed in seeds_of(flags):
        world.say(f"Seed {seed}:")
        network = build(seed)
        if not job.has_dev:
            raise InputError("--seeds: needs a dev set to compare on")
        best, kept[seed] = _train(flags, setup, job, network, seed, output_dir / f"seed-{seed}", world)
        found[seed] = best if best is not None else float("nan")
    winner = max(found, key=lambda seed: found[seed])
    _compare(found, winner, f"eval_{job.metrics[0]}", output_dir, world)
    network = build(winner)
    _publish(kept[winner], output_dir, network, world)
    return network


def _compare(found: Mapping[int, float], winner: int, metric: str, output_dir: Path, world: World) -> None:
    """Show mean and spread over the seeds, and write them to seeds.json."""
    values = list(found.values())
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))
    world.say("\n".join(f"  seed {seed:<8} {metric} {value:.4f}" for seed, value in found.items()))
    world.say(f"  mean          {metric} {mean:.4f}, standard deviation {spread:.4f}")
    if world.is_main:
        seeds = {str(seed): value for seed, value in found.items()}
        table = {"metric": metric, "seeds": seeds, "mean": mean, "deviation": spread, "best": winner}
        files.write_text(output_dir / SEEDS, json.dumps(table, indent=2) + "\n")


def steps_in(flags: FinetuningFlags, examples: int) -> int:
    """Count the steps of a training.

    Raises:
        InputError: it has none.
    """
    steps = int(examples / flags.train_batch_size * flags.num_train_epochs)
    if steps < 1:
        raise InputError(
            f"--num_train_epochs={flags.num_train_epochs}: {examples} examples in batches of "
            f"{flags.train_batch_size} are less than one step; lower --train_batch_size or raise --num_train_epochs"
        )
    return steps


def _train(
    flags: FinetuningFlags, setup: Setup, job: Job, network: Network, seed: int, output_dir: Path, world: World
) -> tuple[float | None, Path]:
    """Train once.

    Returns:
        the best result of the metric that decides, None without a dev set; and the folder of the model that is kept.
    """
    steps = steps_in(flags, job.examples)
    if flags.early_stopping is not None and not job.has_dev:
        raise InputError("--early_stopping: needs a dev set to compare on")
    metric = f"eval_{job.metrics[0]}"
    every = steps_between(flags.eval_every, job.examples / flags.train_batch_size) if job.has_dev else 0
    write = partial(write_model, job.config, setup.tokenizer, job.architecture, folded=job.folded)
    best = None
    if job.has_dev and flags.keep == "best":
        best = Best(output_dir, metric, write, flags.early_stopping)
    task = job.task(seed)
    command = type(flags).__module__.rpartition(".")[2]
    run = Run(
        output_dir=output_dir,
        num_train_steps=steps,
        examples=job.examples,
        num_warmup_steps=int(steps * flags.warmup_proportion),
        learning_rate=flags.learning_rate,
        optimizer=flags.optimizer,
        weight_decay=flags.weight_decay,
        random_seed=seed,
        precision=setup.precision,
        max_seq_length=flags.max_seq_length,
        log_every_steps=flags.log_every_steps,
        eval_every_steps=min(every, steps),
        save_at_evaluations=True,
        save_every_minutes=SAVE_EVERY_MINUTES,
        save_checkpoints_steps=flags.save_checkpoints_steps,
        keep_checkpoint_max=flags.keep_checkpoint_max,
        **of_machine(flags),
        identity={**job.identity, "--random_seed": seed, **_identity(flags, job)},
        settings=recorded(flags, without=("output_dir", "do_train", "do_eval", "do_predict", *NO_SETTINGS)),
        rate_scale=layerwise_rate_scale(network, flags.layerwise_lr_decay),
        best=best,
        write_model=write,
        write_notes=partial(
            write_notes,
            *(output_dir, flags, command, world),
            amounts=job.amounts,
            data_hash=job.training_data,
            precision=setup.precision,
            eval_precision=setup.eval_precision,
        ),
    )
    results = loop.train(network, task, run, world)
    value = None if best is None or _ended_with_last(output_dir) else best.value
    if best is not None and value is not None:
        world.say(f"The best: {metric} {value:.4f} after step {best.step} of {steps}")
    elif best is not None:
        world.say("The training ended with its last model (without --do_eval, or with --keep=last), which stays")
    kept = _best_model(output_dir) if value is not None else _last_model(output_dir, flags.keep, world)
    _publish(kept, output_dir, network, world)
    if not flags.was_given("keep_checkpoint_max") and world.is_main:
        finish(output_dir, keep_model=kept != output_dir / "best")
    world.wait()
    if value is None and job.has_dev:
        value = (results or task.evaluate(network))[metric]
    return value, kept


def _identity(flags: FinetuningFlags, job: Job) -> dict[str, object]:
    """Return what must not change when a run continues, by the flag to change."""
    return {
        **shape_of(job.config, "--bert_config_file"),
        "--train_batch_size": flags.train_batch_size,
        "--num_train_epochs": flags.num_train_epochs,
        "--optimizer": flags.optimizer,
        "--optimizer_bits": int(flags.optimizer_bits),
        "--max_seq_length": flags.max_seq_length,
        "--freeze_layers": flags.freeze_layers,
        "--train_fraction": flags.train_fraction,
        **begun_with(flags.model, flags.init_checkpoint),
        # Many flags change the data too. The data come last, so that a message names the flag.
        "the training data (a hash)": job.training_data,
    }


def _ended_with_last(trained: Path) -> bool:
    """Tell whether a training has ended, and kept its last model rather than a best one; see `results.finish`."""
    done = resume.steps(trained)
    names = {path.name for path in done[-1][1].iterdir()} if done else set()
    return "model.safetensors" in names and "optimizer.safetensors" not in names


def _best_model(trained: Path) -> Path:
    """Return the folder of the best model of a training, or of the last one if somebody removed the best."""
    best = trained / "best"
    return best if (best / "model.safetensors").exists() else resume.steps(trained)[-1][1]


def _last_model(trained: Path, keep: str, world: World) -> Path:
    """Return the folder of the last model of a training, or of the best one if only that was kept."""
    last, best = resume.steps(trained)[-1][1], trained / "best"
    if not (last / "model.safetensors").exists():
        world.say("The last model was not kept when the training ended; the best one stays")
        return best
    if keep == "best" and best.exists():
        world.say(f"{best}: is of an earlier part of this training and not compared with its last model, which stays")
    return last


def _publish(source: Path, output_dir: Path, network: Network, world: World) -> None:
    """Copy the model that is kept to the output folder and into the network."""
    found = open_checkpoint(source, "--output_dir")
    if world.is_main:
        resume.publish(source, output_dir)
    world.wait()
    load_into(network, found)
    world.wait()  # nobody removes what another process still reads


def show_learning_curves(flags: FinetuningFlags, metrics: Sequence[str]) -> None:
    """Draw the training in the output folder, or that of each seed, and print the path of the picture.

    Args:
        metrics: names without `eval_`, the one that decides first.
    """
    output_dir = Path(flags.output_dir)
    for path in sorted(output_dir.glob("seed-*/metrics.jsonl")) if flags.seeds else [output_dir / "metrics.jsonl"]:
        has_best = flags.keep == "best" and flags.do_eval and not _ended_with_last(path.parent)
        best = _best_of(path.parent, f"eval_{metrics[0]}") if has_best else None
        print(f"The learning curve: {learning_curve(path.parent, metrics, best)}")


def _best_of(folder: Path, metric: str) -> tuple[int, float] | None:
    """Return the step whose model a training kept, and its result."""
    best = Best(folder, metric, write_model=lambda folder, weights: None)
    best.begin(sys.maxsize)
    return None if best.step is None or best.value is None else (best.step, best.value)


def steps_of(output_dir: Path) -> int:
    """Return the number of steps of the training in a folder, or of its best seed; 0 if there is no training."""
    seeds = output_dir / SEEDS
    if seeds.exists():
        with damage_named(seeds, "restore it, or give --do_train to write it again"):
            output_dir /= f"seed-{int(json.loads(seeds.read_bytes())['best'])}"
    return steps_done(output_dir)
