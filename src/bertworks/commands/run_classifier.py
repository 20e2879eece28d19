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

    text_column: str | None = flag(
        None,
        "The column of the text, by name or number (from 0; -1 is the last); several with commas are joined. Found by "
        "names and values if not given, as the others are.",
        group="Input",
        remembered=True,
    )
    pair_column: str | None = flag(None, "The column of a second text.", group="Input", remembered=True)
    label_column: str | None = flag(
        None,
        "The column of the label; or several with commas, which have 0 or 1 for a class each.",
        group="Input",
        remembered=True,
    )
    id_column: str | None = flag(None, "The column of an id, for predictions.", group="Input")
    labels: str | None = flag(None, "The classes in order, with commas; by default those found.", group="Input")
    label_separator: str | None = flag(
        None, "What stands between several labels of a row; found if not given.", group="Input", remembered=True
    )
    merge_labels: bool | None = flag(
        None, "Labels that differ only in capitals and blanks are one.", group="Input", remembered=True
    )
    encoding: str | None = flag(
        None, "Of text files, such as utf-8, cp1252, gb18030; found if not given.", group="Input", remembered=True
    )
    separator: str | None = flag(
        None,
        "Between the fields of text files: a character or tab; found if not given.",
        group="Input",
        remembered=True,
    )
    header: bool | None = flag(
        None,
        "Whether line 1 has the names of the columns (--noheader: it is a row); found if not given.",
        group="Input",
        remembered=True,
    )
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
    from bertworks.tasks.classification.own_data import LABEL_FLAGS, TEXT_FLAGS
    from bertworks.tasks.classification.problem import of_known_task
    from bertworks.tasks.labels import labels_of

    if flags.dev_fraction and flags.dev_file:
        raise InputError("--dev_fraction: give it or --dev_file; each says what to evaluate on")
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
        raise InputError(f"--{given[0]}: is for your own files; {task.name} says it itself")

    def read(settings: Flags, setup: Setup) -> Job:
        bad, long_texts = BadRows(settings.on_bad_row), LongTexts(settings.long_text, settings.doc_stride)
        if task:
            problem = of_known_task(task, Path(settings.data_dir or ""), setup.splits, bad)
        else:
            problem = read_files(settings.files, _options(settings, given), setup, long_texts, bad)
        for line in bad.summary():
            setup.say(line)
        return classification_job(problem, setup, long_texts, settings.class_weights)

    run(flags, read, task)


def _options(flags: Flags, given: tuple[str, ...]) -> DataOptions:
    """How to read somebody's own files; flags that are not among the `given` are what a trained model remembers."""
    from bertworks.data.tables import Reading
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
