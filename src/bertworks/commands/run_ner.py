"""`bert run_ner`: find names of people, places, works and so on, by a tag for each word or character."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.errors import InputError
from bertworks.finetune.flags import TaskFlags
from bertworks.flags import flag

if TYPE_CHECKING:
    from bertworks.job import Job, Setup


@dataclass(frozen=True, kw_only=True)
class Flags(TaskFlags):
    """Train, evaluate and use a tagger, which finds names of people, places and other things in text.

    A known task:  bert run_ner --task_name=CLUENER --data_dir=CLUENER --model=bert-base-chinese --output_dir=out
                   --do_train --do_eval --do_predict
    Your own:      bert run_ner --train_file=train.txt --dev_file=dev.txt ...
                   Each line has a word and its tag, and a blank line ends a sentence; or JSON lines, as in CLUENER.
    """

    labels: str | None = flag(
        None,
        "For .tf_record files: the tags in the order of their numbers, with commas between; by default the model's.",
        group="Input",
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
    from bertworks.data.bad_rows import BadRows
    from bertworks.finetune.run import run
    from bertworks.tasks.labels import labels_of
    from bertworks.tasks.ner import reading
    from bertworks.tasks.ner.job import tagging_job

    task = flags.known_task(tags=True)
    if task and flags.labels:
        raise InputError("--labels: is for .tf_record files; a task known by --task_name has the tags themselves")

    def read(settings: Flags, setup: Setup) -> Job:
        bad, files = BadRows(settings.on_bad_row), settings.files
        records = {} if task else reading.records_of(files, setup.splits)
        if records and settings.long_text != "truncate":
            first = next(iter(records.values()))[0]
            raise InputError(f"--long_text: the texts in {first} are cut already; leave the flag out")
        if settings.labels and not records:
            raise InputError("--labels: is for .tf_record files; others have the tags themselves")
        if task:
            from bertworks.tasks.known_tasks import read_tagged

            data_dir = Path(settings.data_dir or "")
            rows = read_tagged(task, data_dir, setup, bad, keeps_best=settings.do_train)
        elif records:
            rows = reading.read_records(records, labels_of(settings.labels) if settings.labels else (), setup)
        else:
            rows = reading.read_files(files, setup.splits, bad)
        metric = task.metrics[0] if task else "entity_f1"
        return tagging_job(
            rows,
            setup,
            bad,
            metric=metric,
            stride=settings.doc_stride if settings.long_text == "window" else None,
            use_crf=settings.use_crf,
            are_pieces=bool(records),
            as_json=reading.is_json(Path(files["test"])) if "test" in files else metric == "cluener",
        )

    run(flags, read, task)
