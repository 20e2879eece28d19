"""TensorFlow's checkpoints (`bert_model.ckpt.index`, `.data-00000-of-00001`), read without TensorFlow.

The index is a table (leveldb.py) from a tensor's name to a BundleEntryProto: type, shape, and where in which data file
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

import numpy as np
from numpy.typing import NDArray

from bertworks.checkpoints import names
from bertworks.checkpoints.formats.leveldb import LARGEST, read_table
from bertworks.checkpoints.model_files import google_checkpoint, google_config
from bertworks.checkpoints.storage import Storage, read_bytes
from bertworks.checkpoints.weights import ByteRange, Checkpoint, Weight, add, stored
from bertworks.data.protobuf import ProtobufError, fields, signed
from bertworks.errors import InputError

# tensorflow/core/framework/types.proto: number -> its name, and the bytes of one.
_TYPES = {1: "float32", 2: "float64", 3: "int32", 9: "int64", 14: "bfloat16", 19: "float16"}
_BYTES = {1: 4, 2: 8, 3: 4, 9: 8, 14: 2, 19: 2}

# Variables of the training loop and of loss scaling, which are no weights.
_BOOKKEEPING = re.compile(
    r"global_step|beta[12]_power|(current_)?loss_scale|good_steps|save_counter.*|_CHECKPOINTABLE_.*"
    r"|optimizer/.*|.*/\.OPTIMIZER_SLOT/.*"
)


@dataclass(frozen=True)
class TensorEntry:
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
        return _TYPES.get(self.dtype, f"DataType {self.dtype}")

    @property
    def position(self) -> tuple[int, int]:
        """Its data file, and the byte there."""
        return self.shard, self.offset


class TensorFlowCheckpoint:
    """The tensors of one checkpoint by TensorFlow's names. Opening reads the index only.

    Attributes:
        prefix: what the files' names begin with (`.../bert_model.ckpt`).
        entries: every tensor in the order of names, optimizer slots included.
    """

    def __init__(self, storage: Storage, prefix: str) -> None:
        """Open a checkpoint by its prefix, a name in `storage`.

        Raises:
            InputError: its index is damaged, or a data file that is there is shorter than the index says. A data file
                that is not there is an error only when a tensor of it is read.
        """
        self.storage, self._prefix = storage, prefix
        self.prefix = storage.path / prefix
        self.index = storage.path / f"{prefix}.index"
        self.entries: dict[str, TensorEntry] = {}
        table = read_table(self.index, read_bytes(storage, self.index.name, LARGEST))
        key = b""
        try:
            self._shards = _shards(table.pop(key, b""))
            for key, message in table.items():
                if not key.startswith(b"\0"):  # the pieces of a partitioned variable
                    self.entries[key.decode()] = _entry(message)
        except (ProtobufError, UnicodeDecodeError) as error:
            raise InputError(f"{self.index}: the entry {key!r} is not a tensor's ({error})") from None
        there = set(storage.files())
        files = {shard: self._data_file(shard) for shard in range(self._shards)}
        bytes_of = {shard: storage.size(file) for shard, file in files.items() if file in there}
        for name, entry in self.entries.items():
            self._check(name, entry, bytes_of)
        for shard, size in bytes_of.items():
            # Each tensor is read, and converted, alone: thousands of the same bytes would become far more.
            if (claimed := sum(entry.size for entry in self.entries.values() if entry.shard == shard)) > size:
                path = storage.path / files[shard]
                raise InputError(f"{path}: {size:,} bytes, of which the index makes {claimed:,}; tensors overlap")

    def weight(self, name: str, *, transposed: bool = False, shape: tuple[int, ...] | None = None) -> Weight:
        """Return the tensor `name`, in our layout where it is `transposed`; as if it had been stored in `shape`.

        Raises:
            KeyError: no such tensor.
        """
        entry = self.entries[name]
        if entry.sliced:
            return _unreadable(
                name, entry, f"{self.index}: {name} is a partitioned variable; save it in one piece to read it here"
            )
        byte_range = ByteRange(self.storage, self._data_file(entry.shard), entry.offset, entry.size)
        shape = entry.shape if shape is None else shape
        return stored(name, shape, entry.dtype_name, [byte_range], transposed=transposed, crc32c=entry.crc32c)

    def _data_file(self, shard: int) -> str:
        return f"{self._prefix}.data-{shard:05d}-of-{self._shards:05d}"

    def _check(self, name: str, entry: TensorEntry, bytes_of: dict[int, int]) -> None:
        """Refuse an entry that does not fit itself or its data file, so that reading allocates what is there."""
        if entry.shard >= self._shards:
            raise InputError(f"{self.index}: {name} lies in data file {entry.shard} of {self._shards}")
        if entry.dtype in _BYTES and not entry.sliced:
            wanted = math.prod(entry.shape) * _BYTES[entry.dtype]
            if entry.size != wanted:
                raise InputError(
                    f"{self.index}: {name} of shape {entry.shape} has {entry.size:,} bytes, not {wanted:,}"
                )
        end = entry.offset + entry.size
        if end > bytes_of.get(entry.shard, end):
            raise InputError(
                f"{self.storage.path / self._data_file(entry.shard)}: cut off: {bytes_of[entry.shard]:,} bytes, {name} "
                f"ends at {end:,}; copy or download the file again"
            )


def _unreadable(name: str, entry: TensorEntry, message: str) -> Weight:
    def read_into(_: NDArray[np.float32]) -> None:
        raise InputError(message)

    return Weight(name, entry.shape, read_into)


def open_tensorflow(storage: Storage, name: str | None) -> Checkpoint:
    """Open a checkpoint, with its weights by our names. The optimizer's slots and counters are left out, with a note.

    A variable below another one (`.../kernel/adam_m`) is a slot: weights are never nested. The activation is the tanh
    form of GELU unless a `bert_config.json` names another.

    Args:
        storage: the folder of its files.
        name: its prefix, or the name of one of its files; None takes the newest checkpoint.
    """
    checkpoint = TensorFlowCheckpoint(storage, find_prefix(storage, name))
    objects = names.from_object_graph(checkpoint.entries)
    weights: dict[str, Weight] = {}
    slots: Counter[str] = Counter()
    counters = []
    for stored_as in sorted(checkpoint.entries, key=lambda name: checkpoint.entries[name].position):
        above, _, last = stored_as.rpartition("/")
        if above in checkpoint.entries:
            slots[last] += 1
        elif _BOOKKEEPING.fullmatch(stored_as):
            counters.append(stored_as)
        else:
            named = objects.get(stored_as, stored_as)
            ours = names.to_ours(named, "tensorflow") or names.Counterpart(stored_as, transposed=False)
            shape = _without_heads(named, checkpoint.entries[stored_as].shape) if stored_as in objects else None
            weight = checkpoint.weight(stored_as, transposed=ours.transposed, shape=shape)
            add(weights, ours.name, weight, checkpoint.index)
    if not objects and any(name.endswith("/.ATTRIBUTES/VARIABLE_VALUE") for name in checkpoint.entries):
        raise InputError(
            f"{checkpoint.prefix}: is an object checkpoint of TensorFlow 2 with names of its own "
            f"({names.some(checkpoint.entries)}); save the encoder alone, as Model Garden's export does, or for torch"
        )
    notes = [f"{count} optimizer slots set aside: */{slot}" for slot, count in slots.items()]
    if counters:
        notes.append(f"set aside: {', '.join(counters)}")
    return google_checkpoint(storage, checkpoint.prefix, "TensorFlow", weights, notes, google_config(storage))


def _without_heads(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of an attention's variable without the axis of heads: two axes of a kernel, one of a bias."""
    if name.endswith("/kernel") and len(shape) == 3:
        first = "output" in name
        return (shape[0] * shape[1], shape[2]) if first else (shape[0], shape[1] * shape[2])
    return (math.prod(shape),) if name.endswith("/bias") else shape


def find_prefix(storage: Storage, name: str | None) -> str:
    """Find a checkpoint's prefix by the prefix, by the name of one of its files, or by the folder alone (None).

    In a folder the file `checkpoint` names the newest; without that file there must be only one.

    Raises:
        InputError: there is no checkpoint, or several.
    """
    if name is None:
        return _newest(storage)
    prefix = re.sub(r"\.(index|meta|data-[0-9]{5}-of-[0-9]{5})$", "", name)
    if f"{prefix}.index" not in storage.files():
        raise InputError(f"{storage.path / name}: no TensorFlow checkpoint is there ({prefix}.index is missing)")
    return prefix


def _newest(storage: Storage) -> str:
    files = storage.files()
    if "checkpoint" in files:
        text = read_bytes(storage, "checkpoint").decode(errors="replace")
        match = re.search(r'^model_checkpoint_path: "([^"\0]+)"', text, re.MULTILINE)
        if match is None:
            raise InputError(f"{storage.path / 'checkpoint'}: names no checkpoint (no model_checkpoint_path)")
        # The name may be an absolute one from the machine that trained the model.
        prefix = Path(match[1]).name
        if f"{prefix}.index" in files:
            return prefix
        raise InputError(
            f"{storage.path / 'checkpoint'}: the newest checkpoint {match[1]} is not there; "
            "give a checkpoint's own path"
        )
    found = [file.removesuffix(".index") for file in files if file.endswith(".index")]
    if len(found) != 1:
        choices = f" ({', '.join(found)}): give the path of one" if found else ""
        raise InputError(f"{storage.path}: holds {len(found) or 'no'} TensorFlow checkpoints{choices}")
    return found[0]


def _shards(header: bytes) -> int:
    """BundleHeaderProto: the number of data files."""
    values = dict(fields(header))
    shards, endianness = values.get(1, 0), values.get(2, 0)
    if not isinstance(shards, int) or not 1 <= shards < 100_000:
        raise ProtobufError("no number of data files")
    if endianness != 0:
        raise ProtobufError("big-endian")
    return shards


def _entry(message: bytes) -> TensorEntry:
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
    return TensorEntry(dtype, shape, shard, offset, size, crc32c, sliced)


def _shape(message: bytes) -> tuple[int, ...]:
    """Return a TensorShapeProto, of known rank and size."""
    shape = []
    for number, value in fields(message):
        if number == 2 and isinstance(value, bytes):
            size = dict(fields(value)).get(1, 0)
            if not isinstance(size, int) or signed(size) < 0:
                raise ProtobufError("a shape of unknown size")
            shape.append(size)
    if len(shape) > 32 or math.prod(max(1, size) for size in shape) >= 1 << 48:
        raise ProtobufError("a shape that no tensor has")
    return tuple(shape)
