"""What a file is, told by its first bytes: names and endings lie."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from bertworks.checkpoints.storage import Storage
from bertworks.errors import InputError

Kind = Literal["torch", "safetensors", "mindspore", "other"]

_HEAD_BYTES = 512
_MOST_HEADER = 1 << 27
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")

# What files begin with that are no weights which we read: what they are, and what to do.
_FOREIGN = (
    (b"\x89HDF\r\n\x1a\n", "a Keras file (HDF5)", "open it where it was made and save it for torch (save_pretrained)"),
    (b"GGUF", "a quantised GGUF file", "take the model that it was made of"),
    (b"\x1f\x8b", "packed with gzip", "unpack it (tar -xzf or gunzip)"),
    (b"BZh", "packed with bzip2", "unpack it"),
    (b"\xfd7zXZ", "packed with xz", "unpack it"),
    (b"<!DOCTYPE", "a web page", "download the file itself"),
    (b"<!doctype", "a web page", "download the file itself"),
    (b"<html", "a web page", "download the file itself"),
    (b"Entry not found", "what a server says where there is no such file", "look for its right name"),
)

# The same for files that are told by their names.
_FOREIGN_NAMES = {
    "tf_model.h5": "Keras weights; transformers 4 writes torch's: from_pretrained(..., from_tf=True)"
    ".save_pretrained(...)",
    "flax_model.msgpack": "Flax weights; transformers 4 writes torch's: from_pretrained(..., from_flax=True)"
    ".save_pretrained(...)",
    "model.onnx": "an ONNX graph; take the model that it was made of",
    "saved_model.pb": "a TensorFlow graph; give the checkpoint that it was made of",
}

# Files beside a model's weights that torch wrote, too.
_BESIDE = ("training_args", "optimizer", "scheduler", "rng_state", "scaler", "adapter_model", "pytorch_adapter")


def kind_of(storage: Storage, name: str) -> Kind:
    """Tell what a file holds.

    Raises:
        InputError: what is surely no weights; says what it is and what to do.
    """
    size = storage.size(name)
    with storage.at(name, 0) as stream:
        head = stream.read(_HEAD_BYTES) or b""
    path = storage.path / name
    for start, what, remedy in _FOREIGN:
        if head.startswith(start):
            raise InputError(f"{path}: is {what}, no weights that we read; {remedy}")
    if head[257:262] == b"ustar":
        raise InputError(f"{path}: is a tar archive; unpack it (tar -xf) and give what was in it")
    if head.startswith(b"PK\x03\x04"):
        return _in_zip(storage.local(name), path)
    if head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5":
        return "torch"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= min(size, _MOST_HEADER):
        return "safetensors"
    if size > len(_TABLE_MAGIC) and not name.endswith(".index"):
        with storage.at(name, size - len(_TABLE_MAGIC)) as stream:
            if stream.read(len(_TABLE_MAGIC)) == _TABLE_MAGIC:
                raise InputError(
                    f"{path}: is a TensorFlow checkpoint of the first form; save it again with "
                    "tf.train.Saver(write_version=tf.train.SaverDef.V2)"
                )
    return "mindspore" if head[:1] == b"\n" or head[1:4] == b"\x5e\x3a\x7f" else "other"


def _in_zip(local: Path | None, path: Path) -> Kind:
    """Return what a zip is, which torch's own files are."""
    if local is None:
        return "torch"
    try:
        with zipfile.ZipFile(local) as archive:
            names = archive.namelist()
    except Exception:  # damaged in any way; reading it as torch's tells how
        names = []
    if any(name.endswith(".h5") for name in names):
        raise InputError(f"{path}: is a Keras file; open it where it was made and save it for torch (save_pretrained)")
    if names and all(name.endswith(".npy") for name in names):
        raise InputError(f"{path}: is an archive of numpy arrays (.npz), no weights that we read")
    return "torch"


def candidates(storage: Storage) -> list[str]:
    """Return the files of a folder that hold weights, whatever they are called."""
    found = []
    for name in storage.files():
        if name.startswith(_BESIDE) or name.endswith((".json", ".txt", ".md", ".py", ".yaml", ".yml")):
            continue
        if name.endswith((".params", ".ckpt", ".bin", ".pt", ".pth", ".safetensors", ".th", ".tar")):
            found.append(name)
    return found


def refusal(storage: Storage) -> str | None:
    """Return why a folder without weights has none, where its files tell."""
    files = storage.files()
    if "adapter_config.json" in files:
        return (
            "an adapter, not a whole model; merge it into its base first (peft: model.merge_and_unload(), then "
            "save_pretrained)"
        )
    return next((f"{name} is {what}" for name, what in _FOREIGN_NAMES.items() if name in files), None)
