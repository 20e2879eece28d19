"""`bert run_pretraining`: masked words and next sentence, from scratch or from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks import files
from bertworks.commands.common import (
    MachineFlags,
    Precision,
    choose_precision,
    precision_name,
    warn_of_retired,
    write_flags,
)
from bertworks.errors import InputError
from bertworks.flags import REQUIRED, flag
from bertworks.progress import say

if TYPE_CHECKING:
    from bertworks.checkpoints.weights import Checkpoint
    from bertworks.config import BertConfig
    from bertworks.data.input import PretrainingInput
    from bertworks.data.instances import Source
    from bertworks.data.stream import Drawing
    from bertworks.model.heads import PretrainingModel
    from bertworks.text.tokenizer import Tokenizer
    from bertworks.train.distributed import World


@dataclass(kw_only=True)
class Flags(MachineFlags):
    """Pre-train BERT on masked words and next sentence.

    From scratch:  bert run_pretraining --input_file=SHARDS --output_dir=OUT --size=small --do_train --do_eval
    Continue from: --bert_config_file=... --init_checkpoint=... as in the original, or --model=FOLDER
    Killed?        The same command continues, to the same bits.
    """

    input_file: str = flag(
        REQUIRED,
        "What to train on: a folder of shards that create_pretraining_data wrote, shard files, or TFRecord files; "
        "comma lists and globs.",
        group="Input",
        path=True,
    )
    eval_input_file: str | None = flag(None, "What to evaluate on; the input, if not given.", group="Input", path=True)
    vocab_file: str | None = flag(
        None, "The vocabulary; shards carry theirs, which this is checked against.", group="Input", path=True
    )
    do_lower_case: bool = flag(
        True,
        "Casing to note in the output folder for TFRecord input; shards know theirs.",
        group="Input",
        alias="do_lower",
    )
    output_dir: str | None = flag(
        None, "Becomes a model folder; also holds checkpoints, metrics and results.", group="Output", path=True
    )

    bert_config_file: str | None = flag(
        None, "The model's shape, in the original's format (gelu there is the tanh form).", group="Model", path=True
    )
    init_checkpoint: str | None = flag(
        None,
        "Weights to begin with: a TensorFlow checkpoint (prefix), a model folder, a weights file.",
        group="Model",
        path=True,
    )
    model: str | None = flag(
        None, "A model folder to begin with, instead of the two flags above.", group="Model", path=True
    )
    size: str | None = flag(
        None,
        "From scratch by name: tiny, mini, small, medium, base, large, or layers/hidden such as 4/256.",
        group="Model",
    )

    max_seq_length: int = flag(128, "The longest instance, in tokens.", group="Instances")
    max_predictions_per_seq: int = flag(20, "The most masked words of an instance.", group="Instances")
    masked_lm_prob: float = flag(0.15, "Share of the tokens to mask (shards only).", group="Instances")
    short_seq_prob: float = flag(0.1, "Share of documents cut into shorter instances (shards only).", group="Instances")
    do_whole_word_mask: bool = flag(False, "Mask whole words rather than pieces (shards only).", group="Instances")
    random_seed: int = flag(12345, "Decides instances, masks, dropout and fresh weights.", group="Instances")
    show_step: int | None = flag(None, "Print the instances of this step and leave.", group="Instances")

    do_train: bool = flag(False, "Whether to train.", group="Training")
    train_batch_size: int = flag(32, "Instances of a step, over all processes and micro-batches.", group="Training")
    learning_rate: float = flag(5e-5, "The peak rate.", group="Training")
    num_train_steps: int = flag(100000, "Steps in all.", group="Training")
    num_warmup_steps: int = flag(10000, "Steps of linear warm-up.", group="Training")
    optimizer: Literal["adam", "adamw"] = flag(
        "adam", "adam is the original's, without bias correction; adamw has it.", group="Training"
    )
    weight_decay: float = flag(0.01, "Decoupled decay of all but LayerNorm and biases.", group="Training")
    save_checkpoints_steps: int = flag(1000, "Steps between checkpoints.", group="Training")
    keep_checkpoint_max: int = flag(5, "Checkpoints to keep.", group="Training")
    log_every_steps: int = flag(10, "Steps between lines of metrics.jsonl; each is a mean over them.", group="Training")

    do_eval: bool = flag(False, "Whether to evaluate at the end.", group="Evaluation")
    eval_batch_size: int = flag(8, "Instances of an evaluation batch.", group="Evaluation")
    max_eval_steps: int = flag(100, "Batches of an evaluation.", group="Evaluation")
    eval_every_steps: int = flag(0, "Evaluate during training too, every so many steps.", group="Evaluation")
    eval_precision: Precision = flag("fp32", "What evaluation computes in.", group="Evaluation")

    precision: Precision = flag(
        "auto", "What training computes in; auto is bf16 where the hardware multiplies it natively.", group="Machine"
    )
    gradient_checkpointing: bool = flag(
        False,
        "Recompute each block in the backward pass: a third more work, a fraction of the memory.",
        group="Machine",
    )
    token_budget: int | None = flag(
        None,
        "The most tokens of a micro-batch; found from the device if not given. Changes no result.",
        group="Machine",
    )


def main(flags: Flags) -> None:
    """Run the command."""
    _check(flags)
    if flags.show_step is not None:
        _show(flags, flags.show_step)
        return
    from bertworks.train import distributed

    world = distributed.start(flags.device)
    try:
        warn_of_retired(flags, world.device)
        _pretrain(flags, world)
    finally:
        world.close()


def _check(flags: Flags) -> None:
    """Refuse what cannot be meant."""
    if flags.show_step is not None:
        return
    if not (flags.do_train or flags.do_eval):
        raise InputError("give at least one of --do_train, --do_eval and --show_step")
    if not flags.output_dir:
        raise InputError("--output_dir: must be given")
    for name in ("train_batch_size", "eval_batch_size", "max_eval_steps", "num_train_steps", "keep_checkpoint_max"):
        if getattr(flags, name) < 1:
            raise InputError(f"--{name}={getattr(flags, name)}: must be at least 1")
    shapes = [name for name in ("model", "size", "bert_config_file") if getattr(flags, name)]
    if len(shapes) > 1:
        raise InputError(f"--{shapes[0]} and --{shapes[1]}: give one of them; each says what the model is")
    if flags.model and flags.init_checkpoint:
        raise InputError("--model and --init_checkpoint: give one of them; each says which weights to begin with")
    if not shapes and not flags.init_checkpoint:
        raise InputError("say what the model is: --size, --bert_config_file, --model or --init_checkpoint")


def _drawing(flags: Flags) -> Drawing:
    """How instances are drawn: the flags of the same names."""
    from bertworks.data.stream import Drawing

    return Drawing(**{field.name: getattr(flags, field.name) for field in fields(Drawing)})


def _open(flags: Flags, patterns: str, flag: str, vocab_size: int | None, *, training: bool) -> PretrainingInput:
    from bertworks.data.input import open_input

    return open_input(
        patterns,
        flag,
        _drawing(flags),
        vocab_file=flags.vocab_file,
        do_lower_case=flags.do_lower_case,
        vocab_size=vocab_size,
        shuffled=training,
        counts_file=Path(flags.output_dir) / "instance_counts.json" if training and flags.output_dir else None,
    )


def _show(flags: Flags, step: int) -> None:
    """Print what step `step` trains on."""
    from bertworks.data.show import show_instances

    opened = _open(flags, flags.input_file, "--input_file", None, training=True)
    if opened.tokenizer is None:
        raise InputError("--show_step: give --vocab_file, these records do not carry their vocabulary")
    first = step * flags.train_batch_size
    drawn = opened.source.instances(first, first + flags.train_batch_size)
    print(show_instances(drawn, opened.tokenizer.tokens), end="")


def _pretrain(flags: Flags, world: World) -> None:
    """Train and evaluate, as the flags say."""
    from bertworks.checkpoints.load import load_into
    from bertworks.model.heads import PretrainingModel
    from bertworks.tasks import pretraining
    from bertworks.train import loop, resume

    output_dir, speak = Path(flags.output_dir or ""), say if world.is_main else _silent
    newest = resume.newest(output_dir)
    start, config = _start(flags)
    opened = _open(flags, flags.input_file, "--input_file", config.vocab_size if config else None, training=True)
    config = _fitting(flags, config, opened.tokenizer)
    model = PretrainingModel(config)
    model.initialise(flags.random_seed)
    model.gradient_checkpointing = flags.gradient_checkpointing
    if newest is not None and not flags.do_train:
        resume.load_weights(newest, model)
        speak(f"Evaluating {newest.folder}")
    elif newest is None and start is not None:
        speak(str(load_into(model, start, config)))
    model.to(world.device)

    evaluated = _open(
        flags, flags.eval_input_file or flags.input_file, "--eval_input_file", config.vocab_size, training=False
    )
    precision = choose_precision(flags.precision, world.device)
    task = pretraining.task(
        pretraining.Pretraining(
            source=opened.source,
            eval_source=evaluated.source,
            vocab_size=config.vocab_size,
            train_batch_size=flags.train_batch_size,
            eval_batch_size=flags.eval_batch_size,
            max_eval_steps=flags.max_eval_steps,
            precision=precision,
            eval_precision=choose_precision(flags.eval_precision, world.device),
        )
    )
    results = None
    if flags.do_train:
        speak(f"Pre-training on {world.device} in {precision_name(precision)}: {_summary(config, model, opened)}")
        settings = {name: getattr(flags, name) for name in _MAY_CHANGE} | {"precision": precision_name(precision)}
        if world.is_main:
            write_flags(output_dir, flags, "run_pretraining")
        run = loop.Run(
            output_dir=output_dir,
            identity=_identity(flags, opened.source, config),
            settings=settings,
            write_model=partial(_write_model, config=config, model=model, tokenizer=opened.tokenizer),
            **{name: getattr(flags, name) for name in _OF_THE_LOOP},
        )
        results = loop.train(model, task, run, world)
        speak(f"The model: {output_dir} (opens in transformers too)")
    if flags.do_eval and world.is_main:
        step = newest.step if (newest := resume.newest(output_dir)) else 0
        _write_results(output_dir, step, results or task.evaluate(model))


# What a resume may change, said aloud.
_MAY_CHANGE = (
    "learning_rate",
    "num_train_steps",
    "num_warmup_steps",
    "weight_decay",
    "save_checkpoints_steps",
    "gradient_checkpointing",
)
_OF_THE_LOOP = (
    *("learning_rate", "num_train_steps", "num_warmup_steps", "optimizer", "weight_decay", "random_seed"),
    *("token_budget", "log_every_steps", "eval_every_steps", "save_checkpoints_steps", "keep_checkpoint_max"),
)


def _identity(flags: Flags, source: Source, config: BertConfig) -> dict[str, object]:
    """What makes the run what it is, by the flag to mend."""
    drawn = {f"--{name}": value for name, value in source.identity().items()}
    same = ("random_seed", "train_batch_size", "optimizer", "init_checkpoint", "model")
    shape = {f"model's {name}": value for name, value in asdict(config).items() if name != "extra"}
    return {**drawn, **{f"--{name}": getattr(flags, name) for name in same}, **shape}


def _silent(message: str) -> None:
    """What the other processes say."""


def _start(flags: Flags) -> tuple[Checkpoint | None, BertConfig | None]:
    """The weights to begin with and the model's shape, as far as the flags alone tell."""
    from bertworks.checkpoints.load import open_checkpoint
    from bertworks.config import BertConfig

    start = None
    if flags.model:
        start = open_checkpoint(flags.model, "--model")
    elif flags.init_checkpoint:
        start = open_checkpoint(flags.init_checkpoint)
    if flags.bert_config_file:
        return start, BertConfig.from_google_file(flags.bert_config_file)
    if start is not None and start.config is None:
        raise InputError(f"{start.path}: no configuration lies beside these weights; give --bert_config_file")
    return start, start.config if start else None


def _fitting(flags: Flags, config: BertConfig | None, tokenizer: Tokenizer | None) -> BertConfig:
    """The model's shape, checked against the instances it is to be trained on."""
    from bertworks.config import BertConfig

    if config is None:
        if tokenizer is None:
            raise InputError("--size: give --vocab_file too; these records do not carry their vocabulary")
        config = BertConfig.from_size(flags.size or "", tokenizer.vocab_size)
    if tokenizer is not None and tokenizer.vocab_size > config.vocab_size:
        raise InputError(
            f"--vocab_file: the vocabulary has {tokenizer.vocab_size} words, the model only {config.vocab_size} "
            "(vocab_size in --bert_config_file)"
        )
    if flags.max_seq_length > config.max_position_embeddings:
        raise InputError(
            f"--max_seq_length={flags.max_seq_length}: the model has {config.max_position_embeddings} positions "
            "(max_position_embeddings)"
        )
    return config


def _summary(config: BertConfig, model: PretrainingModel, opened: PretrainingInput) -> str:
    """One line about model and data."""
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    words = "" if opened.tokenizer is None else f", {opened.tokenizer.vocab_size:,} words"
    return f"{config.num_hidden_layers} layers of {config.hidden_size}, {parameters:.1f} M parameters{words}"


def _write_model(folder: Path, config: BertConfig, model: PretrainingModel, tokenizer: Tokenizer | None) -> None:
    """Write a model folder that everybody can open."""
    from bertworks.checkpoints.huggingface import save_model_folder

    save_model_folder(folder, config, model.state_dict())
    if tokenizer is not None:
        tokenizer.save(folder)


def _write_results(output_dir: Path, step: int, results: Mapping[str, float]) -> None:
    """Write eval_results.txt and print it: `key = value` lines, keys sorted, as the original."""
    lines = [f"{name} = {value}" for name, value in sorted({"global_step": step, **results}.items())]
    files.write_text(output_dir / "eval_results.txt", "\n".join(lines) + "\n")
    print("***** Eval results *****", *(f"  {line}" for line in lines), sep="\n")
