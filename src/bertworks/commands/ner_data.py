"""The tagged sentences that the flags of `run_ner` name, and the tags that a model learns from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bertworks.commands.finetuning import needed_splits
from bertworks.errors import InputError

if TYPE_CHECKING:
    from bertworks.commands.run_ner import Flags
    from bertworks.config import BertConfig
    from bertworks.data.bad_rows import BadRows
    from bertworks.datasets.known_task import KnownTask
    from bertworks.tasks.rows import TaggedRow
    from bertworks.text.tokenizer import Tokenizer
    from bertworks.train.distributed import World


def record_files_of(flags: Flags) -> dict[str, list[Path]]:
    """The record files that are needed, by split; empty where the data are others."""
    from bertworks.data.labelled_records import record_files

    if flags.task_name:
        return {}
    records = record_files({split: getattr(flags, f"{split}_file") for split in needed_splits(flags)})
    if records and flags.long_text != "truncate":
        raise InputError(f"--long_text: {next(iter(records.values()))[0]} has texts that are cut; leave the flag out")
    if flags.labels and not records:
        raise InputError("--labels: is for .tf_record files; others have the tags themselves")
    return records


def read_known(flags: Flags, task: KnownTask, bad: BadRows, world: World) -> dict[str, list[TaggedRow]]:
    """The sentences of a task known by name, by split, as far as they are needed."""
    from bertworks.tasks import known_tasks as datasets

    rows: dict[str, list[TaggedRow]] = {}
    folder = Path(flags.data_dir or "")
    for split in needed_splits(flags):
        path, file = datasets.locate(task, folder, split)
        if split == "dev" and any(other.split == "test" and other.name == file.name for other in task.files):
            chosen = "; the best model is chosen by it too (not with --keep=last)" if flags.do_train else ""
            world.say(f"{task.name}: has no dev set; its test set is evaluated on ({path}){chosen}")
        rows[split] = _with_tags(split, datasets.rows(task, folder, split, bad))  # type: ignore[arg-type]
    return rows


def read(
    flags: Flags, records: dict[str, list[Path]], config: BertConfig, tokenizer: Tokenizer, bad: BadRows
) -> dict[str, list[TaggedRow]]:
    """The sentences of somebody's own files, by split, as far as they are needed."""
    from bertworks.tasks.ner.tag_files import read_cluener, read_columns
    from bertworks.tasks.ner.task import rows_of_records

    rows: dict[str, list[TaggedRow]] = {}
    for split in needed_splits(flags):
        if split in records:
            names, size = _names_of_records(flags, config), flags.max_seq_length
            rows[split] = rows_of_records(records[split], names, tokenizer, size, with_tags=split != "test")
        elif file := getattr(flags, f"{split}_file"):
            path = Path(file)
            rows[split] = _with_tags(split, (read_cluener if is_json(path) else read_columns)(path, bad))
        else:
            raise InputError(f"--{split}_file: must be given (or --task_name and --data_dir)")
    return rows


def is_json(path: Path) -> bool:
    """Whether a file has sentences as CLUENER has them, by its name."""
    return path.suffix in (".json", ".jsonl")


def _with_tags(split: str, rows: Iterator[TaggedRow]) -> list[TaggedRow]:
    """The rows, which must have tags unless they are to be predicted."""
    found = list(rows)
    if split != "test" and (bare := next((row for row in found if row.tags is None), None)):
        raise InputError(f"{bare.place}: has no tags; a {split} file has one for each word")
    return found


def only_labels(split: str, rows: list[TaggedRow], labels: Sequence[str], bad: BadRows) -> list[TaggedRow]:
    """The rows that have only tags of these, in their scheme."""
    from bertworks.tasks.ner.tag_files import in_labels

    before = len(bad.notes)
    found = list(in_labels(rows, labels, bad))
    if not found:
        raise InputError(f"no sentence of the {split} set can be used; the first: {bad.notes[before]}")
    return found


def labels_of_model(flags: Flags, rows: dict[str, list[TaggedRow]], config: BertConfig) -> list[str]:
    """The tags, from the training file; without training those of the trained model."""
    from bertworks.names import listed
    from bertworks.tasks.ner.entities import OUTSIDE, recognise, split_tag

    if not flags.do_train and config.labels:
        try:
            recognise([config.labels])
        except InputError:
            raise InputError(
                f"--model: its labels are {listed(config.labels)}, which are no tags; use bert run_classifier"
            ) from None
        return list(config.labels)
    if not flags.do_train:
        raise InputError("--model: says no tags (id2label in config.json); train one first (--do_train)")
    tags = [row.tags or () for row in rows["train"]]
    types = sorted({split_tag(tag)[1] for tag in {tag for one in tags for tag in one} if tag != OUTSIDE})
    if not types:
        raise InputError(f"{rows['train'][0].place}: no word of the training file has a tag but {OUTSIDE}")
    return recognise(tags).labels(types)


def unit_of(rows: dict[str, list[TaggedRow]]) -> str:
    """Whether the training file tags words or, as CLUENER, characters; what `tag()` goes by."""
    return "character" if all(len(word) == 1 for row in rows["train"] for word in row.words) else "word"


def _names_of_records(flags: Flags, config: BertConfig) -> list[str]:
    """What the numbers in record files mean."""
    from bertworks.tasks.rows import labels_of

    names = list(labels_of(flags.labels) if flags.labels else config.labels or ())
    if not names:
        raise InputError("--labels: must be given, the tags of the record files by number, such as O,B-PER,I-PER")
    return names
