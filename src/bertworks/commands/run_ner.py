"""`bert run_ner`: find names of people, places, works and so on, by a tag for each word or character."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.errors import InputError
from bertworks.finetuning.flags import TAG_TASK_NAMES, TaskFlags
from bertworks.flags import flag

if TYPE_CHECKING:
    from bertworks.datasets.schema import KnownTask
    from bertworks.finetuning.run import ReadJob
    from bertworks.job import Job, Setup


@dataclass(frozen=True, kw_only=True)
class Flags(TaskFlags):
    """Train, evaluate and use a tagger, which finds names of people, places and other things in text.

    A known task:  bert run_ner --task_name=CLUENER --data_dir=CLUENER --model=bert-base-chinese --output_dir=out
                   --do_train --do_eval --do_predict
    Your own:      bert run_ner --train_file=train.txt --dev_fraction=0.1 ...; a word and its tag a line, blank lines
                   between sentences; or JSON of words and tags, or of texts and their entities (CLUENER, doccano,
                   prodigy, Label Studio, spaCy), or a folder of BRAT. What was recognised is said.
    """

    shown_first = (
        "model output_dir do_train do_eval do_predict max_seq_length train_batch_size learning_rate "
        "num_train_epochs train_file dev_file test_file dev_fraction long_text use_crf task_name data_dir"
    )

    task_name: str | None = flag(None, f"A task known by name (docs/tasks.md): {TAG_TASK_NAMES}.", group="Input")
    labels: str | None = flag(
        None,
        "Of tags that are numbers, as in .tf_record files: their names in order, with commas; of .tf_record files by "
        "default the model's.",
        group="Input",
        remembered=True,
    )
    word_column: str | None = flag(
        None,
        "The column of the words: a number from 0 on, -1 for the last, or its name in the first line or in JSON.",
        group="Input",
        remembered=True,
    )
    tag_column: str | None = flag(
        None,
        "The column of the tags, given in the same way.",
        group="Input",
        remembered=True,
    )
    dev_fraction: float = flag(
        0.0,
        "Take this share of the sentences of --train_file out of training, to evaluate on it.",
        group="Input",
        lowest=0,
        highest=0.9,
    )
    unit: Literal["word", "character"] | None = flag(
        None,
        "What to tag in texts with entities; by default characters in scripts without blanks, such as Chinese, else "
        "words.",
        group="Input",
        remembered=True,
    )
    long_text: Literal["truncate", "window"] = flag(
        "truncate",
        "What to do with a sentence longer than --max_seq_length. truncate: drop its end; window: read it in windows.",
        group="Input",
        remembered=True,
    )
    doc_stride: int = flag(
        64,
        "With --long_text=window: pieces from the start of a window to the start of the next.",
        group="Input",
        lowest=1,
        remembered=True,
    )
    use_crf: bool = flag(
        False,
        "Add a conditional random field: learn which tags follow each other, and predict the best sequence of tags.",
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

    task = flags.known_task(tags=True)
    if task and flags.labels:
        raise InputError("--labels: is for .tf_record files; a task known by --task_name has the tags themselves")
    if flags.dev_fraction and flags.dev_file:
        raise InputError("--dev_fraction and --dev_file: give one of them; each says what to evaluate on")
    for name in ("word_column", "tag_column", "unit", "dev_fraction"):
        if task and getattr(flags, name):
            raise InputError(f"--{name}: is for your own files; a task known by --task_name is read as released")
    check_task(flags, task, flags.data_dir, flags.files)
    from bertworks.data.bad_rows import BadRows
    from bertworks.tasks.labels import labels_of
    from bertworks.tasks.ner import reading
    from bertworks.tasks.ner.column_layout import TagColumnFlags
    from bertworks.tasks.ner.job import tagging_job

    def read(settings: Flags, setup: Setup) -> Job:
        bad, files = BadRows(settings.on_bad_row), settings.files
        splits = [split for split in setup.splits if split != "dev" or not settings.dev_fraction]
        records = {} if task else reading.records_of(files, splits)
        for name in ("word_column", "tag_column", "unit"):
            if records and getattr(settings, name) and settings.was_given(name):
                raise InputError(f"--{name}: .tf_record files have no columns and no texts; leave it out")
        if records and settings.dev_fraction:
            raise InputError("--dev_fraction: is for files of sentences, not .tf_record files; give --dev_file")
        if records and settings.long_text != "truncate":
            first = next(iter(records.values()))[0]
            raise InputError(f"--long_text: {first} has texts that are cut; leave the flag out")
        labels = labels_of(settings.labels) if settings.labels else ()
        unit = settings.unit
        if task:
            from bertworks.tasks.known_tasks import read_tagged

            data_dir = Path(settings.data_dir or "")
            rows = read_tagged(task, data_dir, setup, bad, keeps_best=settings.do_train)
        elif records:
            rows = reading.read_records(records, labels, setup)
        else:
            columns = TagColumnFlags(settings.word_column, settings.tag_column)
            own = reading.OwnFiles(columns, labels, unit, bad, setup.say)
            rows = own.read(files, splits)
            if "dev" in setup.splits and settings.dev_fraction:
                rows = reading.with_drawn_dev_set(rows, settings.dev_fraction, setup)
            if labels and settings.was_given("labels") and not own.has_numbers:
                raise InputError("--labels: is for .tf_record files and tags that are numbers; these are names")
            unit = own.unit
        metric = task.metrics[0] if task else "entity_f1"
        return tagging_job(
            rows,
            setup,
            bad,
            metric=metric,
            stride=settings.doc_stride if settings.long_text == "window" else None,
            use_crf=settings.use_crf,
            are_pieces=bool(records),
            unit=unit,
        )

    return read, task
