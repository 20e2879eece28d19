"""The driver of every fine-tuning: open the model, resolve the flags, read the data, train, evaluate, predict."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from bertworks.checkpoints.resolve import config_for, tokenizer_of
from bertworks.datasets.schema import KnownTask
from bertworks.finetune.flags import FinetuningFlags, wanted_splits
from bertworks.finetune.model import build_network, first_checkpoint
from bertworks.finetune.results import show_learning_curves, steps_of
from bertworks.finetune.settings import adapted, resolve
from bertworks.finetune.training import steps_in, train
from bertworks.flag_groups import warn_of_retired
from bertworks.job import Evaluation, Job, Setup
from bertworks.model.device import choose_precision
from bertworks.train import distributed
from bertworks.train.distributed import World
from bertworks.train.results import check_writable, write_results

FlagsType = TypeVar("FlagsType", bound=FinetuningFlags)

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
    with distributed.world(given.device) as world:
        if world.is_main:
            warn_of_retired(given, world.device)
        _run(given, read, task, world)


def _run(given: FlagsType, read: ReadJob[FlagsType], task: KnownTask | None, world: World) -> None:
    output_dir = Path(given.output_dir)
    check_writable(output_dir)
    checkpoint = first_checkpoint(given)
    config = config_for(checkpoint, given.bert_config_file, given.hidden_act)
    settings = resolve(given, config, task)
    flags = settings.flags
    if settings.sources:
        world.say(str(settings))
    setup = Setup(
        checkpoint=checkpoint,
        config=adapted(flags, config),
        tokenizer=tokenizer_of(checkpoint, flags.vocab_file, flags.do_lower_case),
        splits=wanted_splits(flags),
        max_seq_length=flags.max_seq_length,
        train_batch_size=flags.train_batch_size,
        train_fraction=flags.train_fraction,
        random_seed=flags.random_seed,
        precision=choose_precision(flags.precision, world.device),
        eval_precision=choose_precision(flags.eval_precision, world.device),
        output_dir=output_dir,
        say=world.say,
    )
    job = read(flags, setup)
    build = partial(build_network, flags, setup, job, world)
    if flags.do_train:
        steps_in(flags, job.examples)
        network = train(flags, setup, job, build, world)
    else:
        network = build(flags.random_seed)
    if not world.is_main:
        return
    if flags.do_train:
        show_learning_curves(flags, job.metrics)
    for found in job.results(network):
        if isinstance(found, Evaluation):
            print(f"***** Eval results ({flags.eval_precision}) *****")
            if found.table:
                print(found.table)
            write_results(output_dir, {"global_step": steps_of(output_dir), **found.results}, found.originals)
        else:
            print(found)
