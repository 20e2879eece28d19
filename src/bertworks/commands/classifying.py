"""Classifying with a model: what `run_classifier` and `run_multiple_choice` do once they know what the problem is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bertworks.commands.common import in_world
from bertworks.commands.finetuning import FinetuningFlags, follow_task, follow_training, needed_splits, remembering
from bertworks.commands.starting import Job, adapted, fingerprint, prepare, share, starting_checkpoint, write_model
from bertworks.commands.training import show_learning_curves, steps_in, steps_of, train, write_results
from bertworks.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bertworks.checkpoints.weights import Checkpoint
    from bertworks.config import BertConfig
    from bertworks.data.sequences import LongText
    from bertworks.tasks.classification.problem import Problem
    from bertworks.tasks.classification.task import Classification, Labelled
    from bertworks.tasks.rows import AnyRow
    from bertworks.text.tokenizer import Tokenizer
    from bertworks.train.distributed import World

    FindProblem = Callable[[BertConfig, World], Problem]
    Encode = Callable[[Sequence[AnyRow]], Labelled]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What only some of the commands let a person choose.

    Attributes:
        class_weights: what `--class_weights` says.
        long_text: what becomes of texts longer than `--max_seq_length`.
        doc_stride: how many tokens further on the next window begins; None is half of `--max_seq_length`.
    """

    class_weights: str | None = None
    long_text: LongText = "truncate"
    doc_stride: int | None = None

    @classmethod
    def of(cls, flags: FinetuningFlags) -> Choices:
        """Those that a command has as flags, as they are now."""
        return cls(**{one.name: getattr(flags, one.name) for one in fields(cls) if hasattr(flags, one.name)})


def run(flags: FinetuningFlags, find_problem: FindProblem) -> None:
    """Train, evaluate and predict, as the flags say.

    Args:
        flags: of the command.
        find_problem: reads the data, given the numbers of the model to begin with.
    """
    needed_splits(flags)
    in_world(flags, partial(_run, flags, find_problem))


def _run(flags: FinetuningFlags, find_problem: FindProblem, world: World) -> None:
    from bertworks.checkpoints.resolve import config_for, tokenizer_of
    from bertworks.tasks.classification import task as classification
    from bertworks.tasks.classification.balance import balance

    output_dir = Path(flags.output_dir)
    checkpoint = starting_checkpoint(flags, output_dir)
    config = config_for(checkpoint, flags.bert_config_file, flags.hidden_act)
    follow_training(flags, config)
    problem = find_problem(config, world)
    for line in problem.said:
        world.say(line)
    _check_sets(flags, problem)
    order = _output_order(flags, problem, checkpoint, config)
    follow_task(flags, problem.known, config, world)
    if flags.do_train and problem.kind in ("single", "multi"):
        world.say(balance(problem.labels, problem.train, problem.dev.get("", ())))
    tokenizer = tokenizer_of(checkpoint, flags.vocab_file, flags.do_lower_case)
    config = _with_labels(remembering(flags, adapted(flags, config)), problem)
    choices = Choices.of(flags)
    stride = choices.doc_stride or flags.max_seq_length // 2
    encode = partial(_encode, problem, tokenizer, flags.max_seq_length, choices.long_text, stride)
    settings = _settings(flags, problem, encode, choices, world)
    identity = {
        "--long_text": choices.long_text,
        "--doc_stride": stride if choices.long_text == "window" else None,
        "--vocab_file": tokenizer.sha256[:16],
    }
    if settings.train:
        steps_in(flags, len(settings.train))
    make = partial(_job, flags, problem, settings, identity, config, checkpoint, order, tokenizer, world)
    job = train(flags, make, world) if flags.do_train else make(flags.random_seed)
    if not world.is_main:
        return
    if flags.do_train:
        show_learning_curves(flags, settings.metrics)
    if flags.do_eval:
        answers = {end: classification.logits_of(settings, job.model, data) for end, data in settings.dev.items()}
        results = dict(classification.judge(settings, answers))
        print(f"***** Eval results ({flags.eval_precision}) *****")
        original = ("eval_accuracy", "eval_loss", "global_step", "loss")
        results["loss"] = results["eval_loss"]
        write_results(output_dir, steps_of(output_dir), results, original)
        if problem.kind == "single":
            _show_confusion(output_dir, problem, settings, answers)
    if flags.do_predict:
        _predict(flags, problem, settings, encode, job)


def _check_sets(flags: FinetuningFlags, problem: Problem) -> None:
    """There must be rows for everything that is to be done, before any of it is."""
    sets = {"train": problem.train, "eval": problem.dev, "predict": problem.test}
    for what, rows in sets.items():
        if getattr(flags, f"do_{what}") and not rows:
            raise InputError(f"--do_{what}: {problem.name} has no rows for it")


def _output_order(
    flags: FinetuningFlags, problem: Problem, checkpoint: Checkpoint, config: BertConfig
) -> Sequence[int] | None:
    """Which of a stored classifier's outputs each label is; None where they stand in order, or nothing tells."""
    from bertworks.tasks.classification.trained_labels import output_order

    if "classifier.weight" not in checkpoint.weights:
        return None
    try:
        order = output_order(problem, config)
    except InputError as error:
        # What is trained may become another classifier.
        if flags.do_train:
            return None
        raise InputError(f"{checkpoint.path}: {error}") from None
    return order if order != sorted(order or ()) else None


def _show_confusion(
    output_dir: Path, problem: Problem, settings: Classification, answers: Mapping[str, NDArray[np.float32]]
) -> None:
    """Draw what was taken for what in each data set, and say where."""
    from bertworks.tasks.classification.pictures import confusion_matrix as draw
    from bertworks.tasks.classification.task import predicted
    from bertworks.tasks.metrics import confusion_matrix

    for ending, data in settings.dev.items():
        assert data.labels is not None
        counts = confusion_matrix(data.labels, predicted("single", answers[ending]), problem.classes)
        title = f"{problem.name}{ending.replace('_', ' ')}: {counts.trace() / counts.sum():.1%} right"
        path = output_dir / f"confusion_matrix{ending}.png"
        print(f"What was taken for what: {draw(path, counts, problem.labels, title)}")


def _encode(
    problem: Problem,
    tokenizer: Tokenizer,
    max_seq_length: int,
    long_text: LongText,
    stride: int,
    rows: Sequence[AnyRow],
) -> Labelled:
    """Rows as the model takes them."""
    from bertworks.tasks.classification.problem import labelled

    return labelled(problem, rows, tokenizer, max_seq_length, long_text, stride)


def _with_labels(config: BertConfig, problem: Problem) -> BertConfig:
    """The configuration of the classifier, as Hugging Face's classes want it."""
    if problem.kind == "choice":
        return config
    kinds = {"single": "single_label_classification", "multi": "multi_label_classification"}
    return config.with_labels(problem.labels or ("score",), problem_type=kinds.get(problem.kind, "regression"))


def _settings(
    flags: FinetuningFlags, problem: Problem, encode: Encode, choices: Choices, world: World
) -> Classification:
    """The data, tokenized, and how to train on them."""
    from bertworks.model.device import choose_precision
    from bertworks.tasks.classification.task import Classification

    rows = share(problem.train, flags.train_fraction, flags.random_seed)
    data = encode(rows) if rows else None
    dev = {ending: encode(rows) for ending, rows in problem.dev.items()}
    for name, one in {"training": data, **{f"dev{ending}": one for ending, one in dev.items()}}.items():
        if one and one.sequences.cut:
            world.say(f"{name}: {_of_long_texts(one, flags.max_seq_length, choices.long_text)}")
    if data and choices.long_text == "window":
        data = data.apart()
    return Classification(
        kind=problem.kind,
        classes=problem.classes,
        train=data,
        dev=dev,
        metrics=problem.metrics,
        train_batch_size=flags.train_batch_size,
        random_seed=flags.random_seed,
        class_weights=_class_weights(choices.class_weights, problem, data),
        precision=choose_precision(flags.precision, world.device),
        eval_precision=choose_precision(flags.eval_precision, world.device),
    )


def _of_long_texts(data: Labelled, max_seq_length: int, long_text: LongText) -> str:
    """What becomes of the texts that are longer than a sequence, for a person."""
    cut = data.sequences.cut
    texts = len(data) if long_text == "window" else len(data.sequences)
    does = {
        "truncate": "lose their end",
        "head_tail": "lose their middle",
        "window": f"are read through {len(data.sequences) - texts + cut:,} windows",
    }
    return f"{cut:,} of {texts:,} texts are longer than --max_seq_length={max_seq_length} and {does[long_text]}"


def _class_weights(text: str | None, problem: Problem, data: Labelled | None) -> NDArray[np.float32] | None:
    """What `--class_weights` means."""
    import numpy as np

    if text is None or data is None or data.labels is None:
        return None
    if problem.kind != "single":
        raise InputError(f"--class_weights={text}: are for tasks with one class a row")
    if text == "balanced":
        counts = np.bincount(data.labels, minlength=problem.classes)
        return (len(data) / (problem.classes * np.maximum(counts, 1))).astype(np.float32)
    try:
        weights = np.array([float(part) for part in text.split(",")], np.float32)
    except ValueError:
        raise InputError(f"--class_weights={text}: give numbers with commas between, or balanced") from None
    if len(weights) != problem.classes:
        raise InputError(f"--class_weights={text}: {len(weights)} weights for {problem.classes} classes")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights[np.unique(data.labels)].sum() > 0):
        raise InputError(f"--class_weights={text}: give numbers from 0 on, above 0 for some class that occurs")
    return weights


def _job(
    flags: FinetuningFlags,
    problem: Problem,
    settings: Classification,
    identity: Mapping[str, object],
    config: BertConfig,
    checkpoint: Checkpoint,
    order: Sequence[int] | None,
    tokenizer: Tokenizer,
    world: World,
    seed: int,
) -> Job:
    """A model with a fresh or a stored head, and its task."""
    from bertworks.model.heads import SequenceClassifier
    from bertworks.tasks.classification import task as classification
    from bertworks.tasks.classification.trained_labels import reorder

    model = SequenceClassifier(config, problem.classes)
    prepare(flags, model, checkpoint, config, seed, world)
    if order:
        reorder(model.classifier, order)
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
            **identity,
            "--labels": list(problem.labels),
            "the training rows": len(settings.train) if settings.train else 0,
        },
        training_data=fingerprint(*settings.train.arrays) if settings.train else None,
        write_model=partial(write_model, model, config, architecture, tokenizer),
    )


def _predict(flags: FinetuningFlags, problem: Problem, settings: Classification, encode: Encode, job: Job) -> None:
    """Write the predictions of every test set."""
    import time

    from bertworks.tasks.classification import task as classification
    from bertworks.tasks.classification.predictions import write_predictions

    for ending, rows in problem.test.items():
        data = encode(rows)
        start = time.perf_counter()
        logits = classification.logits_of(settings, job.model, data)
        seconds = time.perf_counter() - start
        written = write_predictions(Path(flags.output_dir), problem, ending, data.ids, logits)
        rate = len(data.sequences.ids) / seconds
        print(f"Predicted {len(data):,} examples, {rate:,.0f} tokens/s: {', '.join(map(str, written))}")
