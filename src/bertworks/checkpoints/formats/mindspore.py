"""MindSpore's checkpoints (`.ckpt`), read without MindSpore.

A file is one protocol buffer, a row of named tensors (mindspore/train/serialization.py, checkpoint.proto):

    Checkpoint  { repeated Value value = 1 }
    Value       { string tag = 1; TensorProto tensor = 2 }
    TensorProto { repeated int64 dims = 1; string tensor_type = 2; bytes tensor_content = 3 }

A tensor above 512 MB is stored as several values in a row with one name and the whole tensor's dims, whose contents are
joined. Saved with `crc_check=True`, a file ends in `crc_num` and the CRC-32 of what is before it, in ten bytes. Values
are read in the order in which every writer puts their fields; the contents are passed over.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from bertworks.checkpoints import names
from bertworks.checkpoints.model_files import google_checkpoint, google_config
from bertworks.checkpoints.storage import Storage, Stream, read_bytes
from bertworks.checkpoints.weights import ByteRange, Checkpoint, Weight, add, stored
from bertworks.config import BertConfig
from bertworks.data.protobuf import ProtobufError, varint
from bertworks.errors import InputError

_FLOATS = {"Float32": "float32", "Float64": "float64", "Float16": "float16", "BFloat16": "bfloat16"}
_OTHERS = {"Bool", "Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "str", "random_op"}

# The first byte of each field: its number and how it is written.
_VALUE, _TAG, _TENSOR, _DIMS, _TYPE, _CONTENT = 0x0A, 0x0A, 0x12, 0x08, 0x12, 0x1A

# BERT-Large with two optimizer slots a tensor has 1,200 values, with names of at most 100 characters.
_MOST_VALUES = 20_000
_LONGEST_NAME = 512
_LARGEST_RANK = 8
# What comes before the contents of a value.
_HEAD_BYTES = 1024

_CRC_MARK = b"crc_num"
_CRC_BYTES = 10
# What encrypted files begin with, whatever the cipher, but for the first byte.
_ENCRYPTED = bytes.fromhex("5e3a7f")

# Two names of the first releases.
_OLD_NAMES = {
    f"bert.bert.bert_embedding_postprocessor.{old}": f"bert.bert.bert_embedding_postprocessor.{new}"
    for old, new in (
        ("embedding_table", "token_type_embedding.embedding_table"),
        ("full_position_embeddings", "full_position_embedding.embedding_table"),
    )
}
_RELATIVE_POSITIONS = "a NEZHA with relative positions, which BERT does not have"


@dataclass(frozen=True)
class _Tensor:
    """A tensor, or a piece of one. `dims` are those of the whole tensor, `type` is MindSpore's name for the type."""

    name: str
    dims: tuple[int, ...]
    type: str
    byte_ranges: tuple[ByteRange, ...]


def open_mindspore(storage: Storage, name: str) -> Checkpoint:
    """Open a `.ckpt` file, with its weights by our names. The optimizer's slots and counters are left out, with a note.

    The activation is the tanh form of GELU unless a configuration names another.

    Raises:
        InputError: not such a file, encrypted, damaged, or a model with relative positions.
    """
    path = storage.path / name
    tensors = _tensors(storage, name)
    weights: dict[str, Weight] = {}
    slots: Counter[str] = Counter()
    aside = []
    for tensor in tensors.values():
        above, _, parameter = tensor.name.partition(".")
        ours = names.to_ours(_OLD_NAMES.get(tensor.name, tensor.name), "mindspore")
        if "relative_positions_embeddings." in tensor.name:
            raise InputError(f"{path}: {tensor.name}: {_RELATIVE_POSITIONS}")
        if above != "bert" and parameter in tensors:
            slots[above] += 1
        elif ours is None and (tensor.type not in _FLOATS or math.prod(tensor.dims) == 1):
            aside.append(tensor.name)
        else:
            ours = ours or names.Counterpart(tensor.name, transposed=False)
            dtype = _FLOATS.get(tensor.type, tensor.type)
            add(weights, ours.name, stored(tensor.name, tensor.dims, dtype, tensor.byte_ranges), path)
    notes = [f"{count} optimizer slots set aside: {slot}.*" for slot, count in slots.items()]
    if aside:
        notes.append(f"set aside: {', '.join(aside[:10])}{f' and {len(aside) - 10} more' if len(aside) > 10 else ''}")
    config = google_config(storage) or _yaml_config(storage)
    return google_checkpoint(storage, path, "MindSpore", weights, notes, config)


def _tensors(storage: Storage, file: str) -> dict[str, _Tensor]:
    """Return every tensor of a file, in its order, none of them read."""
    path = storage.path / file
    tensors: dict[str, _Tensor] = {}
    last = ""
    try:
        for piece in _pieces(storage, file):
            if piece.name not in tensors:
                tensors[piece.name] = piece
            else:
                whole = tensors[piece.name]
                if piece.name != last or (piece.dims, piece.type) != (whole.dims, whole.type):
                    raise InputError(f"{path}: holds {piece.name} twice")
                tensors[piece.name] = replace(whole, byte_ranges=whole.byte_ranges + piece.byte_ranges)
            last = piece.name
    except (ProtobufError, IndexError, UnicodeDecodeError) as error:
        after = f" after {last}" if last else ""
        raise InputError(f"{path}: not a checkpoint of MindSpore, or damaged{after} ({error})") from None
    if not tensors:
        raise InputError(f"{path}: empty, not a checkpoint of MindSpore")
    return tensors


def _pieces(storage: Storage, file: str) -> Iterator[_Tensor]:
    """Yield a file's values. Raises ProtobufError, IndexError, UnicodeDecodeError or InputError where it is damaged."""
    size = storage.size(file)
    at = count = 0
    crc = None
    with storage.at(file, 0) as stream:
        while at < size:
            start = stream.read(2)
            if start == _CRC_MARK[:2] and size - at == len(_CRC_MARK) + _CRC_BYTES:
                crc = start + stream.read(size - at - len(start))
                break
            body, end = _value(stream, start, at, size)
            head = stream.read(min(end - body, _HEAD_BYTES))
            yield _piece(head, ByteRange(storage, file, body, end - body))
            if end - body > len(head):
                stream.seek(end)
            at = end
            count += 1
            if count > _MOST_VALUES:
                raise ProtobufError(f"more than {_MOST_VALUES:,} tensors")
    if crc is not None:
        _check_crc(storage, file, at, crc)


def _value(stream: Stream, start: bytes, at: int, size: int) -> tuple[int, int]:
    """Return where the value at `at` has its body and where it ends; `start` are its first two bytes, already read."""
    if start[0] != _VALUE:
        if at == 0 and (start + stream.read(2))[1:] == _ENCRYPTED:
            raise ProtobufError("it is encrypted: load it in MindSpore with its dec_key and save it without enc_key")
        raise ProtobufError(f"no value at byte {at:,}")
    while start[-1] >= 0x80 and len(start) <= 10 and (more := stream.read(1)):
        start += more
    length, used = varint(start, 1)
    if at + used + length > size:
        raise ProtobufError(f"cut off: {size:,} bytes, a tensor ends at {at + used + length:,}")
    return at + used, at + used + length


def _piece(head: bytes, value: ByteRange) -> _Tensor:
    """Return a value, told by its first bytes."""
    at, size = _field(head, 0, _TAG, "tag")
    if size > _LONGEST_NAME:
        raise ProtobufError(f"a name of {size:,} bytes")
    name = head[at : at + size].decode()
    at, size = _field(head, at + size, _TENSOR, "tensor")
    if at + size != value.size:
        raise ProtobufError(f"the size of {name}")
    dims = []
    while head[at] == _DIMS:
        dim, at = varint(head, at + 1)
        dims.append(dim)
    if dims == [0]:  # so did older versions write a scalar
        dims = []
    if len(dims) > _LARGEST_RANK or 0 in dims:
        raise ProtobufError(f"the shape of {name}")
    at, size = _field(head, at, _TYPE, "tensor_type")
    kind = head[at : at + size].decode()
    if kind not in _FLOATS and kind not in _OTHERS:
        raise ProtobufError(f"the type {kind[:20]!r} of {name}")
    at, size = _field(head, at + size, _CONTENT, "tensor_content")
    if at + size != value.size:
        raise ProtobufError(f"the size of {name}")
    return _Tensor(name, tuple(dims), kind, (ByteRange(value.storage, value.file, value.offset + at, size),))


def _field(head: bytes, at: int, key: int, name: str) -> tuple[int, int]:
    """Return where the bytes of the field that must stand at `at` begin, and how many they are."""
    if head[at] != key:
        raise ProtobufError(f"no {name}")
    size, begin = varint(head, at + 1)
    return begin, size


def _check_crc(storage: Storage, file: str, size: int, tail: bytes) -> None:
    """Compare the checksum of the first `size` bytes with `tail`, the checksum in the file."""
    crc = done = 0
    with storage.at(file, 0) as stream:
        while done < size and (chunk := stream.read(min(1 << 20, size - done))):
            crc = zlib.crc32(chunk, crc)
            done += len(chunk)
    if tail != _CRC_MARK + crc.to_bytes(_CRC_BYTES, "big"):
        raise InputError(f"{storage.path / file}: damaged (its checksum differs); copy or download the file again")


def _yaml_config(storage: Storage) -> BertConfig | None:
    """Return the network that a configuration file of MindSpore's BERT describes (`task_*_config.yaml`, ...).

    The file has a block `bert_net_cfg`, or a block for each network and `bert_network` names one of them. None without
    such a file, or with several.
    """
    found = []
    for file in storage.files():
        if file.endswith((".yaml", ".yml")):
            text = read_bytes(storage, file).decode(errors="replace").partition("\n---")[0]
            network = re.search(r"^bert_network: *['\"]?(\w+)", text, re.MULTILINE)
            block = re.search(
                rf"^{network[1] if network else 'bert'}_net_cfg: *(?:#.*)?\n((?: .*\n|\n)*)", f"{text}\n", re.MULTILINE
            )
            if block:
                found.append((storage.path / file, block[1]))
    if len(found) != 1:
        return None
    path, lines = found[0]
    values = {key: _scalar(value) for key, value in re.findall(r"^ +(\w+): *(.*?) *(?:#.*)?$", lines, re.MULTILINE)}
    if values.get("use_relative_positions", False) is not False:
        raise InputError(f"{path}: use_relative_positions: {_RELATIVE_POSITIONS}")
    known = {field.name for field in fields(BertConfig)} - {"extra"}
    return BertConfig.from_google({key: value for key, value in values.items() if key in known}, path)


def _scalar(text: str) -> Any:
    """Return a number, a truth value or a word."""
    if text in ("True", "False", "true", "false"):
        return text.lower() == "true"
    try:
        return json.loads(text)
    except ValueError:
        return text.strip("'\"")
