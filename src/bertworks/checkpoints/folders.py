"""Which model a folder or a file holds, told by what is in it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from bertworks.checkpoints import kinds, names
from bertworks.checkpoints.formats.gluonnlp import open_gluonnlp
from bertworks.checkpoints.formats.huggingface import open_huggingface, weights_of
from bertworks.checkpoints.formats.mindspore import open_mindspore
from bertworks.checkpoints.formats.tensorflow import open_tensorflow
from bertworks.checkpoints.sentences import sentence_rules, transformer_of
from bertworks.checkpoints.storage import FolderStorage, Storage
from bertworks.checkpoints.weights import Checkpoint
from bertworks.errors import InputError

# How the files of a format end; a TensorFlow checkpoint's prefix is not itself a file.
_HUGGINGFACE = (".safetensors", ".bin", ".pt", ".pth")
_INDEX = (".safetensors.index.json", ".bin.index.json")
TENSORFLOW_FILE = re.compile(r"\.(index|meta|data-[0-9]{5}-of-[0-9]{5})$")
_GLUONNLP = (".params",)
# The folder of a step, as we and Hugging Face's trainer name it.
_STEP = re.compile(r"(step|checkpoint)-(\d+)")
_MINDSPORE = (".ckpt",)


def open_folder(storage: Storage, flag: str) -> Checkpoint:
    """Return the one model in a folder, whatever its format."""
    inner = transformer_of(storage)
    if inner is not storage and inner.path != storage.path:
        return _with_sentences(open_folder(inner, flag), storage)
    if weights_of(storage):
        return _with_sentences(open_huggingface(storage), storage)
    files = storage.files()
    if "checkpoint" in files or any(file.endswith(".index") for file in files):
        return open_tensorflow(storage, None)
    found = kinds.candidates(storage)
    if len(found) == 1:
        return open_file(storage, found[0])
    if found:
        raise InputError(f"{flag}={storage.path}: holds {len(found)} models ({', '.join(found[:3])}); name one of them")
    if why := kinds.refusal(storage):
        raise InputError(f"{flag}={storage.path}: {why}")
    inside = _inside(storage)
    steps = {name: int(match[2]) for name in inside if (match := _STEP.fullmatch(name))}
    if inside and len(steps) == len(inside) and len({name.rpartition("-")[0] for name in steps}) == 1:
        newest = max(steps, key=lambda name: steps[name])
        opened = open_folder(storage.folder(newest), flag)
        return replace(opened, notes=(*opened.notes, f"the newest of {len(steps)} checkpoints in the folder: {newest}"))
    if inside:
        raise InputError(f"{flag}={storage.path}: holds no weights, its folders do ({names.some(inside)}); name one")
    listed = f"; it has {names.some(files)}" if files else ""
    raise InputError(f"{flag}={storage.path}: holds no model's weights, in any format that we read{listed}")


def open_file(storage: Storage, name: str) -> Checkpoint:
    """Return the model in a file, told by its contents; where these do not tell, by its name."""
    if name.endswith(_GLUONNLP):
        return open_gluonnlp(storage, name)
    if name.endswith(_INDEX):
        return open_huggingface(storage, name)
    kind = kinds.kind_of(storage, name)
    if kind in ("torch", "safetensors") or name.endswith(_HUGGINGFACE):
        return open_huggingface(storage, name)
    if kind == "mindspore" or name.endswith(_MINDSPORE):
        return open_mindspore(storage, name)
    raise InputError(f"{storage.path / name}: holds no model's weights, in any format that we read")


def _with_sentences(checkpoint: Checkpoint, storage: Storage) -> Checkpoint:
    """Return the checkpoint, with what a folder of sentence-transformers, `storage`, says about it."""
    rules = sentence_rules(storage, checkpoint.text_rules.longest)
    return replace(checkpoint, sentences=rules, notes=(*checkpoint.notes, str(rules))) if rules else checkpoint


def _inside(storage: Storage) -> list[str]:
    """Return the folders in a folder that hold weights, such as a trainer's `checkpoint-500`."""
    if not isinstance(storage, FolderStorage) or not storage.path.is_dir():
        return []
    return [
        entry.name
        for entry in sorted(storage.path.iterdir())
        if entry.is_dir() and (weights_of(inner := FolderStorage(entry)) or kinds.candidates(inner))
    ]


def snapshot_of(path: Path) -> Path:
    """Return the newest model in a folder of Hugging Face's cache (`models--NAME`); any other folder itself.

    Raises:
        InputError: it holds several, and does not say which is meant.
    """
    snapshots = path / "snapshots"
    if not snapshots.is_dir():
        return path
    found = sorted(entry for entry in snapshots.iterdir() if entry.is_dir())
    main = path / "refs" / "main"
    named = snapshots / main.read_text().strip() if main.is_file() else None
    if named in found:
        return named
    if len(found) != 1:
        raise InputError(f"{path}: holds {len(found)} snapshots of a model; name one of {snapshots}")
    return found[0]
