"""The job of classification for the driver of fine-tuning: the data, the network, and the files written at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertworks.card.record import Amount
from bertworks.checkpoints.weights import Checkpoint
from bertworks.config import BertConfig
from bertworks.data.bad_rows import BadRows
from bertworks.data.labelled_records import record_files
from bertworks.data.sequences import LongText
from bertworks.errors import InputError
from bertworks.job import Job, Network, Setup, fingerprint
from bertworks.model.heads import SequenceClassifier
from bertworks.tasks.classification import own_data, task
from bertworks.tasks.classification.balance import label_table
from bertworks.tasks.classification.own_data import DataOptions
from bertworks.tasks.classification.problem import Problem, encode_rows, of_own_data, of_records
from bertworks.tasks.classification.results import Encode, results_of
from bertworks.tasks.classification.rows import AnyRow
from bertworks.tasks.classification.standard_scores import ScoreScale
from bertworks.tasks.classification.task import Classification, LabelledSequences
from bertworks.tasks.classification.trained_labels import kind_of, output_order, reorder
from bertworks.tasks.texts import LONG_TEXTS


@dataclass(frozen=True)
class LongTexts:
    """How to read texts that are longer than a sequence.

    Attributes:
        long_text: keep the beginning, read through windows, or keep the beginning and the end.
        doc_stride: with windows, how many tokens further on the next one begins; None is half of a sequence.
    """

    long_text: LongText = "truncate"
    doc_stride: int | None = None


def classification_job(
    problem: Problem,
    setup: Setup,
    long_texts: LongTexts = LongTexts(),
    class_weights: str | None = None,
    *,
    standardize_scores: bool = False,
    calibrate: bool = False,
) -> Job:
    """Make the job of a problem.

    Args:
        problem: the rows, and what is predicted.
        setup: the model and the common settings.
        long_texts: what becomes of them.
        class_weights: what each class counts in the loss, with commas; or `balanced`.
        standardize_scores: whether numbers are standardised in training; see `standard_scores`.
        calibrate: whether the model that is written has a temperature found on the dev set; see `calibration`.

    Raises:
        InputError: a split that is asked for has no rows; the trained model predicts something else.
    """
    for line in problem.notes:
        setup.say(line)
    _check_rows(problem, setup.splits)
    order = _output_order(problem, setup.checkpoint, setup.config, trains=setup.trains)
    if setup.trains and problem.kind in ("single", "multi"):
        setup.say(label_table(problem.labels, problem.train, problem.dev.get("", ())))
    if calibrate and problem.kind not in ("single", "multi"):
        raise InputError("--calibrate: is for probabilities of classes, and these are none")
    length, long_text = setup.max_seq_length, long_texts.long_text
    stride = long_texts.doc_stride or length // 2

    def encode(rows: Sequence[AnyRow]) -> LabelledSequences:
        return encode_rows(problem, rows, setup.tokenizer, length, long_text, stride)

    settings = _settings(problem, setup, encode, long_text, class_weights)
    train, choices = settings.train, problem.kind == "choice"
    scale = ScoreScale.of(train) if train and problem.kind == "regression" and standardize_scores else None
    if scale:
        setup.say(
            f"Scores are standardised in training (mean {scale.mean:.4g}, deviation {scale.deviation:.4g}) "
            "and predicted in their own scale; --nostandardize_scores trains on them as they are"
        )
    trained = scale.standardised(settings) if scale else settings
    has_head = _outputs(setup.checkpoint) == problem.classes
    return Job(
        config=_with_labels(setup.config, problem),
        architecture="BertForMultipleChoice" if choices else "BertForSequenceClassification",
        network=lambda: SequenceClassifier(_with_labels(setup.config, problem), problem.classes),
        head=f"for these {problem.classes} classes",
        adapt=partial(_adapt, order, scale if has_head else None),
        folded=scale.folded if scale else lambda weights: {},
        task=lambda seed: task.task(replace(trained, random_seed=seed)),
        examples=len(train) if train else 0,
        metrics=settings.metrics,
        has_dev=bool(settings.dev),
        identity={
            "--task_name or --train_file": problem.name,
            "--long_text": long_text,
            "--doc_stride": stride if long_text == "window" else None,
            "--vocab_file": setup.tokenizer.sha256[:16],
            "--labels": list(problem.labels),
            "the training rows": len(train) if train else 0,
            **({"--standardize_scores": True} if scale else {}),
        },
        training_data=fingerprint(*train.arrays) if train else None,
        results=partial(
            results_of, problem, setup, settings, encode, _with_labels(setup.config, problem) if calibrate else None
        ),
        amounts=_amounts(problem, settings, long_text),
    )


def read_files(
    files: Mapping[str, str], options: DataOptions, setup: Setup, long_texts: LongTexts, bad: BadRows
) -> Problem:
    """Read somebody's own files, or record files that the original wrote.

    Args:
        files: by split.
        options: how to read them; without training, the model tells labels and kind if they do not.

    Raises:
        InputError: a split that is asked for has no file; or see `own_data.read` and `problem.of_records`.
    """
    for split in setup.splits:
        if split not in files and not (split == "dev" and options.dev_fraction and "train" in files):
            or_fraction = ", or --dev_fraction=0.1 with --train_file" if split == "dev" else ""
            wanted = {"train": "do_train", "dev": "do_eval", "test": "do_predict"}[split]
            raise InputError(f"--{wanted}: give --{split}_file{or_fraction} (or --task_name and --data_dir)")
    if not setup.trains:
        kind = options.kind or kind_of(setup.config, _outputs(setup.checkpoint))
        options = replace(options, labels=options.labels or setup.config.labels, kind=kind)  # type: ignore[arg-type]
    used = {split: file for split, file in files.items() if split in setup.splits}
    if records := record_files(used):
        first = next(iter(records.values()))[0]
        wrong = [name for name in options.given if name in own_data.TEXT_FLAGS]
        wrong += ["long_text"] if long_texts.long_text != "truncate" else []
        wrong += ["kind"] if options.kind not in (None, "single") else []
        if wrong:
            raise InputError(
                f"--{wrong[0]}: the texts in {first} are cut already and have one class each; leave the flag out"
            )
        return of_records(records, first.stem, options.labels, setup.config.vocab_size, setup.max_seq_length)
    # A share of the training file may be what is evaluated on.
    if "dev" in setup.splits and options.dev_fraction:
        used["train"] = files["train"]
    train, dev, test = (Path(used[split]) if split in used else None for split in ("train", "dev", "test"))
    return of_own_data(own_data.read(train, dev, test, options, bad), Path(next(iter(files.values()))).stem)


def _check_rows(problem: Problem, splits: Sequence[str]) -> None:
    """Refuse a split without rows before any work is done."""
    rows = {"train": ("train", problem.train), "dev": ("eval", problem.dev), "test": ("predict", problem.test)}
    for split in splits:
        what, found = rows[split]
        if not found:
            raise InputError(f"--do_{what}: {problem.name} has no rows for it")


def _output_order(
    problem: Problem, checkpoint: Checkpoint, config: BertConfig, *, trains: bool
) -> Sequence[int] | None:
    """Return which of a stored classifier's outputs each label is; None where they stand in order, or nothing tells."""
    if _outputs(checkpoint) is None:
        return None
    try:
        order = output_order(problem, config, _outputs(checkpoint))
    except InputError as error:
        # What is trained may become another classifier.
        if trains:
            return None
        raise InputError(f"{checkpoint.path}: {error}") from None
    return order if order != sorted(order or ()) else None


def _outputs(checkpoint: Checkpoint) -> int | None:
    """Return how many outputs the stored classifier has; None without one."""
    weight = checkpoint.weights.get("classifier.weight")
    return None if weight is None else int(weight.shape[0])


def _adapt(order: Sequence[int] | None, scale: ScoreScale | None, network: Network) -> None:
    """Give a stored head the order of the labels, and for training the scale of standardised scores."""
    assert isinstance(network, SequenceClassifier)
    if order:
        reorder(network.classifier, order)
    if scale:
        scale.unfold(network)


def _with_labels(config: BertConfig, problem: Problem) -> BertConfig:
    """Return the configuration of the classifier, as Hugging Face's classes want it."""
    if problem.kind == "choice":
        return config
    kinds = {"single": "single_label_classification", "multi": "multi_label_classification"}
    config = config.with_fine_tuning({**config.fine_tuning, **problem.remembered})
    return config.with_labels(problem.labels or ("score",), problem_type=kinds.get(problem.kind, "regression"))


def _settings(
    problem: Problem, setup: Setup, encode: Encode, long_text: LongText, class_weights: str | None
) -> Classification:
    """Tokenize the data, and say how many texts are too long."""
    rows = setup.share(problem.train)
    train = encode(rows) if rows else None
    dev = {ending: encode(rows) for ending, rows in problem.dev.items()}
    for name, data in {"training": train, **{f"dev{ending}": data for ending, data in dev.items()}}.items():
        if data and data.sequences.cut:
            setup.say(f"{name}: {_cut_texts(data, setup.max_seq_length, long_text)}")
    if train and long_text == "window":
        train = train.split_windows()
    return Classification(
        kind=problem.kind,
        classes=problem.classes,
        train=train,
        dev=dev,
        metrics=problem.metrics,
        train_batch_size=setup.train_batch_size,
        random_seed=setup.random_seed,
        class_weights=_class_weights(class_weights, problem, train),
        precision=setup.precision,
        eval_precision=setup.eval_precision,
        processes=setup.processes,
    )


def _amounts(problem: Problem, settings: Classification, long_text: LongText) -> dict[str, Amount]:
    """Return how much data each split has. The test sets are tokenized when they are predicted."""
    found = {}
    read = {"train": settings.train, **{f"dev{ending}": data for ending, data in settings.dev.items()}}
    for split, data in read.items():
        if data and (split, long_text) == ("train", "window"):
            found[split] = Amount({"windows": len(data)})
        elif data:
            texts = len(data) if long_text == "window" else len(data.sequences)
            found[split] = Amount({"examples": len(data)}, data.sequences.cut, texts, happens=LONG_TEXTS[long_text])
    return found | {f"test{ending}": Amount({"examples": len(rows)}) for ending, rows in problem.test.items()}


def _cut_texts(data: LabelledSequences, max_seq_length: int, long_text: LongText) -> str:
    """Say how many texts are longer than a sequence, and how they are read."""
    cut = data.sequences.cut
    texts = len(data) if long_text == "window" else len(data.sequences)
    windows = f"{len(data.sequences) - texts + cut:,} windows"
    does = LONG_TEXTS[long_text].replace("windows", windows)
    return f"{cut:,} of {texts:,} texts are longer than --max_seq_length={max_seq_length} and {does}"


def _class_weights(text: str | None, problem: Problem, data: LabelledSequences | None) -> NDArray[np.float32] | None:
    """Return the weights of `--class_weights`. Shape [C]."""
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
