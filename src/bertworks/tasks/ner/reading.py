"""The tagged sentences of your own files, or of the original's record files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bertworks.data.bad_rows import BadRows
from bertworks.data.labelled_records import record_files
from bertworks.errors import InputError
from bertworks.job import Setup
from bertworks.tasks.ner.tag_files import TaggedRow, read_cluener, read_columns, rows_of_records

Rows = dict[str, list[TaggedRow]]


def records_of(files: Mapping[str, str], splits: Sequence[str]) -> dict[str, list[Path]]:
    """The record files among somebody's own files, by split; empty where the data are others.

    Raises:
        InputError: a split that is asked for has no file.
    """
    if missing := next((split for split in splits if split not in files), None):
        raise InputError(f"--{missing}_file: must be given (or --task_name and --data_dir)")
    return record_files({split: files[split] for split in splits})


def read_records(records: Mapping[str, Sequence[Path]], labels: Sequence[str], setup: Setup) -> Rows:
    """Read record files; `labels` are the tags by number, if a person names them."""
    names = list(labels or setup.config.labels or ())
    if not names:
        raise InputError("--labels: must be given, the tags of the record files by number, such as O,B-PER,I-PER")
    size = setup.max_seq_length
    return {
        split: rows_of_records(paths, names, setup.tokenizer, size, with_tags=split != "test")
        for split, paths in records.items()
    }


def read_files(files: Mapping[str, str], splits: Sequence[str], bad: BadRows) -> Rows:
    """Read somebody's own files: columns, or JSON lines as CLUENER has them."""
    rows: Rows = {}
    for split in splits:
        path = Path(files[split])
        rows[split] = with_tags(split, (read_cluener if is_json(path) else read_columns)(path, bad))
    return rows


def is_json(path: Path) -> bool:
    """Tell by its name whether a file has sentences as CLUENER has them."""
    return path.suffix in (".json", ".jsonl")


def with_tags(split: str, rows: Iterable[TaggedRow]) -> list[TaggedRow]:
    """Return the rows, which must have tags unless they are to be predicted.

    Raises:
        InputError: one has none.
    """
    found = list(rows)
    if split != "test" and (bare := next((row for row in found if row.tags is None), None)):
        raise InputError(f"{bare.location}: has no tags; a {split} file has one for each word")
    return found
