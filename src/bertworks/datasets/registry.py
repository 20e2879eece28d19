"""The tasks, data sets and models known by name: reading them when first asked for, and finding one.

Names are compared without case, dashes, underscores, dots and blanks. To add a task, a data set or a model, add a table
to `tasks.toml`, `downloads.toml` or `models.toml`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from bertworks.datasets.schema import DataSet, KnownModel, KnownTask, PublishedSettings, Row, TaskFile
from bertworks.datasets.toml_rows import read_rows
from bertworks.errors import InputError
from bertworks.files import BYTE_ORDER_MARK
from bertworks.names import plain_name

_Row = TypeVar("_Row", bound=Row)


@cache
def tasks() -> tuple[KnownTask, ...]:
    """Return the tasks in the order of tasks.toml."""
    return _read("tasks.toml", "task", KnownTask, settings=PublishedSettings)


@cache
def data_sets() -> tuple[DataSet, ...]:
    """Return the data sets in the order of downloads.toml."""
    return _read("downloads.toml", "data_set", DataSet)


@cache
def models() -> tuple[KnownModel, ...]:
    """Return the models in the order of models.toml."""
    return _read("models.toml", "model", KnownModel)


def _read(file: str, kind: str, row_type: type[_Row], **shared: type) -> tuple[_Row, ...]:
    path = Path(__file__).with_name(file)
    return read_rows(path.read_text(encoding="utf-8"), str(path), kind, row_type, **shared)


def find_task(name: str, flag: str = "--task_name") -> KnownTask:
    """Return the task of a name or an alias.

    Raises:
        InputError: there is none; the message names the nearest. `flag` is the flag to fix.
    """
    if task := _find(tasks(), name):
        return task
    hint = did_you_mean(tasks(), name) or f"known are {', '.join(task_names())}"
    raise InputError(f"{flag}={name}: no task of this name; {hint}")


def find_data_set(name: str) -> DataSet:
    """Return the data set of a name or an alias.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    if data := _find(data_sets(), name):
        return data
    hint = did_you_mean(data_sets(), name).lower() or "`bert download_data` lists them"
    raise InputError(f"{name}: no data set of this name; {hint}")


def find_model(name: str) -> KnownModel | None:
    """Return the model of a name or an alias; None if there is none."""
    return _find(models(), name)


def _find(rows: Sequence[_Row], name: str) -> _Row | None:
    wanted = plain_name(name)
    return next((row for row in rows if wanted in map(plain_name, (row.name, *row.aliases))), None)


def did_you_mean(rows: Sequence[Row], name: str, most: int = 1) -> str:
    """Return a question with the names, `most` at most, that are nearest to an unknown one; "" if none is near."""
    known = {plain_name(name): name for row in rows for name in (row.name, *row.aliases)}
    near = difflib.get_close_matches(plain_name(name), known, most, 0.6)
    return f"did you mean {' or '.join(known[name] for name in near)}?" if near else ""


def task_names() -> list[str]:
    """Return the names of the tasks for a list; XNLI's languages are shortened to one entry."""
    return [task.name for task in tasks() if not task.name.startswith("XNLI-")] + ["XNLI-ar, ..., XNLI-zh"]


def split_names(task: KnownTask, split: str) -> list[str]:
    """Return the splits that one word means, none or more: of MNLI, `dev` means dev_matched and dev_mismatched."""
    return [name for name in task.splits if name == split or name.startswith(f"{split}_")]


def locate_split(task: KnownTask, data_dir: Path, split: str) -> tuple[Path, TaskFile]:
    """Return the path and the columns of a split's file, in the data folder or in the task's folder below it.

    Of several splits that `split` means, see `split_names`, it is the first.

    Raises:
        InputError: the task has no such split, or its file is missing; the message names the file.
    """
    found = split_names(task, split)
    if not found:
        raise InputError(f"{task.name}: has no {split} set, only {', '.join(task.splits)}")
    candidates = [file for file in task.files if file.split == found[0]]
    for folder in (data_dir, data_dir / task.folder):
        for file in candidates:
            path = folder / file.name
            if path.is_file() and (not file.begins or _starts_with(path, file.begins)):
                return path, file
    # Two candidates may be two layouts of a file with one name.
    wanted = " or ".join(dict.fromkeys(file.name for file in candidates))
    raise InputError(
        f"{data_dir}: has no {wanted}, the {split} set of {task.name}; give its folder (--data_dir), "
        f"or fetch it with bert download_data {task.name.lower()}"
    )


def _starts_with(path: Path, text: str) -> bool:
    """Tell whether a file starts with a text. A byte order mark does not count."""
    start = text.encode()
    with path.open("rb") as stream:
        return stream.read(len(BYTE_ORDER_MARK) + len(start)).removeprefix(BYTE_ORDER_MARK).startswith(start)
