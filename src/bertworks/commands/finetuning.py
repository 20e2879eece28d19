"""What every fine-tuning command shares: its flags, and training with them, one seed or several."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from bertworks import files
from bertworks.commands.common import MachineFlags, Precision, write_flags
from bertworks.commands.model_flags import ModelFlags, named_checkpoint
from bertworks.errors import InputError
from bertworks.flags import REQUIRED, RETIRED, absolute_unless_name, flag

if TYPE_CHECKING:
    from torch import nn

    from bertworks.checkpoints.weights import Checkpoint
    from bertworks.config import BertConfig
    from bertworks.model.heads import SequenceClassifier, TokenClassifier
    from bertworks.task import Task
    from bertworks.text.tokenizer import Tokenizer
    from bertworks.train.distributed import World


RowType = TypeVar("RowType")


@dataclass(kw_only=True)
class FinetuningFlags(ModelFlags, MachineFlags):
    """The flags of every fine-tuning; names and defaults are the original's where it has them."""

    output_dir: str = flag(
        REQUIRED,
        "Where the model, its results and predictions go; continues there.",
        group="Output",
        path=True,
        alias="save_finetune_checkpoint_path",
    )
    max_seq_length: int = flag(
        128, "Longer texts are cut.", group="Input", lowest=3, alias="max_length max_len seq_length"
    )

    do_train: bool = flag(False, "Train on the training set.", group="What to do")
    do_eval: bool = flag(False, "Evaluate on the dev set.", group="What to do")
    do_predict: bool = flag(False, "Predict the test set.", group="What to do")

    train_batch_size: int = flag(
        32,
        "Examples of a step, whatever the memory.",
        group="Training",
        lowest=1,
        alias="batch_size per_device_train_batch_size",
    )
    learning_rate: float = flag(5e-5, "The peak of the learning rate.", group="Training", lowest=0, alias="lr")
    num_train_epochs: float = flag(
        3.0, "How often every example is seen.", group="Training", lowest=0, alias="epochs num_epochs epoch_num"
    )
    warmup_proportion: float = flag(
        0.1, "The share of the steps that warm up.", group="Training", lowest=0, alias="warmup_ratio"
    )
    random_seed: int = flag(
        12345, "Decides fresh weights, order and dropout.", group="Training", lowest=0, alias="seed"
    )
    seeds: str | None = flag(
        None, "Several seeds, such as 1,2,3: trains with each, shows mean and spread, keeps the best.", group="Training"
    )
    optimizer: Literal["adam", "adamw"] = flag(
        "adam", "adam is the original's; adamw corrects.", group="Training", other_names={"bertadam": "adam"}
    )
    weight_decay: float = flag(0.01, "Decay of all but biases and LayerNorm.", group="Training", lowest=0)
    dropout: float | None = flag(None, "Another dropout than the model's.", group="Training", lowest=0)
    freeze_layers: int = flag(
        0, "Leave the embeddings and so many layers as they are; -1: the embeddings only.", group="Training", lowest=-1
    )
    layerwise_lr_decay: float = flag(
        1.0, "Each layer learns so many times as fast as the one above it.", group="Training", lowest=0
    )
    train_fraction: float = flag(1.0, "Train on a share of the examples.", group="Training", lowest=0)
    gradient_checkpointing: bool = flag(False, "Spend time instead of memory.", group="Training")
    token_budget: int | None = flag(
        None, "Tokens of a micro-batch; by default from the device.", group="Training", lowest=1
    )

    eval_every: str | None = flag(
        None, "Evaluate every so many steps (100) or epochs (0.5); by default every epoch.", group="Evaluation"
    )
    early_stopping: int | None = flag(
        None,
        "Stop after so many evaluations without a better one.",
        group="Evaluation",
        lowest=1,
        alias="early_stop",
    )
    keep: Literal["best", "last"] = flag("best", "Which model the output folder ends with.", group="Evaluation")
    save_checkpoints_steps: int = flag(1000, "Steps between checkpoints.", group="Output", lowest=0, alias="save_steps")
    keep_checkpoint_max: int = flag(1, "Checkpoints to keep.", group="Output", lowest=1, alias="save_total_limit")
    log_every_steps: int = flag(
        10, "Steps between lines of metrics.jsonl.", group="Output", lowest=0, alias="logging_steps log_interval"
    )

    precision: Precision = flag("auto", "Of training: bf16, fp32; auto: what is fast.", group="Machine")
    eval_precision: Precision = flag("fp32", "Of evaluation and prediction.", group="Machine")
    eval_batch_size: int = flag(8, "", group=RETIRED, alias="per_device_eval_batch_size dev_batch_size")
    predict_batch_size: int = flag(8, "", group=RETIRED)


@dataclass(frozen=True)
class Job:
    """What one training is of.

    Attributes:
        model: on the device, its weights loaded.
        config: its numbers.
        task: as the loop takes it.
        examples: in the training set.
        metric: the result that decides which model is best; None where there is nothing to evaluate on.
        identity: flag -> value of what must not change when it is resumed.
        write_model: writes the model folder into the empty folder it is given.
    """

    model: nn.Module
    config: BertConfig
    task: Task
    examples: int
    metric: str | None
    identity: Mapping[str, object]
    write_model: Callable[[Path], None]


def starting_checkpoint(flags: FinetuningFlags, output_dir: Path) -> Checkpoint:
    """What to begin with; without training, what was trained in the output folder before, as the original does."""
    from bertworks.checkpoints.load import open_checkpoint

    both = flags.model and flags.init_checkpoint
    if not both and not flags.do_train and (output_dir / "model.safetensors").exists():
        return open_checkpoint(output_dir, "--output_dir")
    return named_checkpoint(flags)


def share(rows: Sequence[RowType], fraction: float, seed: int) -> Sequence[RowType]:
    """A random part of the rows, in their order; a smaller fraction is part of a larger one."""
    from bertworks.data.sequences import shuffled

    if fraction >= 1:
        return rows
    kept = shuffled(seed, len(rows), 0, len(rows))[: max(1, round(fraction * len(rows)))]
    return [rows[i] for i in sorted(kept.tolist())]


def adapted(flags: FinetuningFlags, config: BertConfig) -> BertConfig:
    """The model's numbers as the flags change them.

    Raises:
        InputError: --max_seq_length is beyond its positions.
    """
    if flags.max_seq_length > config.max_position_embeddings:
        raise InputError(
            f"--max_seq_length={flags.max_seq_length}: the model has {config.max_position_embeddings} positions"
        )
    if flags.dropout is None:
        return config
    return replace(config, hidden_dropout_prob=flags.dropout, attention_probs_dropout_prob=flags.dropout)


def with_labels(config: BertConfig, labels: Sequence[str], **more: object) -> BertConfig:
    """A configuration that says what the outputs of a classifier are called, as Hugging Face's classes read it."""
    names = {"id2label": {str(i): n for i, n in enumerate(labels)}, "label2id": {n: i for i, n in enumerate(labels)}}
    return replace(config, extra={**config.extra, **names, **more})


def prepare(
    flags: FinetuningFlags,
    model: SequenceClassifier | TokenClassifier,
    checkpoint: Checkpoint,
    config: BertConfig,
    seed: int,
    world: World,
) -> None:
    """Load a model's weights, draw those that are missing, and bring it to the device.

    Raises:
        InputError: the classifier is missing, or another one, and nothing is to be trained.
    """
    from bertworks.checkpoints.load import load_into
    from bertworks.model.heads import initialise

    report = load_into(model, checkpoint, config)
    fresh = {*report.missing, *report.misfits}
    if not flags.do_train and any(name.startswith(("classifier.", "crf.")) for name in fresh):
        classes = len(model.classifier.weight)
        raise InputError(f"{checkpoint.path}: has no classifier for these {classes} classes; train one (--do_train)")
    initialise(model, config.initializer_range, seed, fresh)
    freeze(model, flags.freeze_layers)
    model.gradient_checkpointing = flags.gradient_checkpointing
    model.to(world.device)
    world.say(str(report))


def freeze(model: nn.Module, layers: int) -> None:
    """Keep the embeddings and the first `layers` layers as they are; 0 freezes nothing, -1 the embeddings only."""
    from bertworks.checkpoints.names import layer_of

    if not layers:
        return
    for name, parameter in model.named_parameters():
        layer = layer_of(name)
        if name.startswith("bert.embeddings.") or (layer is not None and layer < layers):
            parameter.requires_grad_(False)


def write_model(model: nn.Module, config: BertConfig, architecture: str, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a model folder that everybody can open."""
    from bertworks.checkpoints.huggingface import save_model_folder

    save_model_folder(folder, config, model.state_dict(), architecture)
    tokenizer.save(folder)


def train(flags: FinetuningFlags, make: Callable[[int], Job], world: World) -> Job:
    """Train with one seed or several; the output folder, and the job's model, end as the best.

    Args:
        make: from a seed to what is trained with it, from the beginning.
    """
    output_dir = Path(flags.output_dir)
    if flags.seeds is None:
        job = make(flags.random_seed)
        _train(flags, job, flags.random_seed, output_dir, world)
        return job
    seeds = _seeds(flags.seeds)
    found: dict[int, float] = {}
    for seed in seeds:
        world.say(f"Seed {seed}:")
        job = make(seed)
        if job.metric is None:
            raise InputError("--seeds: needs a dev set to compare on")
        best = _train(flags, job, seed, output_dir / f"seed-{seed}", world)
        found[seed] = best if best is not None else float("nan")
    _compare(found, job.metric or "", output_dir, world)
    winner = max(found, key=lambda seed: found[seed])
    job = make(winner)
    _publish(output_dir / f"seed-{winner}", output_dir, job, flags.keep, world)
    return job


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--seeds={text}: give whole numbers with commas between, such as 1,2,3") from None
    return list(dict.fromkeys(seeds))


def _compare(found: Mapping[int, float], metric: str, output_dir: Path, world: World) -> None:
    """Mean and spread over the seeds, in a table and in seeds.json."""
    values = list(found.values())
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))
    world.say("\n".join(f"  seed {seed:<8} {metric} {value:.4f}" for seed, value in found.items()))
    world.say(f"  mean          {metric} {mean:.4f}, standard deviation {spread:.4f}")
    if world.is_main:
        table = {"metric": metric, "seeds": {str(s): v for s, v in found.items()}, "mean": mean, "deviation": spread}
        files.write_text(output_dir / "seeds.json", json.dumps(table, indent=2) + "\n")


def _train(flags: FinetuningFlags, job: Job, seed: int, output_dir: Path, world: World) -> float | None:
    """One training; gives the best result of its metric."""
    from bertworks.train import loop
    from bertworks.train.best import Best

    steps = int(job.examples / flags.train_batch_size * flags.num_train_epochs)
    if steps < 1:
        raise InputError(
            f"--num_train_epochs={flags.num_train_epochs}: {job.examples} examples in batches of "
            f"{flags.train_batch_size} make no step; lower --train_batch_size or raise the epochs"
        )
    every = _steps_between(flags.eval_every, job.examples / flags.train_batch_size) if job.metric else 0
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
        rate_scale=_rate_scale(job.model, flags.layerwise_lr_decay),
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


def _steps_between(every: str | None, steps_of_epoch: float) -> int:
    """How many steps lie between evaluations."""
    try:
        if every is None or "." in every:
            return max(1, round(steps_of_epoch * float(every or 1)))
        return max(1, int(every))
    except ValueError:
        raise InputError(f"--eval_every={every}: give steps, such as 100, or epochs, such as 0.5") from None


def _rate_scale(model: nn.Module, decay: float) -> Callable[[str], float]:
    """What each parameter's learning rate is multiplied by: `decay` once for every layer above it."""
    from bertworks.checkpoints.names import layer_of

    layers = max(
        (layer + 1 for name, _ in model.named_parameters() if (layer := layer_of(name)) is not None), default=0
    )

    def scale(name: str) -> float:
        layer = layer_of(name)
        above = layers - layer if layer is not None else layers + 1 if name.startswith("bert.embeddings.") else 0
        return float(decay**above)

    return scale


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
    return {**shape, **{f"--{name}": getattr(flags, name) for name in same}, **begun}


def _settings(flags: FinetuningFlags) -> dict[str, object]:
    """Every flag, for the first line of metrics.jsonl."""
    apart = {"output_dir", "do_train", "do_eval", "do_predict"}
    names = [f.name for f in fields(flags) if f.metadata["group"] != RETIRED and f.name not in apart]
    return {name: getattr(flags, name) for name in names}


def write_results(output_dir: Path, step: int, results: Mapping[str, float], first: Sequence[str] = ()) -> None:
    """Write `eval_results.txt` (`key = value` lines, the original's keys first) and `eval_results.json`; print them."""
    everything = {"global_step": step, **results}
    order = [*sorted(name for name in everything if name in first), *(n for n in everything if n not in first)]
    lines = [f"{name} = {everything[name]}" for name in order]
    files.write_text(output_dir / "eval_results.txt", "\n".join(lines) + "\n")
    files.write_text(output_dir / "eval_results.json", json.dumps({n: everything[n] for n in order}, indent=2) + "\n")
    print(*(f"  {line}" for line in lines), sep="\n")
