"""What a training notes for its card that no other file of its folder has: the data, the machine, the versions.

It is one small file, `card.json`. Everything in it may be missing; the card then leaves that out.
"""

from __future__ import annotations

import contextlib
import json
import platform
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from bertworks import files
from bertworks.datasets import registry
from bertworks.datasets.models import is_hub_name
from bertworks.datasets.schema import KnownTask
from bertworks.errors import InputError
from bertworks.flag_groups import input_files
from bertworks.flags import RETIRED, CommandFlags, describe

RECORD = "card.json"

# More bytes of data are named and counted, and not read once more to be hashed.
_MOST_HASHED = 2 << 30

# The owner, on the Hugging Face hub, of the models whose names there are our aliases.
_HUB_OWNER, _HUB_ALIASES = "google-bert/", ("bert-base-", "bert-large-")

_LIBRARIES = ("bertworks", "torch", "numpy", "safetensors")


@dataclass(frozen=True)
class Amount:
    """How much data a split has, and how much of it does not fit into a sequence; for the card of the model.

    Attributes:
        counts: what is counted -> how many.
        cut: how many parts do not fit; None if nobody counted.
        of: how many parts there are.
        what: what the parts are, in the plural.
        happens: what happens to those that do not fit.
    """

    counts: Mapping[str, int]
    cut: int | None = None
    of: int = 0
    what: str = "texts"
    happens: str = "lose their end"


def record_training(
    output_dir: Path,
    flags: CommandFlags,
    command: str,
    *,
    amounts: Mapping[str, Amount],
    data_hash: str | None,
    precision: str,
    eval_precision: str,
    hardware: Mapping[str, Any],
) -> None:
    """Write what the card says of a training, when it begins.

    Args:
        flags: as they are resolved; they name the data and the model to begin with.
        amounts: split -> how much data it has.
        data_hash: of the training examples as they are trained on.
        hardware: device (the processor's name, or the GPU's), cores (that the process may use), processes (that train
            together), threads (of each).
    """
    base = hub_name(getattr(flags, "model", None)) or hub_name(getattr(flags, "init_checkpoint", None))
    task = _task_of(flags)
    content = {
        "command": command_line(flags, command),
        "base_model": base,
        "task": {"name": task.name, "home": task.home} if task else None,
        "files": data_files(flags),
        "data": {split: asdict(amount) for split, amount in amounts.items()},
        "data_hash": data_hash,
        "precision": precision,
        "eval_precision": eval_precision,
        "hardware": dict(hardware),
        "versions": {"Python": platform.python_version(), **_versions()},
    }
    _write(output_dir, {name: value for name, value in content.items() if value})


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def record_evaluation(
    output_dir: Path,
    flags: CommandFlags,
    *,
    amounts: Mapping[str, Amount],
    precision: str,
) -> None:
    """Note what an evaluation without training was of. A folder where nothing was trained gets no record."""
    record = read_record(output_dir)
    if not record:
        return
    new = data_files(flags)
    renewed = {file["flag"] for file in new}
    record["files"] = [file for file in record.get("files", ()) if file["flag"] not in renewed] + new
    record["data"] = {**record.get("data", {}), **{split: asdict(amount) for split, amount in amounts.items()}}
    record["eval_precision"] = precision
    _write(output_dir, record)


def read_record(folder: Path) -> dict[str, Any]:
    """Return what a training noted in a folder; {} if nothing.

    Raises:
        InputError: the file is not what we write.
    """
    return read_object(folder / RECORD, "; delete it, and the card does without")


def read_object(path: Path, remedy: str = "") -> dict[str, Any]:
    """Return the object of a JSON file; {} if there is no file.

    Args:
        remedy: what to do if it is damaged, which the message ends with.

    Raises:
        InputError: the file is damaged, or holds something else.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not a JSON file ({error}){remedy}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: not an object of JSON{remedy}")
    return found


def _write(folder: Path, content: Mapping[str, Any]) -> None:
    files.write_text(folder / RECORD, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _task_of(flags: CommandFlags) -> KnownTask | None:
    """Return the task known by name that the flags name."""
    name = getattr(flags, "task_name", None)
    return registry.find_task(name) if name else None


def data_files(flags: CommandFlags) -> list[dict[str, Any]]:
    """Return the flag, name, size and SHA-256 of the files of data that flags name.

    Those of the model are left out, and those in the folder of a task known by name that the task does not name.
    """
    task = _task_of(flags)
    of_model = {name for name, described in describe(type(flags)).items() if described.group == "Model"}
    of_model.add("vocab_file")
    wanted = {Path(file.name).name for file in task.files} if task else None
    paths = [
        (flag, path)
        for flag, path in input_files(flags)
        if flag not in of_model and (wanted is None or flag != "data_dir" or path.name in wanted)
    ]
    sizes = [path.stat().st_size for _, path in paths]
    hashed = sum(sizes) <= _MOST_HASHED
    return [
        {"flag": flag, "name": path.name, "bytes": size, **({"sha256": files.sha256(path)} if hashed else {})}
        for (flag, path), size in zip(paths, sizes, strict=True)
    ]


def command_line(flags: CommandFlags, command: str) -> str:
    """Return the command with the flags that a person gave; of a path only the name, because a card is for others."""
    words = []
    for name, described in describe(type(flags)).items():
        value = getattr(flags, name)
        if value is None or value == described.default or not flags.was_given(name) or described.group == RETIRED:
            continue
        if described.path and isinstance(value, str):
            value = ",".join(_name_of(part.strip()) for part in value.split(","))
        words.append(f"--{name}={value}")
    return f"bert {command} {shlex.join(words)}"


def _name_of(path: str) -> str:
    """Return the name of a file or a folder; an address and the name of a model stay as they are."""
    local = "://" not in path and (Path(path).is_absolute() or path.startswith(".") or Path(path).exists())
    return Path(path).name or path if local else path


def hub_name(name: str | None) -> str | None:
    """Return the name on the Hugging Face hub of a model that training began with; None if it has none that we know.

    A folder that we trained tells with what its own training began.
    """
    if not name:
        return None
    if Path(name).exists():
        return read_record(Path(name)).get("base_model") if Path(name).is_dir() else None
    if known := registry.find_model(name):
        return next((_HUB_OWNER + alias for alias in known.aliases if alias.startswith(_HUB_ALIASES)), None)
    return name if is_hub_name(name) else None
