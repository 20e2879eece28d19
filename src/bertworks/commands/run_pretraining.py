"""`bert run_pretraining`: masked words and next sentence, from scratch or from a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks import files
from bertworks.card.record import Amount
from bertworks.card.write import write_card_of_run
from bertworks.checkpoints.early import check_model, vocabulary
from bertworks.errors import InputError
from bertworks.flag_groups import NO_SETTINGS, Precision, TrainingMachineFlags
from bertworks.flags import REQUIRED, flag, recorded

if TYPE_CHECKING:
    from bertworks.checkpoints.resolve import StartingPoint
    from bertworks.config import BertConfig
    from bertworks.data.input import PretrainingInput
    from bertworks.train.distributed import World


@dataclass(frozen=True, kw_only=True)
class Flags(TrainingMachineFlags):
    """Pre-train BERT on masked words and next sentence.

    From scratch:  bert run_pretraining --input_file=SHARDS --output_dir=OUT --size=small --do_train --do_eval
    Continue from: --bert_config_file=... --init_checkpoint=... as in the original, or --model=FOLDER
    After a kill:  the same command continues; on CPU the result has the same bits
    To look:       --show_step=0 prints the instances of the first step
    """

    shown_first = "input_file output_dir model size max_seq_length do_train do_eval train_batch_size num_train_steps"
    input_file: str = flag(
        REQUIRED,
        "The data to train on: a folder of shards that create_pretraining_data wrote, shard files, or "
        "TFRecord files; several with commas between, and globs.",
        group="Input",
        path=True,
    )
    eval_input_file: str | None = flag(
        None, "The data to evaluate on; by default --input_file.", group="Input", path=True
    )
    vocab_file: str | None = flag(
        None, "The vocabulary. Shards have their own, and this one must be the same.", group="Input", path=True
    )
    do_lower_case: bool | None = flag(
        None,
        "Whether the text of TFRecord files of other programs is lower-cased; by default as the model says, or True. "
        "Other input knows it itself.",
        group="Input",
        alias="do_lower",
    )
    strip_accents: bool | None = flag(
        None, "Whether such files are without accents; by default where text is lower-cased.", group="Input"
    )
    output_dir: str | None = flag(
        None,
        "The model folder to write; it also gets checkpoints, metrics and results.",
        group="Output",
        path="written folder",
    )

    bert_config_file: str | None = flag(
        None,
        "The model's configuration, in the original's format (gelu there is the tanh form).",
        group="Model",
        path=True,
    )
    init_checkpoint: str | None = flag(
        None,
        "The weights to begin with: a TensorFlow checkpoint (prefix), a model folder, or a weights file.",
        group="Model",
        path="or name",
    )
    model: str | None = flag(
        None,
        "The model to begin with, instead of the two flags above: a name (`bert models` lists them), a "
        "folder or a zip.",
        group="Model",
        path="or name",
    )
    size: str | None = flag(
        None,
        "Train from scratch a model of this size: tiny, mini, small, medium, base, large, or layers/hidden "
        "such as 4/256.",
        group="Model",
    )

    max_seq_length: int = flag(128, "The longest instance, in tokens.", group="Instances")
    max_predictions_per_seq: int = flag(20, "The most masked words of an instance.", group="Instances", lowest=1)
    masked_lm_prob: float = flag(0.15, "The share of the tokens to mask (shards only).", group="Instances", lowest=0)
    short_seq_prob: float = flag(
        0.1, "The share of documents cut into shorter instances (shards only).", group="Instances", lowest=0
    )
    do_whole_word_mask: bool = flag(False, "Mask whole words rather than pieces (shards only).", group="Instances")
    next_sentence: bool = flag(
        True,
        "Learn whether the second of two texts follows; False: contiguous text fills each instance (shards only).",
        group="Instances",
    )
    random_seed: int = flag(12345, "Seed of instances, masks, dropout and new weights.", group="Instances", lowest=0)
    show_step: int | None = flag(None, "Print the instances of this step and exit.", group="Instances", lowest=0)

    do_train: bool = flag(False, "Train the model.", group="Training")
    train_batch_size: int = flag(
        32, "Instances in each training step, over all processes and micro-batches.", group="Training", lowest=1
    )
    learning_rate: float = flag(5e-5, "The peak of the learning rate.", group="Training", lowest=0)
    num_train_steps: int = flag(100000, "How many steps the whole training has.", group="Training", lowest=1)
    num_warmup_steps: int = flag(
        10000, "Steps in which the learning rate rises to its peak, in a line.", group="Training", lowest=0
    )
    optimizer: Literal["adam", "adamw"] = flag(
        "adam", "adam is the original's, without bias correction; adamw has it.", group="Training"
    )
    weight_decay: float = flag(0.01, "Decay of all weights but biases and LayerNorm.", group="Training", lowest=0)
    save_checkpoints_steps: int = flag(1000, "Steps between checkpoints.", group="Training", lowest=0)
    keep_checkpoint_max: int = flag(5, "How many checkpoints to keep.", group="Training", lowest=1)
    log_every_steps: int = flag(
        10, "Steps between lines of metrics.jsonl; each line is a mean over them.", group="Training", lowest=0
    )

    do_eval: bool = flag(False, "Evaluate the model at the end.", group="Evaluation")
    eval_batch_size: int = flag(8, "Instances in each evaluation batch.", group="Evaluation", lowest=1)
    max_eval_steps: int = flag(100, "How many batches an evaluation has.", group="Evaluation", lowest=1)
    eval_every_steps: int = flag(
        0, "Also evaluate during training, each time after this many steps; 0: do not.", group="Evaluation", lowest=0
    )
    eval_precision: Precision = flag("fp32", "What evaluation computes in; int8 on CPU only.", group="Evaluation")


# Flags that say what a run is about, not how it is done.
_ABOUT = ("output_dir", "input_file", "do_train", "do_eval", "show_step", "size", "bert_config_file", *NO_SETTINGS)


def main(flags: Flags) -> None:
    """Run the command."""
    if flags.show_step is not None:
        opened = _open(flags, None, training=True)
        print(opened.shown(flags.show_step, flags.train_batch_size), end="")
        return
    if not (flags.do_train or flags.do_eval):
        raise InputError("give at least one of --do_train, --do_eval and --show_step")
    if flags.plan and not flags.do_train:
        raise InputError("--plan: is the plan of a training; give --do_train too")
    if not flags.output_dir:
        raise InputError("--output_dir: must be given")
    files.expand(flags.input_file, "--input_file")
    if not flags.size:
        check_model(flags, needed=False)
    from bertworks.train.agreement import joined

    with joined(flags) as world:
        if flags.do_train and flags.num_warmup_steps >= flags.num_train_steps:
            world.say(f"--num_warmup_steps={flags.num_warmup_steps}: the rate never reaches its peak in these steps.")
        _pretrain(flags, Path(flags.output_dir), world)
        if world.is_main:
            write_card_of_run(Path(flags.output_dir))


def _open(flags: Flags, start: StartingPoint | None, *, training: bool) -> PretrainingInput:
    """Open instances to train on or to evaluate on; what the flags leave open, the starting point tells."""
    from bertworks.checkpoints.resolve import tokenizer_or_none
    from bertworks.data.input import open_input
    from bertworks.data.stream import Drawing

    checkpoint = start.checkpoint if start else None
    return open_input(
        flags.input_file if training else flags.eval_input_file or flags.input_file,
        "--input_file" if training else "--eval_input_file",
        Drawing(
            max_seq_length=flags.max_seq_length,
            max_predictions_per_seq=flags.max_predictions_per_seq,
            masked_lm_prob=flags.masked_lm_prob,
            short_seq_prob=flags.short_seq_prob,
            do_whole_word_mask=flags.do_whole_word_mask,
            random_seed=flags.random_seed,
            next_sentence=flags.next_sentence,
        ),
        vocab_file=vocabulary(flags.vocab_file),
        do_lower_case=flags.do_lower_case,
        strip_accents=flags.strip_accents,
        records_tokenizer=tokenizer_or_none(checkpoint, flags.vocab_file, flags.do_lower_case, flags.strip_accents),
        casing_is_known=flags.do_lower_case is not None or bool(checkpoint and checkpoint.do_lower_case is not None),
        vocab_size=start.config.vocab_size if start and start.config else None,
        shuffled=training,
        counts_file=Path(flags.output_dir) / "instance_counts.json" if training and flags.output_dir else None,
    )


def _pretrain(flags: Flags, output_dir: Path, world: World) -> None:
    """Train and evaluate, as the flags say."""
    from bertworks.checkpoints.load import load_into
    from bertworks.checkpoints.resolve import starting_point
    from bertworks.model.compiling import compile_blocks
    from bertworks.model.device import choose_precision, precision_name
    from bertworks.model.heads import PretrainingModel
    from bertworks.tasks import pretraining
    from bertworks.train import agreement, loop, resume
    from bertworks.train.notes import write_notes
    from bertworks.train.results import steps_done, write_model, write_results
    from bertworks.train.run import Run, of_machine

    trained = resume.newest(output_dir, world.say) if not flags.do_train else None
    start = starting_point(
        model=flags.model,
        size=flags.size,
        bert_config_file=flags.bert_config_file,
        init_checkpoint=flags.init_checkpoint,
        trained=trained.folder if trained else None,
    )
    if start.checkpoint is None and not flags.do_train:
        raise InputError(f"--do_eval: {output_dir} holds no checkpoint; train first, or give --model")
    opened = _open(flags, start, training=True)
    agreement.check_data(world, opened.source.identity())
    config = start.config_for(opened.tokenizer, flags.max_seq_length)
    model = PretrainingModel(config)
    model.bert.gradient_checkpointing = flags.gradient_checkpointing
    if flags.compile and flags.do_train:
        world.say(compile_blocks(model.bert, world.device))
    if not flags.next_sentence:
        pretraining.freeze_next_sentence(model)
    if not (flags.do_train and steps_done(output_dir)):
        model.initialise(flags.random_seed)
        if start.checkpoint is not None:
            world.say(load_into(model, start.checkpoint, config).shown(verbose=flags.verbose))
    model.to(world.device)
    precision = choose_precision(flags.precision, world.device, training=True)
    eval_precision = choose_precision(flags.eval_precision, world.device)
    task = pretraining.task(
        pretraining.Pretraining(
            source=opened.source,
            eval_source=_open(flags, start, training=False).source,
            vocab_size=config.vocab_size,
            train_batch_size=flags.train_batch_size,
            eval_batch_size=flags.eval_batch_size,
            max_eval_steps=flags.max_eval_steps,
            precision=precision,
            eval_precision=eval_precision,
            next_sentence=flags.next_sentence,
            processes=world,
        )
    )
    results = None
    if flags.do_train:
        size = f"{pretraining.size_of(model)}{opened.words}"
        world.say(*opened.remarks, f"Pre-training on {world.device} in {precision_name(precision)}: {size}")
        identity = _identity(flags, opened, config)
        notes = output_dir, flags, "run_pretraining", world, {"train": Amount(opened.counts)}
        # The source's identity has --next_sentence where it is False.
        apart = {*_ABOUT, "next_sentence", *(name.removeprefix("--") for name in identity)}
        run = Run(
            output_dir=output_dir,
            num_train_steps=flags.num_train_steps,
            num_warmup_steps=flags.num_warmup_steps,
            learning_rate=flags.learning_rate,
            optimizer=flags.optimizer,
            weight_decay=flags.weight_decay,
            random_seed=flags.random_seed,
            precision=precision,
            max_seq_length=flags.max_seq_length,
            log_every_steps=flags.log_every_steps,
            eval_every_steps=flags.eval_every_steps,
            save_checkpoints_steps=flags.save_checkpoints_steps,
            keep_checkpoint_max=flags.keep_checkpoint_max,
            **of_machine(flags),
            identity=identity,
            settings=recorded(flags, without=apart) | {"precision": precision_name(precision)},
            write_model=partial(write_model, config, opened.tokenizer, "BertForPreTraining"),
            write_notes=partial(write_notes, *notes, opened.hash, precision, eval_precision),
        )
        results = loop.train(model, task, run, world)
        world.say(f"The model: {output_dir} (opens in transformers too)")
    if flags.do_eval:
        results = results or task.evaluate(model)
        if world.is_main:
            found = {"global_step": steps_done(output_dir), **results}
            print(f"***** Eval results ({flags.eval_precision}) *****")
            write_results(output_dir, found, originals=found, as_json=False)


def _identity(flags: Flags, opened: PretrainingInput, config: BertConfig) -> dict[str, object]:
    """Return what must not change when the run continues, by the flag to change."""
    from bertworks.train.results import begun_with, shape_of

    return {
        **{f"--{name}": value for name, value in opened.source.identity().items()},
        "--random_seed": flags.random_seed,
        "--train_batch_size": flags.train_batch_size,
        "--optimizer": flags.optimizer,
        "--optimizer_bits": int(flags.optimizer_bits),
        **begun_with(flags.model, flags.init_checkpoint),
        **shape_of(config, "--size or --bert_config_file"),
        **({"--vocab_file": opened.tokenizer.sha256[:16]} if opened.tokenizer else {}),
    }
