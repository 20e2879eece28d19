"""Classifying with a model: what `run_classifier` and `run_multiple_choice` do once they know what the problem is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bertworks.commands.common import warn_of_retired
from bertworks.commands.finetuning import (
    FinetuningFlags,
    Job,
    adapted,
    prepare,
    share,
    starting_checkpoint,
    train,
    with_labels,
    write_model,
    write_results,
)
from bertworks.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bertworks.checkpoints.weights import Checkpoint
    from bertworks.config import BertConfig
    from bertworks.tasks.classification import Classification, Labelled
    from bertworks.tasks.problem import AnyRow, Problem
    from bertworks.text.tokenizer import Tokenizer
    from bertworks.train.distributed import World

    FindProblem = Callable[[BertConfig, World], Problem]


def run(flags: FinetuningFlags, find_problem: FindProblem, class_weights: str | None = None) -> None:
    """Train, evaluate and predict, as the flags say.

    Args:
        flags: of the command.
        find_problem: reads the data, given the numbers of the model to begin with.
        class_weights: what `--class_weights` says.
    """
    if not (flags.do_train or flags.do_eval or flags.do_predict):
        raise InputError("give at least one of --do_train, --do_eval and --do_predict")
    from bertworks.train import distributed

    world = distributed.start(flags.device)
    try:
        if world.is_main:
            warn_of_retired(flags, world.device)
        _run(flags, find_problem, class_weights, world)
    finally:
        world.close()


def _run(flags: FinetuningFlags, find_problem: FindProblem, class_weights: str | None, world: World) -> None:
    from bertworks.pretrained import config_for, tokenizer_of
    from bertworks.tasks import classification
    from bertworks.tasks.balance import balance
    from bertworks.train import resume

    output_dir = Path(flags.output_dir)
    checkpoint = starting_checkpoint(flags, output_dir)
    config = config_for(checkpoint, flags.bert_config_file, flags.hidden_act)
    problem = find_problem(config, world)
    for line in problem.said:
        world.say(line)
    if flags.do_train and problem.kind in ("single", "multi"):
        world.say(balance(problem.labels, problem.train, problem.dev.get("", ())))
    tokenizer = tokenizer_of(checkpoint, flags.vocab_file, flags.do_lower_case)
    config = _with_labels(adapted(flags, config), problem)
    settings = _settings(flags, problem, tokenizer, class_weights, world)
    make = partial(_job, flags, problem, settings, config, checkpoint, tokenizer, world)
    job = train(flags, make, world) if flags.do_train else make(flags.random_seed)
    if not world.is_main:
        return
    done = resume.steps(output_dir)
    if flags.do_eval:
        results = dict(classification.evaluate(settings, job.model))
        print(f"***** Eval results ({flags.eval_precision}) *****")
        original = ("eval_accuracy", "eval_loss", "global_step", "loss")
        results["loss"] = results["eval_loss"]
        write_results(output_dir, done[-1][0] if done else 0, results, original)
    if flags.do_predict:
        _predict(flags, problem, settings, tokenizer, job)


def _with_labels(config: BertConfig, problem: Problem) -> BertConfig:
    """The configuration of the classifier, as Hugging Face's classes want it."""
    if problem.kind == "choice":
        return config
    kinds = {"single": "single_label_classification", "multi": "multi_label_classification"}
    return with_labels(config, problem.labels or ("score",), problem_type=kinds.get(problem.kind, "regression"))


def _settings(
    flags: FinetuningFlags, problem: Problem, tokenizer: Tokenizer, class_weights: str | None, world: World
) -> Classification:
    """The data, tokenized, and how to train on them."""
    from bertworks.model.machine import choose_precision
    from bertworks.tasks.classification import Classification
    from bertworks.tasks.problem import labelled

    def of(rows: Sequence[AnyRow]) -> Labelled:
        return labelled(problem, rows, tokenizer, flags.max_seq_length)

    rows = share(problem.train, flags.train_fraction, flags.random_seed)
    data = of(rows) if rows else None
    dev = {ending: of(rows) for ending, rows in problem.dev.items()}
    for name, one in {"training": data, **{f"dev{ending}": one for ending, one in dev.items()}}.items():
        if one and one.sequences.cut:
            world.say(
                f"{one.sequences.cut} of {len(one.sequences)} {name} texts are longer than {flags.max_seq_length}"
            )
    return Classification(
        kind=problem.kind,
        classes=problem.classes,
        train=data,
        dev=dev,
        metrics=problem.metrics,
        train_batch_size=flags.train_batch_size,
        random_seed=flags.random_seed,
        class_weights=_class_weights(class_weights, problem, data),
        precision=choose_precision(flags.precision, world.device),
        eval_precision=choose_precision(flags.eval_precision, world.device),
    )


def _class_weights(text: str | None, problem: Problem, data: Labelled | None) -> NDArray[np.float32] | None:
    """What `--class_weights` means."""
    import numpy as np

    if text is None or data is None or data.labels is None:
        return None
    if problem.kind != "single":
        raise InputError("--class_weights: are for tasks with one class a row")
    if text == "balanced":
        counts = np.bincount(data.labels, minlength=problem.classes)
        return (len(data) / (problem.classes * np.maximum(counts, 1))).astype(np.float32)
    try:
        weights = np.array([float(part) for part in text.split(",")], np.float32)
    except ValueError:
        raise InputError(f"--class_weights={text}: give numbers with commas between, or balanced") from None
    if len(weights) != problem.classes:
        raise InputError(f"--class_weights={text}: {len(weights)} weights for {problem.classes} classes")
    return weights


def _job(
    flags: FinetuningFlags,
    problem: Problem,
    settings: Classification,
    config: BertConfig,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    world: World,
    seed: int,
) -> Job:
    """A model with a fresh or a stored head, and its task."""
    from bertworks.model.heads import SequenceClassifier
    from bertworks.tasks import classification

    model = SequenceClassifier(config, problem.classes)
    prepare(flags, model, checkpoint, config, seed, world)
    settings = replace(settings, random_seed=seed)

    architecture = "BertForMultipleChoice" if problem.kind == "choice" else "BertForSequenceClassification"
    return Job(
        model=model,
        config=config,
        task=classification.task(settings),
        examples=len(settings.train) if settings.train else 0,
        metric=f"eval_{settings.metrics[0]}" if settings.dev else None,
        identity={
            "--task_name or --train_file": problem.name,
            "--labels": list(problem.labels),
            "the training rows": len(settings.train) if settings.train else 0,
            "--vocab_file": tokenizer.sha256[:16],
        },
        write_model=partial(write_model, model, config, architecture, tokenizer),
    )


def _predict(
    flags: FinetuningFlags, problem: Problem, settings: Classification, tokenizer: Tokenizer, job: Job
) -> None:
    """Write the predictions of every test set."""
    import time

    from bertworks.tasks import classification
    from bertworks.tasks.predictions import write_predictions
    from bertworks.tasks.problem import labelled

    for ending, rows in problem.test.items():
        data = labelled(problem, rows, tokenizer, flags.max_seq_length)
        start = time.perf_counter()
        logits = classification.logits_of(settings, job.model, data)
        seconds = time.perf_counter() - start
        written = write_predictions(Path(flags.output_dir), problem, ending, data.ids, logits)
        rate = len(data.sequences.ids) / seconds
        print(f"Predicted {len(data):,} examples, {rate:,.0f} tokens/s: {', '.join(map(str, written))}")
