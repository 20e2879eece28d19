"""`bertworks.finetune`: every fine-tuning from Python, by the same driver and into the same files as the command.

Rows that are in memory are written to OUTPUT_DIR/data first, as JSON lines. So the run can be continued, compared and
repeated like any other, and its `flags.toml` says what it was.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from bertworks import addresses, files
from bertworks.errors import InputError
from bertworks.flags import parse
from bertworks.pretrained import Pretrained, load
from bertworks.remote.at_hand import at_hand

# What the model will do -> the command that trains it.
_COMMANDS = {"classify": "run_classifier", "tag": "run_ner", "answer": "run_squad", "choose": "run_multiple_choice"}

# Split -> the flag that names its file, and the one that asks for it; of questions there is one file besides training.
_FILES = {"train": "train_file", "dev": "dev_file", "test": "test_file"}
_OF_QUESTIONS = {"train": "train_file", "dev": "predict_file", "test": "predict_file"}
_ASKED = {"train": "do_train", "dev": "do_eval", "test": "do_predict"}

# What is no data, but has them -> where.
_PARTS = {"DatasetDict": "; give a split, such as data['train']", "LazyFrame": "; give data.collect()"}

# Types of pandas for a value that is missing.
_MISSING = ("NAType", "NaTType")

Data = Any
FineTuned = Literal["classify", "tag", "answer", "choose"]


def finetune(
    train: Data = None,
    dev: Data = None,
    test: Data = None,
    *,
    output_dir: Path | str,
    task: FineTuned = "classify",
    **flags: Any,
) -> Pretrained:
    """Fine-tune a model, and return it as `load(output_dir)` does.

    Args:
        train, dev, test: the data: a path, as the command takes it; or rows: a list, a table of pandas or polars, a
            data set of `datasets`. A row is a dict with the names of columns, or, to classify, (text, label) or
            (text, second text, label); to tag, (words, tags) or (text, {"entities": [(begin, end, type), ...]}).
        output_dir: the folder for the model and all files of the run. An interrupted training there continues. It, and
            paths of data, may be addresses such as s3://BUCKET/FOLDER.
        task: what the model will do; `choose` takes only a task known by name, with data_dir.
        flags: those of the command (bert run_classifier, run_ner, run_squad, run_multiple_choice), such as
            model="bert-base-uncased", num_train_epochs=2, dev_fraction=0.1, seeds=[1, 2, 3], task_name="MRPC",
            data_dir="glue/MRPC".

    Raises:
        InputError: as the command; or rows of no form that is known; or other rows than those of the training that
            the folder holds.
    """
    if task not in _COMMANDS:
        raise InputError(f"finetune: task={task!r} is none of {', '.join(_COMMANDS)}")
    if isinstance(flags.get("model"), Pretrained):
        raise InputError(
            f"finetune: model={flags['model'].checkpoint.path!s}: give its path or name, not what load() returned"
        )
    given = {split: data for split, data in (("train", train), ("dev", dev), ("test", test)) if data is not None}
    if task == "answer" and "dev" in given and "test" in given:
        raise InputError("finetune: give dev or test questions; run_squad answers one file besides the training file")
    flag_of = _OF_QUESTIONS if task == "answer" else _FILES
    folder = str(output_dir)
    is_elsewhere = addresses.split(folder)[1] not in ("", "file")
    if is_elsewhere and not all(isinstance(data, str | Path) for data in given.values()):
        raise InputError(f"finetune: output_dir={folder}: rows in memory need a folder here; give it, or paths of data")
    folder = addresses.of_file(folder) if "://" in folder and not is_elsewhere else folder
    data_dir = Path(folder) / "data"
    values = {flag_of[split]: _path(data, data_dir / f"{split}.jsonl", task) for split, data in given.items()}
    # A known task has a dev set.
    has_dev = "dev" in given or flags.get("dev_fraction") or flags.get("data_dir")
    asked = {"do_train": True, "do_eval": bool(has_dev), "do_predict": "test" in given}
    words = [f"--{name}={_word(value)}" for name, value in {**asked, **values, **flags}.items() if value is not None]
    name = _COMMANDS[task]
    command = importlib.import_module(f"bertworks.commands.{name}")
    parsed = parse(command.Flags, [*words, f"--output_dir={folder}"], f"finetune, as bert {name}")
    with at_hand(parsed) as local:
        command.main(local)
    return load(folder, device=parsed.device)


def _word(value: Any) -> str:
    """Return a value as a command line has it: a list with commas."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _path(data: Data, path: Path, task: str) -> str:
    """Return the path of a split: as it was given, or where its rows are written."""
    if isinstance(data, str | Path):
        return str(data)
    if task == "choose":
        raise InputError("finetune: task='choose' takes no rows; give task_name and data_dir")
    lines = [json.dumps(row, ensure_ascii=False) for row in rows_of(data, task)]
    if not lines:
        raise InputError(f"finetune: {path.stem} has no rows")
    text = "\n".join(lines) + "\n"
    begun = path.stem == "train" and (path.parents[1] / "checkpoints" / "run.json").exists()
    if begun and path.exists() and path.read_text(encoding="utf-8") != text:
        raise InputError(f"finetune: output_dir={path.parents[1]} holds a training on other rows; give another folder")
    files.write_text(path, text)
    return str(path)


def rows_of(data: Data, task: str) -> Iterator[Any]:
    """Yield the rows of data in memory, as JSON has them.

    Raises:
        InputError: they are no rows.
    """
    names = _class_names(data)
    for number, row in enumerate(_records(data)):
        if isinstance(row, Mapping):
            yield {str(name): _named(_plain(value), names.get(name)) for name, value in row.items()}
        elif isinstance(row, Sequence) and not isinstance(row, str):
            yield _of_parts(_plain(list(row)), number, task)
        else:
            raise InputError(f"finetune: row {number} is neither a dict nor a tuple but {row!r:.60}")


def _records(data: Data) -> Iterable[Any]:
    """Return the rows of a list, a data frame of pandas or polars, or a data set."""
    if hasattr(data, "to_dicts"):  # polars
        return data.to_dicts()  # type: ignore[no-any-return]
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # pandas
        return data.to_dict("records")  # type: ignore[no-any-return]
    if isinstance(data, Mapping) or not isinstance(data, Iterable):
        hint = _PARTS.get(type(data).__name__, "")
        raise InputError(
            f"finetune: give a path, a list of rows, a table or a data set, not {type(data).__name__}{hint}"
        )
    return data


def _of_parts(row: list[Any], number: int, task: str) -> Any:
    """Return a tuple as a dict, with the usual names of its parts."""
    if task == "classify" and len(row) in (2, 3):
        names = ("text", "label") if len(row) == 2 else ("text_a", "text_b", "label")
        return dict(zip(names, row, strict=True))
    if task == "tag" and len(row) == 2 and isinstance(row[1], Mapping):
        return row  # spaCy's pairs
    if task == "tag" and len(row) == 2 and isinstance(row[0], list):
        return {"tokens": row[0], "tags": row[1]}
    wanted = {
        "classify": "(text, label) or (text, second text, label)",
        "tag": "(words, tags) or (text, {'entities': [(begin, end, type), ...]})",
    }.get(task, "a dict with question, context and answers")
    raise InputError(f"finetune: row {number} is {row!r:.60}; give {wanted}")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers of NumPy are Python's, and what is no number is none."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if hasattr(value, "tolist"):  # an array, or a number of NumPy
        value = value.tolist()
    if isinstance(value, list | tuple | set):
        return [_plain(part) for part in value]
    if (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in _MISSING:
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _class_names(data: Data) -> dict[str, Sequence[str]]:
    """Return the names of the classes of each column whose numbers have some (ClassLabel of `datasets`)."""
    features = getattr(data, "features", None)
    found: dict[str, Sequence[str]] = {}
    for column, feature in features.items() if isinstance(features, Mapping) else ():
        names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
        if names:
            found[column] = list(names)
    return found


def _named(value: Any, names: Sequence[str] | None) -> Any:
    """Return a number of a class by its name; so are the numbers of a list. -1 means that there is no label."""
    if names is None:
        return value
    if isinstance(value, list):
        return [_named(part, names) for part in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None
