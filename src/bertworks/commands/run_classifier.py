"""`bert run_classifier`: sentences and pairs into classes, several classes at once, or a number."""

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
    """Train, evaluate and use a classifier of sentences or pairs.

    A known task:  bert run_classifier --task_name=MRPC --data_dir=glue/MRPC --model=bert-base-uncased --output_dir=mrpc
                   --do_train --do_eval --do_predict
    Your own CSV:  bert run_classifier --train_file=train.csv --dev_fraction=0.1 --model=bert-base-uncased
                   --output_dir=out --do_train --do_eval
    Use it:        bert run_classifier --model=out --test_file=new.csv --output_dir=predictions --do_predict
    """

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
    long_text: Literal["truncate", "window", "head_tail"] = flag(
        "truncate",
        "What to do with texts longer than --max_seq_length: keep the beginning; read all through windows, whose mean "
        "decides; keep the beginning and the end.",
        group="Input",
        remembered=True,
    )
    doc_stride: int | None = flag(
        None,
        "With windows: how many tokens further on the next one begins; by default half of --max_seq_length.",
        group="Input",
        lowest=1,
        remembered=True,
    )
    class_weights: str | None = flag(
        None, "What each class counts in the loss, with commas; `balanced` is by how rare it is.", group="Training"
    )


def main(flags: Flags) -> None:
    """Run the command."""
    from bertworks.data.bad_rows import BadRows
    from bertworks.finetune.run import run
    from bertworks.tasks.classification.job import LongTexts, classification_job, read_files
    from bertworks.tasks.classification.own_data import DataOptions
    from bertworks.tasks.labels import labels_of

    if flags.dev_fraction and flags.dev_file:
        raise InputError("--dev_fraction: give it or --dev_file; each says what to evaluate on")
    if flags.labels and flags.kind == "regression":
        raise InputError("--labels: names classes, but --kind=regression has none")
    options = DataOptions(
        text_column=flags.text_column,
        pair_column=flags.pair_column,
        label_column=flags.label_column,
        id_column=flags.id_column,
        labels=labels_of(flags.labels) if flags.labels else None,
        label_separator=flags.label_separator,
        kind=flags.kind,
        dev_fraction=flags.dev_fraction,
        seed=flags.random_seed,
    )
    task = flags.known_task(tags=False)
    if task and (given := options.given()):
        raise InputError(f"--{given[0]}: is for your own files; {task.name} says it itself")

    def read(settings: Flags, setup: Setup) -> Job:
        bad, long_texts = BadRows(settings.on_bad_row), LongTexts(settings.long_text, settings.doc_stride)
        if task:
            from bertworks.tasks.known_tasks import of_known_task

            problem = of_known_task(task, Path(settings.data_dir or ""), setup.splits, bad)
        else:
            problem = read_files(settings.files, options, setup, long_texts, bad)
        for line in bad.summary():
            setup.say(line)
        return classification_job(problem, setup, long_texts, settings.class_weights)

    run(flags, read, task)
