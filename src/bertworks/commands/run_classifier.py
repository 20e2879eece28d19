"""`bert run_classifier`: predict one class, several classes, or a number for texts and pairs of texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.errors import InputError
from bertworks.finetuning.flags import TaskFlags
from bertworks.flags import flag

if TYPE_CHECKING:
    from bertworks.datasets.schema import KnownTask
    from bertworks.finetuning.run import ReadJob
    from bertworks.job import Job, Setup
    from bertworks.tasks.classification.own_data import DataOptions


@dataclass(frozen=True, kw_only=True)
class Flags(TaskFlags):
    """Train, evaluate and use a classifier of sentences or pairs.

    A known task:  bert run_classifier --task_name=MRPC --data_dir=glue/MRPC --model=bert-base-uncased --output_dir=mrpc
                   --do_train --do_eval --do_predict
    Your own CSV:  bert run_classifier --train_file=train.csv --dev_fraction=0.1 --model=bert-base-uncased
                   --output_dir=out --do_train --do_eval
    Use it:        bert run_classifier --model=out --test_file=new.csv --output_dir=predictions --do_predict
    """

    shown_first = (
        "model output_dir do_train do_eval do_predict max_seq_length train_batch_size learning_rate "
        "num_train_epochs train_file dev_file test_file dev_fraction text_column label_column task_name data_dir"
    )

    text_column: str | None = flag(
        None,
        "The column of the text, by name or number (from 0; -1 is the last); several, with commas between, are joined. "
        "By default found by names and values, as the other columns are.",
        group="Input",
        remembered=True,
    )
    pair_column: str | None = flag(
        None, "The column of the second text, if there is one.", group="Input", remembered=True
    )
    label_column: str | None = flag(
        None,
        "The column of the label; or several, with commas between, each with 0 or 1 for one class.",
        group="Input",
        remembered=True,
    )
    id_column: str | None = flag(None, "The column of an id, for predictions.", group="Input")
    labels: str | None = flag(
        None, "The classes in order, with commas between; by default those in the data.", group="Input"
    )
    label_separator: str | None = flag(
        None, "What separates the labels of a row, if it has several; by default found.", group="Input", remembered=True
    )
    merge_labels: bool | None = flag(
        None, "Treat labels that differ only in capitals and blanks as one.", group="Input", remembered=True
    )
    encoding: str | None = flag(
        None,
        "The encoding of text files, such as utf-8, cp1252, gb18030; by default found.",
        group="Input",
        remembered=True,
    )
    separator: str | None = flag(
        None,
        "What separates the fields of text files: a character, or tab; by default found.",
        group="Input",
        remembered=True,
    )
    header: bool | None = flag(
        None,
        "Whether line 1 has the names of the columns (--noheader: it is a row); by default found.",
        group="Input",
        remembered=True,
    )
    kind: Literal["single", "multi", "regression"] | None = flag(
        None,
        "Whether to predict one class, several classes at once, or a number; by default guessed from the data.",
        group="Input",
    )
    dev_fraction: float = flag(
        0.0, "Take this share of --train_file out of training, to evaluate on it.", group="Input", lowest=0
    )
    long_text: Literal["truncate", "window", "head_tail"] = flag(
        "truncate",
        "What to do with a text longer than --max_seq_length. truncate: keep its beginning; window: read "
        "all of it in windows and take the mean of their logits; head_tail: keep its beginning and its end.",
        group="Input",
        remembered=True,
    )
    doc_stride: int | None = flag(
        None,
        "With --long_text=window: tokens from the start of a window to the start of the next; by default "
        "half of --max_seq_length.",
        group="Input",
        lowest=1,
        remembered=True,
    )
    standardize_scores: bool | None = flag(
        None,
        "Train a model that predicts numbers on standardised ones; it predicts in the scale of the file all the same. "
        "By default with your own files; a task known by name, such as STS-B, is trained as in the original.",
        group="Training",
    )
    calibrate: bool = flag(
        False,
        "With --do_eval: find the temperature on the dev set with which probabilities mean what they say, and write it "
        "into the head of the model; reliability.png shows it.",
        group="Evaluation",
    )
    class_weights: str | None = flag(
        None,
        "The weight of each class in the loss, with commas between; `balanced`: rare classes weigh more.",
        group="Training",
    )


def main(flags: Flags) -> None:
    """Run the command."""
    read = reader(flags)  # what is wrong with the flags is known before torch is imported
    from bertworks.finetuning.run import run

    run(flags, *read)


def reader(flags: Flags) -> tuple[ReadJob[Flags], KnownTask | None]:
    """Return what reads the data of these flags, and the task if it is known by name; refuse flags that clash."""
    from bertworks.finetuning.early import check_task
    from bertworks.tasks.classification.own_data import LABEL_FLAGS, TEXT_FLAGS
    from bertworks.tasks.labels import labels_of

    if flags.dev_fraction and flags.dev_file:
        raise InputError("--dev_fraction and --dev_file: give one of them; each says what to evaluate on")
    if flags.calibrate and not flags.do_eval:
        raise InputError("--calibrate: needs a dev set; give --do_eval")
    if flags.labels and flags.kind == "regression":
        raise InputError("--labels: names classes, but --kind=regression has none")
    if flags.labels:
        labels_of(flags.labels)
    task = flags.known_task(tags=False)
    own = TEXT_FLAGS + LABEL_FLAGS
    given = tuple(
        name
        for name in own
        if getattr(flags, name) not in (None, False, 0) or (name, flags.header) == ("header", False)
    )
    if task and given:
        raise InputError(f"--{given[0]}: is for your own files; --task_name={task.name} decides it; leave the flag out")
    check_task(flags, task, flags.data_dir, flags.files)
    from bertworks.data.bad_rows import BadRows
    from bertworks.tasks.classification.job import LongTexts, classification_job, read_files

    def read(settings: Flags, setup: Setup) -> Job:
        bad, long_texts = BadRows(settings.on_bad_row), LongTexts(settings.long_text, settings.doc_stride)
        if task:
            from bertworks.tasks.known_tasks import of_known_task

            problem = of_known_task(task, Path(settings.data_dir or ""), setup.splits, bad)
        else:
            problem = read_files(settings.files, _options(settings, given), setup, long_texts, bad)
        for line in bad.summary():
            setup.say(line)
        standardize = settings.standardize_scores
        return classification_job(
            problem,
            setup,
            long_texts,
            settings.class_weights,
            standardize_scores=standardize if standardize is not None else task is None,
            calibrate=settings.calibrate,
        )

    return read, task


def _options(flags: Flags, given: tuple[str, ...]) -> DataOptions:
    """Return how to read somebody's own files; flags not among the `given` are what a trained model remembers."""
    from bertworks.data.delimited_tables import Reading
    from bertworks.tasks.classification.columns import ColumnFlags
    from bertworks.tasks.classification.own_data import TEXT_FLAGS, DataOptions
    from bertworks.tasks.labels import labels_of

    remembered = frozenset(TEXT_FLAGS) - set(given)
    return DataOptions(
        columns=ColumnFlags(
            text_column=flags.text_column,
            pair_column=flags.pair_column,
            label_column=flags.label_column,
            id_column=flags.id_column,
            remembered=remembered,
        ),
        reading=Reading(encoding=flags.encoding, separator=flags.separator, header=flags.header, remembered=remembered),
        labels=labels_of(flags.labels) if flags.labels else None,
        label_separator=flags.label_separator,
        kind=flags.kind,
        merge_labels=bool(flags.merge_labels),
        dev_fraction=flags.dev_fraction,
        seed=flags.random_seed,
        given=given,
    )
