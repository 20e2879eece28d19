"""Freezes what runs of commands say and leave behind, and compares later runs with it.

What differs from run to run is normalised by these rules and no others:

- the folder of the run, the fixtures, the repository and the version become {tmp}, {fixtures}, {repository}, {version};
- tokens per second become {rate}, and "in 1.2 s" becomes "in {time} s";
- progress lines ("steps: 3/8 steps, 2.0 steps/s ...") are dropped, because they depend on the time;
- metrics.jsonl lacks its time fields, and of its first line there are only the keys;
- the name of a tensorboard file ends after "events.out.tfevents".

Text is compared exactly, and so are whole numbers and what flags.toml, run.json and config.json say of the flags. Other
numbers may differ by a relative 1e-3 or an absolute 1e-4, and percentages by 0.1, because processors differ in the last
digits.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from bertworks import __version__, cli
from tests.commands.runs import FIXTURES, TIME_FIELDS

REPOSITORY = FIXTURES.parents[1]
RELATIVE, ABSOLUTE = 1e-3, 1.01e-4

# Of a file with more lines than both together, the first and the last are frozen.
FIRST_LINES, LAST_LINES = 12, 3

_PROGRESS = re.compile(r"^.*: [\d,]+(/[\d,]+)? (\w+), [\d,.]+ \2/s.*\n", re.MULTILINE)
_RATE = re.compile(r"[\d,]+(\.\d+)? tokens/s")
_TIME = re.compile(r"\bin [\d,]+(\.\d+)? s\b")
_EVENTS = re.compile(r"(events\.out\.tfevents).*")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)%?")

_TEXT = {".txt", ".tsv", ".csv", ".json", ".jsonl", ".toml"}
# Files that are equal everywhere and large: a digest says enough.
_DIGESTED = re.compile(r"vocab\.txt|tokenizer\.json|shard-.*|.*\.tfrecord")
# Files that hold flags: frozen whole, and their numbers are exact, but for the one that a training finds.
_OF_FLAGS = ("flags.toml", "run.json", "config.json")
_FOUND = "null_score_diff_threshold"


class Recorder:
    """Runs commands in one folder and keeps what each says and leaves behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[dict[str, Any]] = []

    def bert(self, *words: str, leaves: Path | None = None) -> None:
        """Run `bert WORDS`; `leaves` is the folder or file whose content is frozen too."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(words)
        assert code == 0, err.getvalue()
        record: dict[str, Any] = {
            "command": self.normalise(" ".join(words)),
            "stdout": self.normalise(out.getvalue()).splitlines(),
            "stderr": self.normalise(err.getvalue()).splitlines(),
        }
        if leaves is not None:
            record.update(self._files(leaves))
        self.records.append(record)

    def normalise(self, text: str) -> str:
        """Apply the rules for text."""
        for path, name in ((self.folder, "{tmp}"), (FIXTURES, "{fixtures}"), (REPOSITORY, "{repository}")):
            text = text.replace(str(path), name)
        text = text.replace(f"bertworks {__version__}", "bertworks {version}")
        text = _PROGRESS.sub("", text)
        return _TIME.sub("in {time} s", _RATE.sub("{rate} tokens/s", text))

    def _files(self, place: Path) -> dict[str, Any]:
        """The names of the files below a folder, and the content of those that tell results and settings."""
        if place.is_file():
            return {"files": [place.name], "contents": {place.name: self._content(place)}}
        paths = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
        # Weights differ in the last digits, and so do the digests of them in a checkpoint's folder.
        told = {name: path for name, path in sorted(paths.items()) if not re.search(r"(^|/)(step-\d+|best)/", name)}
        contents = {name: content for name, path in told.items() if (content := self._content(path)) is not None}
        return {"files": sorted(_EVENTS.sub(r"\1", name) for name in paths), "contents": contents}

    def _content(self, path: Path) -> Any:
        if _DIGESTED.fullmatch(path.name):
            return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        if path.name == "card.json":
            return _card(path)
        if path.name == "metrics.jsonl":
            return _metrics(path)
        if path.suffix in _READERS:
            return _READERS[path.suffix](path)
        return self._lines(path) if path.suffix in _TEXT else None

    def _lines(self, path: Path) -> Any:
        lines = self.normalise(path.read_text(encoding="utf-8")).splitlines()
        if len(lines) <= FIRST_LINES + LAST_LINES or path.name in _OF_FLAGS:
            return lines
        return {"lines": len(lines), "first": lines[:FIRST_LINES], "last": lines[-LAST_LINES:]}


def _card(path: Path) -> dict[str, Any]:
    """What a training notes for its card, without the machine; of files only the names, because some hold paths."""
    card = json.loads(path.read_text())
    names = [f"{file['flag']}: {file['name']}" for file in card["files"]]
    return {**{name: card[name] for name in card if name not in ("hardware", "versions")}, "files": names}


def _metrics(path: Path) -> dict[str, Any]:
    """The keys of the first line, and the other lines; learning rates in millionths, lest the tolerance hide them."""
    first, *rest = (json.loads(line) for line in path.read_text().splitlines())
    told = [{name: value for name, value in line.items() if name not in TIME_FIELDS} for line in rest]
    for line in told:
        if "learning_rate" in line:
            line["learning_rate"] = float(f"{1e6 * line['learning_rate']:.6g}")
    return {"keys of the first line": list(first), "other lines": [json.dumps(line) for line in told]}


def _arrays(path: Path) -> dict[str, str]:
    """Name -> shape, type, and the first and the last number of each array."""
    with np.load(path) as arrays:
        return {name: _array(arrays[name]) for name in arrays.files}


def _array(array: np.ndarray) -> str:
    ends = [array.flat[0], array.flat[-1]] if array.size and array.dtype.kind in "fiu" else []
    return " ".join([str(array.shape), str(array.dtype), *(str(end) for end in ends)])


def _tensors(path: Path) -> dict[str, Any]:
    """How many tensors, a digest of their names, shapes and types, and how large their values are."""
    tensors = load_file(path)
    told = "\n".join(sorted(f"{name} {one.shape} {one.dtype}" for name, one in tensors.items()))
    size = sum(float(np.abs(one.astype(np.float64)).sum()) for one in tensors.values())
    digest = hashlib.sha256(told.encode()).hexdigest()
    return {"tensors": len(tensors), "names and shapes": digest, "sum of absolute values": f"{size:.6f}"}


_READERS = {".npz": _arrays, ".safetensors": _tensors}


def assert_equal(found: Any, frozen: Any, where: str) -> None:
    """Compare two JSON values: text and whole numbers exactly, other numbers with the tolerance."""
    assert type(found) is type(frozen), where
    if isinstance(found, dict):
        assert list(found) == list(frozen), where
        for name, value in found.items():
            assert_equal(value, frozen[name], f"{where}: {name}")
    elif isinstance(found, list):
        if len(found) != len(frozen):
            assert found == frozen, where  # shows what is new and what is gone
        for number, pair in enumerate(zip(found, frozen, strict=True), 1):
            assert_equal(*pair, f"{where}, {number}")
    elif isinstance(found, str):
        assert _NUMBER.sub("#", found) == _NUMBER.sub("#", frozen), f"{where}\n{found}\n{frozen}"
        exact = any(f"{name}, " in where for name in _OF_FLAGS) and _FOUND not in found
        for one, other in zip(_NUMBER.findall(found), _NUMBER.findall(frozen), strict=True):
            assert one == other or (not exact and _near(one, other)), f"{where}: {one}, not {other}\n{found}\n{frozen}"
    else:
        assert found == frozen, where


def _near(found: str, frozen: str) -> bool:
    """Whether two numbers, not both whole, differ by no more than processors do."""
    if not set(".e") & set(found + frozen):
        return False
    one, other = float(found.rstrip("%")), float(frozen.rstrip("%"))
    return abs(one - other) <= max(RELATIVE * abs(other), 0.101 if frozen.endswith("%") else ABSOLUTE)
