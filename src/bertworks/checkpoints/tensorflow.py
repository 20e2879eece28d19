"""TensorFlow's checkpoints (`bert_model.ckpt.index`, `.data-00000-of-00001`), read without TensorFlow.

The index is a table (table.py) from a tensor's name to a BundleEntryProto: type, shape, and where in which data file
its bytes lie, with their checksum; the empty name holds a BundleHeaderProto
(tensorflow/core/protobuf/tensor_bundle.proto). A tensor is read when it is asked for and its checksum is always
verified, so damage is an error, never a wrong weight.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from bertworks.checkpoints import names
from bertworks.checkpoints.table import read_table
from bertworks.checkpoints.weights import Checkpoint, Weight
from bertworks.checkpoints.wire import WireError, fields, signed
from bertworks.config import BertConfig
from bertworks.data.tfrecord import masked
from bertworks.errors import InputError

# tensorflow/core/framework/types.proto: number -> (its name, how numpy reads it); a bfloat16 is the upper half of a
# float32.
_TYPES = {
    1: ("float32", "<f4"),
    2: ("float64", "<f8"),
    3: ("int32", "<i4"),
    9: ("int64", "<i8"),
    14: ("bfloat16", "<u2"),
    19: ("float16", "<f2"),
}
_FLOATS = {"float32", "float64", "bfloat16", "float16"}

# Variables of the training loop and of loss scaling, which are no weights.
_BOOKKEEPING = re.compile(
    r"global_step|beta[12]_power|(current_)?loss_scale|good_steps|save_counter.*|_CHECKPOINTABLE_.*"
)

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: `size` bytes at `offset` of data file `shard`, `crc32c` of them as stored (masked).

    `sliced` tensors are kept in pieces under other keys.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int
    sliced: bool

    @property
    def dtype_name(self) -> str:
        """The type in numpy's words, or TensorFlow's number for one that BERT has no use for."""
        return _TYPES[self.dtype][0] if self.dtype in _TYPES else f"DataType {self.dtype}"


class TensorFlowCheckpoint:
    """The tensors of one checkpoint by TensorFlow's names. Opening reads the index only.

    Attributes:
        prefix: what the files' names begin with (`.../bert_model.ckpt`).
        entries: every tensor in the order of names, optimizer slots included.
    """

    def __init__(self, path: Path | str) -> None:
        """Open a checkpoint by prefix, by the path of one of its files, or by its folder.

        Raises:
            InputError: there is none, its index is damaged, or a data file that is there is shorter than the index
                says. A data file that is not there is an error only when a tensor of it is read.
        """
        self.prefix = find_prefix(Path(path))
        self.index = _index_of(self.prefix)
        self.entries: dict[str, Entry] = {}
        table = read_table(self.index)
        key = b""
        try:
            self._shards = _shards(table.pop(key, b""))
            for key, message in table.items():
                if not key.startswith(b"\0"):  # the pieces of a partitioned variable
                    self.entries[key.decode()] = _entry(message)
        except (WireError, UnicodeDecodeError) as error:
            raise InputError(f"{self.index}: the entry {key!r} is not a tensor's ({error})") from None
        files = {shard: self._data_file(shard) for shard in range(self._shards)}
        bytes_of = {shard: file.stat().st_size for shard, file in files.items() if file.is_file()}
        for name, entry in self.entries.items():
            self._check(name, entry, bytes_of)

    def read(self, name: str) -> NDArray[Any]:
        """The tensor `name` as stored, floats as float32 (or float64).

        Raises:
            KeyError: no such tensor.
            InputError: its data are missing, cut off or damaged, or of a type that no BERT has.
        """
        entry = self.entries[name]
        file = self._data_file(entry.shard)
        if entry.sliced:
            raise InputError(f"{self.index}: {name} is a partitioned variable; save it in one piece to read it here")
        if entry.dtype not in _TYPES:
            raise InputError(f"{self.index}: {name} is of {entry.dtype_name}, not a tensor of numbers")
        array = np.empty(entry.shape, _TYPES[entry.dtype][1])
        flat = array.reshape(-1).view(np.uint8)
        crc = done = 0
        try:
            with file.open("rb") as stream:
                stream.seek(entry.offset)
                while done < entry.size and (chunk := stream.read(min(_CHUNK_BYTES, entry.size - done))):
                    flat[done : done + len(chunk)] = np.frombuffer(chunk, np.uint8)
                    crc = google_crc32c.extend(crc, chunk)
                    done += len(chunk)
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror}); it belongs to {self.index.name}") from None
        if done < entry.size:
            raise InputError(f"{file}: cut off inside {name}; copy or download the file again")
        if masked(crc) != entry.crc32c:
            raise InputError(f"{file}: {name} is damaged (its checksum differs); copy or download the file again")
        if entry.dtype_name == "bfloat16":
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(np.float32) if entry.dtype_name == "float16" else array

    def _data_file(self, shard: int) -> Path:
        return Path(f"{self.prefix}.data-{shard:05d}-of-{self._shards:05d}")

    def _check(self, name: str, entry: Entry, bytes_of: dict[int, int]) -> None:
        """Refuse an entry that does not fit itself or its data file, so that reading allocates what is there."""
        if entry.shard >= self._shards:
            raise InputError(f"{self.index}: {name} lies in data file {entry.shard} of {self._shards}")
        if entry.dtype in _TYPES and not entry.sliced:
            wanted = math.prod(entry.shape) * np.dtype(_TYPES[entry.dtype][1]).itemsize
            if entry.size != wanted:
                raise InputError(
                    f"{self.index}: {name} of shape {entry.shape} has {entry.size:,} bytes, not {wanted:,}"
                )
        end = entry.offset + entry.size
        if end > bytes_of.get(entry.shard, end):
            raise InputError(
                f"{self._data_file(entry.shard)}: cut off: {bytes_of[entry.shard]:,} bytes, {name} ends at {end:,}; "
                "copy or download the file again"
            )


def open_tensorflow(path: Path | str) -> Checkpoint:
    """A checkpoint's weights by our names; its optimizer's slots and counters are set aside with a note.

    A variable below another one (`.../kernel/adam_m`) is a slot: weights are never nested. The activation is the tanh
    form of GELU unless a `bert_config.json` beside the checkpoint names another.
    """
    checkpoint = TensorFlowCheckpoint(path)
    weights: dict[str, Weight] = {}
    slots: Counter[str] = Counter()
    counters = []
    for name in checkpoint.entries:
        above, _, last = name.rpartition("/")
        if above in checkpoint.entries:
            slots[last] += 1
        elif _BOOKKEEPING.fullmatch(name):
            counters.append(name)
        else:
            place = names.to_ours(name, "tensorflow") or names.Counterpart(name, transposed=False)
            if place.name in weights:
                raise InputError(f"{checkpoint.index}: {weights[place.name].stored_as} and {name} are the same weight")
            weights[place.name] = _weight(checkpoint, name, transposed=place.transposed)
    notes = [f"{count} optimizer slots set aside: */{slot}" for slot, count in slots.items()]
    if counters:
        notes.append(f"set aside: {', '.join(counters)}")
    config_file = checkpoint.prefix.with_name("bert_config.json")
    vocab_file = checkpoint.prefix.with_name("vocab.txt")
    config = BertConfig.from_google_file(config_file) if config_file.is_file() else None
    return Checkpoint(
        path=checkpoint.prefix,
        format="TensorFlow",
        weights=weights,
        config=config,
        hidden_act=config.hidden_act if config else "gelu_new",
        vocab_file=vocab_file if vocab_file.is_file() else None,
        notes=tuple(notes),
    )


def _weight(checkpoint: TensorFlowCheckpoint, name: str, *, transposed: bool) -> Weight:
    entry = checkpoint.entries[name]

    def read() -> NDArray[np.float32]:
        if entry.dtype_name not in _FLOATS:
            raise InputError(f"{checkpoint.index}: {name} is of {entry.dtype_name}, not of a floating-point type")
        array = checkpoint.read(name).astype(np.float32, copy=False)
        return array.T if transposed else array

    return Weight(name, entry.shape[::-1] if transposed else entry.shape, read)


def find_prefix(path: Path) -> Path:
    """The prefix of the checkpoint that a prefix, one of its files, or a folder means.

    In a folder the newest is taken, as its file `checkpoint` says; without that file there must be one only.

    Raises:
        InputError: there is no checkpoint, or several.
    """
    if path.is_dir():
        return _newest(path)
    prefix = path.with_name(re.sub(r"\.(index|meta|data-[0-9]{5}-of-[0-9]{5})$", "", path.name))
    if not _index_of(prefix).is_file():
        raise InputError(f"{path}: no TensorFlow checkpoint is there ({prefix.name}.index is missing)")
    return prefix


def _index_of(prefix: Path) -> Path:
    return Path(f"{prefix}.index")


def _newest(folder: Path) -> Path:
    state = folder / "checkpoint"
    if state.is_file():
        text = state.read_text(encoding="utf-8", errors="replace")
        match = re.search(r'^model_checkpoint_path: "([^"\0]+)"', text, re.MULTILINE)
        if match is None:
            raise InputError(f"{state}: names no checkpoint (no model_checkpoint_path)")
        # The name may be an absolute one from the machine that trained the model.
        for prefix in (folder / match[1], folder / Path(match[1]).name):
            if _index_of(prefix).is_file():
                return prefix
        raise InputError(f"{state}: the newest checkpoint {match[1]} is not there; give a checkpoint's own path")
    found = sorted(folder.glob("*.index"))
    if len(found) != 1:
        choices = f" ({', '.join(file.stem for file in found)}): give the path of one" if found else ""
        raise InputError(f"{folder}: holds {len(found) or 'no'} TensorFlow checkpoints{choices}")
    return found[0].with_suffix("")


def _shards(header: bytes) -> int:
    """BundleHeaderProto: the number of data files."""
    values = dict(fields(header))
    shards, endianness = values.get(1, 0), values.get(2, 0)
    if not isinstance(shards, int) or not 1 <= shards < 100_000:
        raise WireError("no number of data files")
    if endianness != 0:
        raise WireError("big-endian")
    return shards


def _entry(message: bytes) -> Entry:
    """BundleEntryProto."""
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: tuple[int, ...] = ()
    sliced = False
    for number, value in fields(message):
        if number == 2 and isinstance(value, bytes):
            shape = _shape(value)
        elif number == 7:
            sliced = True
        elif number in numbers and isinstance(value, int):
            numbers[number] = value
    dtype, shard, offset, size, crc32c = numbers.values()
    return Entry(dtype, shape, shard, offset, size, crc32c, sliced)


def _shape(message: bytes) -> tuple[int, ...]:
    """TensorShapeProto, of known rank and size."""
    shape = []
    for number, value in fields(message):
        if number == 2 and isinstance(value, bytes):
            size = dict(fields(value)).get(1, 0)
            if not isinstance(size, int) or signed(size) < 0:
                raise WireError("a shape of unknown size")
            shape.append(size)
    if len(shape) > 32 or math.prod(max(1, size) for size in shape) >= 1 << 48:
        raise WireError("a shape that no tensor has")
    return tuple(shape)
