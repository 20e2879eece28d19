"""`bert run_classifier`: sentences and pairs into classes, several classes at once, or a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.commands.common import warn_of_retired
from bertworks.commands.finetuning import FinetuningFlags, Job, freeze, train, write_results
from bertworks.errors import InputError
from bertworks.flags import flag

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bertworks.checkpoints.weights import Checkpoint
    from bertworks.config import BertConfig
    from bertworks.tasks.classification import Classification, Labelled
    from bertworks.tasks.problem import AnyRow, Problem
    from bertworks.text.tokenizer import Tokenizer
    from bertworks.train.distributed import World


@dataclass(kw_only=True)
class Flags(FinetuningFlags):
    """Train, evaluate and use a classifier of sentences or pairs.

    A known task:  bert run_classifier --task_name=MRPC --data_dir=glue/MRPC --model=bert-base-uncased --output_dir=mrpc
                   --do_train --do_eval --do_predict
    Your own CSV:  bert run_classifier --train_file=train.csv --dev_fraction=0.1 --model=bert-base-uncased
                   --output_dir=out --do_train --do_eval
    Use it:        bert run_classifier --model=out --test_file=new.csv --output_dir=predictions --do_predict
    """

    task_name: str | None = flag(None, "A task known by name: CoLA, SST-2, MRPC, MNLI, XNLI, TNEWS ...", group="Input")
    data_dir: str | None = flag(None, "The folder with its files as released.", group="Input", path=True)
    train_file: str | None = flag(None, "Your own: .csv, .tsv, .jsonl or .parquet.", group="Input", path=True)
    dev_file: str | None = flag(None, "To evaluate on.", group="Input", path=True)
    test_file: str | None = flag(None, "To predict.", group="Input", path=True)
    text_column: str | None = flag(None, "The column of the text; found by its name if not given.", group="Input")
    pair_column: str | None = flag(None, "The column of a second text.", group="Input")
    label_column: str | None = flag(None, "The column of the label.", group="Input")
    id_column: str | None = flag(None, "The column of an id, for predictions.", group="Input")
    labels: str | None = flag(None, "The classes in order, with commas; by default those found.", group="Input")
    label_separator: str | None = flag(None, "What stands between several labels of a row.", group="Input")
    kind: Literal["single", "multi", "regression"] | None = flag(
        None, "One class, several at once, or a number; by default told by the data.", group="Input"
    )
    dev_fraction: float = flag(0.0, "The share of --train_file to evaluate on.", group="Input", lowest=0)
    on_bad_row: Literal["error", "skip"] = flag("error", "What to do with a row that cannot be used.", group="Input")
    class_weights: str | None = flag(
        None, "What each class counts in the loss, with commas; `balanced` is by how rare it is.", group="Training"
    )


def main(flags: Flags) -> None:
    """Run the command."""
    if not (flags.do_train or flags.do_eval or flags.do_predict):
        raise InputError("give at least one of --do_train, --do_eval and --do_predict")
    from bertworks.train import distributed

    world = distributed.start(flags.device)
    try:
        if world.is_main:
            warn_of_retired(flags, world.device)
        _classify(flags, world)
    finally:
        world.close()


def _classify(flags: Flags, world: World) -> None:
    from bertworks.pretrained import config_for, tokenizer_of
    from bertworks.tasks import classification
    from bertworks.tasks.balance import balance
    from bertworks.train import resume

    output_dir = Path(flags.output_dir)
    checkpoint = _checkpoint(flags, output_dir)
    config = config_for(checkpoint, flags.bert_config_file, flags.hidden_act)
    problem = _problem(flags, config, world)
    for line in problem.said:
        world.say(line)
    if flags.do_train and problem.kind in ("single", "multi"):
        world.say(balance(problem.labels, problem.train, problem.dev.get("", ())))
    tokenizer = tokenizer_of(checkpoint, flags.vocab_file, flags.do_lower_case)
    if flags.max_seq_length > config.max_position_embeddings:
        raise InputError(
            f"--max_seq_length={flags.max_seq_length}: the model has {config.max_position_embeddings} positions"
        )
    config = _with_labels(config, problem, flags.dropout)
    settings = _settings(flags, problem, tokenizer, world)
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


def _checkpoint(flags: Flags, output_dir: Path) -> Checkpoint:
    """What to begin with; without training, what was trained in the output folder before, as the original does."""
    from bertworks.checkpoints.load import open_checkpoint

    if flags.model and flags.init_checkpoint:
        raise InputError("--model and --init_checkpoint: give one of them; each says which weights to use")
    named = flags.model or flags.init_checkpoint
    if not flags.do_train and (output_dir / "model.safetensors").exists():
        return open_checkpoint(output_dir, "--output_dir")
    if not named:
        raise InputError("--model: must be given (or --init_checkpoint with --bert_config_file and --vocab_file)")
    return open_checkpoint(named, "--model" if flags.model else "--init_checkpoint")


def _problem(flags: Flags, config: BertConfig, world: World) -> Problem:
    """The data, as far as they are needed."""
    from bertworks.data.tables import BadRows
    from bertworks.tasks import datasets, own_data, problem

    files = {name: getattr(flags, f"{name}_file") for name in ("train", "dev", "test")}
    bad = BadRows(flags.on_bad_row)
    needed = [s for s, do in (("train", flags.do_train), ("dev", flags.do_eval), ("test", flags.do_predict)) if do]
    if flags.task_name:
        if given := [name for name, file in files.items() if file]:
            raise InputError(f"--task_name and --{given[0]}_file: give one of them; each says where the data are")
        task = datasets.find(flags.task_name)
        if not flags.data_dir:
            raise InputError(f"--data_dir: must be given, the folder with the files of {task.name}")
        found = problem.of_known_task(task, Path(flags.data_dir), needed, bad)
    else:
        trained = None if flags.do_train else _labels_of(config)
        wishes = own_data.Wishes(
            text_column=flags.text_column,
            pair_column=flags.pair_column,
            label_column=flags.label_column,
            id_column=flags.id_column,
            labels=tuple(flags.labels.split(",")) if flags.labels else trained,
            label_separator=flags.label_separator,
            kind=flags.kind or (None if flags.do_train else _kind_of(config)),
            dev_fraction=flags.dev_fraction,
            seed=flags.random_seed,
        )
        # A share of the training file may be what is evaluated on.
        needed += ["train"] if flags.do_eval and flags.dev_fraction else []
        train_file, dev_file, test_file = (Path(f) if f and name in needed else None for name, f in files.items())
        data = own_data.read(train_file, dev_file, test_file, wishes, bad)
        found = problem.of_own_data(data, Path(next(filter(None, files.values()), "")).stem)
    for line in bad.summary():
        world.say(line)
    return found


def _labels_of(config: BertConfig) -> tuple[str, ...] | None:
    """The classes that a trained model knows."""
    names = config.extra.get("id2label")
    return tuple(names[str(i)] for i in range(len(names))) if isinstance(names, dict) else None


def _kind_of(config: BertConfig) -> Literal["single", "multi", "regression"] | None:
    """What a trained model predicts."""
    kinds: dict[object, Literal["single", "multi", "regression"]] = {
        "single_label_classification": "single",
        "multi_label_classification": "multi",
        "regression": "regression",
    }
    return kinds.get(config.extra.get("problem_type"))


def _with_labels(config: BertConfig, problem: Problem, dropout: float | None) -> BertConfig:
    """The configuration of the classifier, as Hugging Face's classes want it."""
    kinds = {"single": "single_label_classification", "multi": "multi_label_classification"}
    labels = problem.labels or ("score",)
    extra = {
        **config.extra,
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": kinds.get(problem.kind, "regression"),
    }
    if dropout is not None:
        return replace(config, extra=extra, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    return replace(config, extra=extra)


def _settings(flags: Flags, problem: Problem, tokenizer: Tokenizer, world: World) -> Classification:
    """The data, tokenized, and how to train on them."""
    from bertworks.model.machine import choose_precision
    from bertworks.tasks.classification import Classification
    from bertworks.tasks.problem import labelled

    def of(rows: Sequence[AnyRow]) -> Labelled:
        return labelled(problem, rows, tokenizer, flags.max_seq_length)

    rows = _share(problem.train, flags.train_fraction, flags.random_seed)
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
        class_weights=_class_weights(flags.class_weights, problem, data),
        precision=choose_precision(flags.precision, world.device),
        eval_precision=choose_precision(flags.eval_precision, world.device),
    )


def _share(rows: Sequence[AnyRow], fraction: float, seed: int) -> Sequence[AnyRow]:
    """A random part of the rows, in their order; a smaller fraction is part of a larger one."""
    from bertworks.data.sequences import shuffled

    if fraction >= 1:
        return rows
    kept = shuffled(seed, len(rows), 0, len(rows))[: max(1, round(fraction * len(rows)))]
    return [rows[i] for i in sorted(kept.tolist())]


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
    flags: Flags,
    problem: Problem,
    settings: Classification,
    config: BertConfig,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    world: World,
    seed: int,
) -> Job:
    """A model with a fresh or a stored head, and its task."""
    from bertworks.checkpoints.huggingface import save_model_folder
    from bertworks.checkpoints.load import load_into
    from bertworks.model.heads import SequenceClassifier, initialise
    from bertworks.tasks import classification

    model = SequenceClassifier(config, problem.classes)
    report = load_into(model, checkpoint, config)
    fresh = {*report.missing, *report.misfits}
    if fresh & {"classifier.weight", "classifier.bias"} and not flags.do_train:
        raise InputError(
            f"{checkpoint.path}: has no classifier for these {problem.classes} classes; train one first (--do_train)"
        )
    initialise(model, config.initializer_range, seed, fresh)
    freeze(model, flags.freeze_layers)
    model.gradient_checkpointing = flags.gradient_checkpointing
    model.to(world.device)
    world.say(str(report))
    settings = replace(settings, random_seed=seed)

    def write_model(folder: Path) -> None:
        save_model_folder(folder, config, model.state_dict(), "BertForSequenceClassification")
        tokenizer.save(folder)

    shape = {f"--bert_config_file ({n})": value for n, value in asdict(config).items() if n != "extra"}
    return Job(
        model=model,
        task=classification.task(settings),
        examples=len(settings.train) if settings.train else 0,
        metric=f"eval_{settings.metrics[0]}" if settings.dev else None,
        identity={
            **shape,
            "--task_name or --train_file": problem.name,
            "--labels": list(problem.labels),
            "the training rows": len(settings.train) if settings.train else 0,
            "--vocab_file": tokenizer.sha256[:16],
        },
        write_model=write_model,
    )


def _predict(flags: Flags, problem: Problem, settings: Classification, tokenizer: Tokenizer, job: Job) -> None:
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
