"""The known tasks as a page for people, docs/tasks.md: `python -m tests.datasets.task_page` prints it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bertworks.datasets import registry
from bertworks.datasets.schema import KnownTask, TaskFile

_HEAD = """\
# Tasks known by name

This page is made from `src/bertworks/datasets/tasks.toml`, which also names the sources of columns and labels. Do not
edit it; run `python -m tests.datasets.task_page > docs/tasks.md`. A test compares the two.

`bert run_classifier --task_name=NAME --data_dir=FOLDER` reads the files of a task as they were released
(`run_multiple_choice` for choices, `run_ner` for tags). FOLDER is the task's folder, or the folder above it. If the
table names several files of one set, the first that exists is read. Case, dashes and underscores of a name do not
matter. `bert download_data NAME` downloads the files that may be downloaded, and says how to get the others.
"""

_DATA = """
## Files

Columns are those of the text, the second text and the label. Numbers count from 0; -1 is the last column. Labels are in
the order of the model's outputs. `A -> B` says that A in a file means B.
"""

_TRAINING = """
## Training

The first metric decides which model is best. Settings are `--train_batch_size`, `--learning_rate`,
`--num_train_epochs` and `--max_seq_length`, as the source published them. If "by default" is yes, training uses them
for the flags that are not given, and prints them. If it is no, these flags keep their own defaults (32, 5e-05, 3,
128), those of the original's `run_classifier.py`.

"read whole" means that the real files were read with these settings, and had as many rows as their authors say. "not
run on the real file" means that we did not have the real files; we only read files of our own in the same format.
"""

_KINDS = {
    "single": "one class",
    "multi": "several classes",
    "regression": "a number",
    "choice": "which of four endings",
    "tags": "a tag for each word",
}


def page() -> str:
    """Return the page as text. XNLI has one row for all languages."""
    tasks = [task for task in registry.tasks() if task.name == "XNLI-zh" or not task.name.startswith("XNLI-")]
    files = ["task", "also called", "what is predicted", "language", "files", "columns", "labels", "rows"]
    training = ["task", "metrics", "settings", "source", "by default", "real files"]
    return (
        _HEAD
        + _DATA
        + _table(files, (_of_files(task) for task in tasks))
        + _TRAINING
        + _table(training, (_of_training(task) for task in tasks))
    )


def _of_files(task: KnownTask) -> list[str]:
    names = []
    splits_by_columns: dict[str, dict[str, None]] = {}
    for split in task.splits:
        files = [file for file in task.files if file.split == split]
        names.append(f"{split}: {' or '.join(dict.fromkeys(file.name for file in files))}")
        for file in files:
            splits_by_columns.setdefault(_columns(task, file), {})[split] = None
    is_xnli = task.name == "XNLI-zh"
    languages = ", ".join(other.languages for other in registry.tasks() if other.name.startswith("XNLI-"))
    return [
        f"[{f'XNLI-{languages}' if is_xnli else task.name}]({task.home})",
        ", ".join(f"{alias} (zh)" if is_xnli else alias for alias in task.aliases),
        _KINDS[task.kind],
        "its own" if is_xnli else task.languages,
        "; ".join(names),
        "; ".join(f"{', '.join(splits)}: {columns}" for columns, splits in splits_by_columns.items()),
        _labels(task),
        ", ".join(f"{split} {count:,}" for split, count in task.counts.items()),
    ]


def _labels(task: KnownTask) -> str:
    parts = [", ".join(task.labels)] if task.labels else []
    parts += [f"{written} -> {meant}" for written, meant in task.spellings.items()]
    parts += [f"rows with {label} are left out" for label in task.left_out]
    return "; ".join([*parts, *["rows that lack columns are left out"] * task.incomplete_rows])


def _columns(task: KnownTask, file: TaskFile) -> str:
    if task.kind == "tags":
        return "JSON of texts and mentions" if file.name.endswith(".json") else "the word first, the tag last"
    if file.choices:
        columns = [file.text, f"{file.pair} + {', '.join(map(str, file.choices))}", file.label]
    else:
        columns = [file.text, file.pair, file.label]
    return ", ".join(str(column) for column in columns if column is not None)


def _of_training(task: KnownTask) -> list[str]:
    settings = task.settings
    return [
        "XNLI" if task.name == "XNLI-zh" else task.name,
        ", ".join(task.metrics),
        ", ".join(f"{value:g}" for value in settings.flags.values()),
        settings.source,
        "yes" if settings.applied else "no",
        "read whole" if task.verified else "not run on the real file",
    ]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n" + "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
