"""`bert run_classifier`: sentences and pairs into classes, several classes at once, or a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bertworks.commands.classifying import run
from bertworks.commands.finetuning import TaskFlags, needed_splits
from bertworks.errors import InputError
from bertworks.flags import flag

if TYPE_CHECKING:
    from bertworks.config import BertConfig
    from bertworks.tasks.classification.problem import Problem
    from bertworks.train.distributed import World


@dataclass(kw_only=True)
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
    )
    doc_stride: int | None = flag(
        None,
        "With windows: how many tokens further on the next one begins; by default half of --max_seq_length.",
        group="Input",
        lowest=1,
    )
    class_weights: str | None = flag(
        None, "What each class counts in the loss, with commas; `balanced` is by how rare it is.", group="Training"
    )


# What says how texts are read from somebody's own files.
_OF_OWN_FILES = ("text_column", "pair_column", "label_column", "id_column", "label_separator", "dev_fraction")


def main(flags: Flags) -> None:
    """Run the command."""
    run(flags, partial(_problem, flags))


def _problem(flags: Flags, config: BertConfig, world: World) -> Problem:
    """The data, as far as they are needed."""
    from bertworks.data.bad_rows import BadRows
    from bertworks.data.labelled_records import record_files
    from bertworks.tasks import known_tasks as datasets
    from bertworks.tasks.classification import own_data, problem
    from bertworks.tasks.classification.trained_labels import kind_of

    files = {name: getattr(flags, f"{name}_file") for name in ("train", "dev", "test")}
    bad = BadRows(flags.on_bad_row)
    needed = needed_splits(flags)
    if flags.dev_fraction and flags.dev_file:
        raise InputError("--dev_fraction: give it or --dev_file; each says what to evaluate on")
    if flags.task_name:
        if given := [name for name, file in files.items() if file]:
            raise InputError(f"--task_name and --{given[0]}_file: give one of them; each says where the data are")
        task = datasets.find(flags.task_name)
        if given := [name for name in (*_OF_OWN_FILES, "labels", "kind") if getattr(flags, name)]:
            raise InputError(f"--{given[0]}: is for your own files; {task.name} says it itself")
        if not flags.data_dir:
            raise InputError(f"--data_dir: must be given, the folder with the files of {task.name}")
        found = problem.of_known_task(task, Path(flags.data_dir), needed, bad)
    elif missing := next((split for split in needed if not _has_file(flags, split)), None):
        or_fraction = ", or --dev_fraction=0.1 with --train_file" if missing == "dev" else ""
        wanted = {"train": "do_train", "dev": "do_eval", "test": "do_predict"}[missing]
        raise InputError(f"--{wanted}: give --{missing}_file{or_fraction} (or --task_name and --data_dir)")
    elif records := record_files({name: file for name, file in files.items() if name in needed}):
        return _of_records(flags, config, needed, records)
    else:
        wishes = own_data.Wishes(
            text_column=flags.text_column,
            pair_column=flags.pair_column,
            label_column=flags.label_column,
            id_column=flags.id_column,
            labels=_labels(flags, config),
            label_separator=flags.label_separator,
            kind=flags.kind or (None if flags.do_train else kind_of(config)),  # type: ignore[arg-type]
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


def _has_file(flags: Flags, split: str) -> bool:
    return bool(getattr(flags, f"{split}_file") or (split == "dev" and flags.dev_fraction and flags.train_file))


def _of_records(flags: Flags, config: BertConfig, needed: Sequence[str], records: Mapping[str, list[Path]]) -> Problem:
    """The data, where they are tokenized already."""
    from bertworks.tasks.classification import problem

    wrong = [name for name in _OF_OWN_FILES if getattr(flags, name)]
    wrong += ["long_text"] if flags.long_text != "truncate" else ["kind"] if flags.kind not in (None, "single") else []
    if wrong:
        first = next(iter(records.values()))[0]
        raise InputError(f"--{wrong[0]}: {first} has token ids, cut already, with one class each; leave the flag out")
    name = next(iter(records.values()))[0].stem
    return problem.of_records(records, name, _labels(flags, config), config.vocab_size, flags.max_seq_length)


def _labels(flags: Flags, config: BertConfig) -> tuple[str, ...] | None:
    """The classes, as far as they are known before the data are read."""
    from bertworks.tasks.rows import labels_of

    if flags.labels:
        if flags.kind == "regression":
            raise InputError("--labels: names classes, but --kind=regression has none")
        return labels_of(flags.labels)
    return None if flags.do_train else config.labels
