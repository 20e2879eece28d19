"""The driver of every fine-tuning: open the model, resolve the flags, read the data, train, evaluate, predict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bertworks import files
from bertworks.card.record import record_evaluation
from bertworks.card.write import write_card_of_run
from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.checkpoints.resolve import config_for, guesses, named_checkpoint, tokenizer_of
from bertworks.checkpoints.weights import Checkpoint
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.finetuning.flags import FinetuningFlags, wanted_splits
from bertworks.finetuning.settings import adapted, resolve
from bertworks.finetuning.training import show_learning_curves, steps_in, steps_of, train
from bertworks.job import Evaluation, Job, Network, Setup
from bertworks.model.compiling import compile_blocks
from bertworks.model.device import choose_precision
from bertworks.model.heads import initialise
from bertworks.processes import ALONE, Processes
from bertworks.progress import say
from bertworks.train.agreement import check_data, joined
from bertworks.train.distributed import World
from bertworks.train.optimizer import freeze_layers
from bertworks.train.results import write_results

if TYPE_CHECKING:
    import torch

    from bertworks.datasets.schema import KnownTask

FlagsType = TypeVar("FlagsType", bound=FinetuningFlags)

# How the names of a fine-tuning's head begin.
_HEADS = ("classifier.", "crf.", "qa_outputs.")

# Reads the data of a job, given the resolved flags and the model to begin with.
ReadJob = Callable[[FlagsType, Setup], Job]


def run(given: FlagsType, read: ReadJob[FlagsType], task: KnownTask | None = None) -> None:
    """Fine-tune, evaluate and predict as the flags say, as one process or one of several.

    Args:
        given: the flags as a person gave them; they are resolved once, before anything reads them.
        read: makes the job.
        task: the task that is known by name, if there is one.
    """
    wanted_splits(given)
    with joined(given) as world:
        _run(given, read, task, world)


def _run(given: FlagsType, read: ReadJob[FlagsType], task: KnownTask | None, world: World) -> None:
    output_dir = Path(given.output_dir)
    files.check_writable(output_dir)
    checkpoint = _first_checkpoint(given)
    flags, setup, job = _prepared(given, read, task, checkpoint, world.device, world.say, world)
    check_data(world, {**job.identity, "the training data (a hash)": job.training_data})
    build = partial(_build_network, flags, setup, job, world)
    if flags.do_train:
        steps_in(flags, job.examples)
        network = train(flags, setup, job, build, world)
    else:
        network = build(flags.random_seed)
    if flags.do_train and world.is_main:
        show_learning_curves(flags, job.metrics)
        if not flags.was_given("keep_checkpoint_max"):
            more = f"--model={output_dir} and another --output_dir begin with this model"
            print(f"To train more: {more} (--keep_checkpoint_max=1 keeps the optimizer too)")
    if not flags.do_train and world.is_main:
        record_evaluation(output_dir, flags, amounts=job.amounts, precision=flags.eval_precision)
    for found in job.results(network):
        if not world.is_main:
            continue
        if isinstance(found, Evaluation):
            print(f"***** {'Test' if found.of_test else 'Eval'} results ({flags.eval_precision}) *****")
            if found.table:
                print(found.table)
            results = {"global_step": steps_of(output_dir), **found.results}
            write_results(output_dir, results, found.originals, name="test_scores" if found.of_test else "eval_results")
        else:
            print(found)
    if world.is_main:
        write_card_of_run(output_dir)


def evaluation_job(
    given: FlagsType, read: ReadJob[FlagsType], task: KnownTask | None, checkpoint: Checkpoint, device: torch.device
) -> Job:
    """Make the job that evaluates a trained model on a dev set, as a run without training makes it.

    Args:
        given: with `do_eval` and the data; the other flags are those that the model remembers.
        checkpoint: the model.
    """
    return _prepared(given, read, task, checkpoint, device, say)[2]


def _prepared(
    given: FlagsType,
    read: ReadJob[FlagsType],
    task: KnownTask | None,
    checkpoint: Checkpoint,
    device: torch.device,
    say: Callable[[str], None],
    processes: Processes = ALONE,
) -> tuple[FlagsType, Setup, Job]:
    """Resolve the flags, and read the data."""
    config = config_for(checkpoint, given.bert_config_file, given.hidden_act)
    settings = resolve(given, config, task)
    flags = settings.flags
    if settings.sources:
        say(str(settings))
    setup = Setup(
        checkpoint=checkpoint,
        config=adapted(flags, config),
        tokenizer=tokenizer_of(checkpoint, flags.vocab_file, flags.do_lower_case),
        splits=wanted_splits(flags),
        max_seq_length=flags.max_seq_length,
        train_batch_size=flags.train_batch_size,
        train_fraction=flags.train_fraction,
        random_seed=flags.random_seed,
        precision=choose_precision(flags.precision, device, training=True),
        eval_precision=choose_precision(flags.eval_precision, device),
        output_dir=Path(given.output_dir),
        say=say,
        processes=processes,
    )
    return flags, setup, read(flags, setup)


def _first_checkpoint(flags: FinetuningFlags) -> Checkpoint:
    """Open the model that training begins with; without training, the model in the output folder, as in the original.

    If only a configuration and a vocabulary are given, the checkpoint has no weights: it is a model from scratch.
    """
    output_dir, named = Path(flags.output_dir), flags.model or flags.init_checkpoint
    if flags.do_train and flags.bert_config_file and flags.vocab_file and not named:
        path = Path(flags.bert_config_file)
        return Checkpoint(path, "a configuration", weights={}, config=BertConfig.from_google_file(path))
    contradictory = flags.model and flags.init_checkpoint
    if not contradictory and not flags.do_train and (output_dir / "model.safetensors").exists():
        return open_checkpoint(output_dir, "--output_dir")
    return named_checkpoint(flags.model, flags.init_checkpoint)


def _build_network(flags: FinetuningFlags, setup: Setup, job: Job, world: World, seed: int) -> Network:
    """Make the network of a job on the device, with the checkpoint's weights; draw those that are missing.

    Raises:
        InputError: the head is missing, or is another one, and nothing is to be trained.
    """
    network, checkpoint = job.network(), setup.checkpoint
    if checkpoint.weights:
        report = load_into(network, checkpoint, job.config)
        fresh = {*report.missing, *report.misfits}
        tokenizer = setup.tokenizer
        guessed = guesses(checkpoint, job.config, tokenizer, flags.bert_config_file, flags.do_lower_case)
        notes = (*report.notes, *guessed)
        report = replace(report, do_lower_case=tokenizer.do_lower_case, notes=notes)
        world.say(report.shown(verbose=flags.verbose))
    else:
        fresh = {name for name, _ in network.named_parameters()}
        world.say("No --model and no --init_checkpoint: every weight is drawn at random, nothing is pre-trained.")
    if not flags.do_train and any(name.startswith(_HEADS) for name in fresh):
        raise InputError(f"{checkpoint.path}: has no classifier {job.head}; train one (--do_train)")
    initialise(network, job.config.initializer_range, seed, fresh)
    job.adapt(network)
    freeze_layers(network, flags.freeze_layers)
    network.bert.gradient_checkpointing = flags.gradient_checkpointing
    if flags.compile and flags.do_train:
        world.say(compile_blocks(network.bert, world.device))
    return network.to(world.device)
