"""Writing the original's pre-training instances: thousands of TF-Examples at once, without an object per record.

The layout of an example depends on its numbers only through the bytes that each number takes (protobuf's varints: 7
bits a byte). So a batch becomes a matrix with one row per example and a column for every byte that may be needed, and a
second matrix tells which bytes are present. Nested messages are blocks of columns side by side. The present bytes, row
after row, are the result. Features, types, shapes and padding are those of `examples.py`.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from contextlib import ExitStack
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks import ragged
from bertworks.data.instances import Instances, InstanceSource
from bertworks.data.tfrecord import frame
from bertworks.files import written_whole
from bertworks.progress import progress

# Instances read from a source at a time, and examples laid out at a time: few enough for the processor's cache.
_CHUNK = 8192
_ROWS = 512

# Field numbers with their wire types (tensorflow/core/example/{example,feature}.proto); every field is delimited.
_FIELD_1, _FIELD_2, _FIELD_3 = 0x0A, 0x12, 0x1A
_FLOAT_LIST, _INT64_LIST = _FIELD_2, _FIELD_3


class ExampleLayout(NamedTuple):
    """Columns of bytes for B rows, in blocks side by side.

    Attributes:
        blocks: pairs of `values` [B, n] uint8 and `present` [B, n], which tells the bytes that are written.
        sizes: [B] the number of present bytes in each row.
    """

    blocks: tuple[tuple[NDArray[np.uint8], NDArray[np.bool_]], ...]
    sizes: NDArray[np.int64]


def write_examples(
    source: InstanceSource, count: int, paths: Sequence[Path], *, max_seq_length: int, max_predictions_per_seq: int
) -> None:
    """Write the first `count` instances of a source to record files in turn. Each file is whole or not there."""
    for path in paths:
        for left_by_a_killed_run in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            left_by_a_killed_run.unlink()
    with ExitStack() as stack, progress("Writing", count, "instances") as advance:
        streams = [stack.enter_context(written_whole(path)) for path in paths]
        for first in range(0, count, _CHUNK):
            instances = source.instances(first, min(first + _CHUNK, count))
            write_round_robin(streams, records(instances, max_seq_length, max_predictions_per_seq), first)
            advance(len(instances))


def records(instances: Instances, max_seq_length: int, max_predictions_per_seq: int) -> list[bytes]:
    """Serialise each instance as a record of a file, checksums included.

    No instance may be longer than max_seq_length or have more masked tokens than max_predictions_per_seq.
    """
    result: list[bytes] = []
    for first in range(0, len(instances), _ROWS):
        part = instances.part(first, min(first + _ROWS, len(instances)))
        blocks, sizes = _example(part, max_seq_length, max_predictions_per_seq)
        values, present = (np.hstack(columns) for columns in zip(*blocks, strict=True))
        data = values[present].tobytes()
        result += [frame(data[begin:end]) for begin, end in pairwise(ragged.starts(sizes).tolist())]
    return result


def write_round_robin(streams: Sequence[BinaryIO], records: Sequence[bytes], first: int) -> None:
    """Write records number first, first + 1, ...: record n goes to file n modulo the number of files."""
    for number, stream in enumerate(streams):
        stream.write(b"".join(records[(number - first) % len(streams) :: len(streams)]))


def _example(instances: Instances, max_seq_length: int, max_predictions_per_seq: int) -> ExampleLayout:
    """Lay out a batch of serialised `tensorflow.Example`s."""
    lengths = instances.lengths
    starts = ragged.starts(lengths)[:-1]
    owner = np.searchsorted(starts, instances.rows, side="right") - 1
    predictions = np.bincount(owner, minlength=len(lengths))
    real = np.arange(max_seq_length) < lengths[:, None]
    predicted = np.arange(max_predictions_per_seq) < predictions[:, None]
    weights = np.where(predicted, np.float32(1), np.float32(0))
    entries = (
        _int64_feature("input_ids", _padded(instances.input_ids, real)),
        _int64_feature("input_mask", real.astype(np.uint32)),
        _int64_feature("segment_ids", _padded(instances.segment_ids, real)),
        _int64_feature("masked_lm_positions", _padded(instances.rows - starts[owner], predicted)),
        _int64_feature("masked_lm_ids", _padded(instances.labels, predicted)),
        _feature("masked_lm_weights", _FLOAT_LIST, _always(weights.view(np.uint8))),
        _int64_feature("next_sentence_labels", instances.is_random_next[:, None].astype(np.uint32)),
    )
    return _field(_FIELD_1, *entries)


def _padded(flat: NDArray[np.int64], there: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return [B, n] with the flat values where `there` is true, row after row, and zeros elsewhere."""
    result = np.zeros(there.shape, np.uint32)
    result[there] = flat
    return result


def _int64_feature(name: str, values: NDArray[np.uint32]) -> ExampleLayout:
    return _feature(name, _INT64_LIST, _varints(values))


def _feature(name: str, kind: int, packed: ExampleLayout) -> ExampleLayout:
    """Lay out an entry of the map from names to features: a list of numbers under its name."""
    key = _constant(bytes([_FIELD_1, len(name)]) + name.encode(), len(packed.sizes))
    return _field(_FIELD_1, key, _field(_FIELD_2, _field(kind, _field(_FIELD_1, packed))))


def _field(tag: int, *body: ExampleLayout) -> ExampleLayout:
    """Lay out a delimited field: its tag, its length, its bytes."""
    length = np.add.reduce([part.sizes for part in body])
    head = (_constant(bytes([tag]), len(length)), _varints(length[:, None].astype(np.uint32)))
    return ExampleLayout(
        blocks=tuple(block for part in (*head, *body) for block in part.blocks),
        sizes=np.add.reduce([part.sizes for part in (*head, *body)]),
    )


def _varints(numbers: NDArray[np.uint32]) -> ExampleLayout:
    """Lay out [B, n] numbers as varints: 7 bits a byte, lowest first, the upper bit set if more bytes follow."""
    largest = int(numbers.max(initial=0))
    if largest < 1 << 7:
        return _always(numbers.astype(np.uint8))
    values, present = (table.take(numbers).view(np.uint8) for table in _varint_table(largest.bit_length()))
    return ExampleLayout(((values, present.view(np.bool_)),), present.sum(axis=1, dtype=np.int64))


@lru_cache(maxsize=8)
def _varint_table(bits: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return the varint of every number of `bits` <= 28 bits, and its present bytes; four bytes make one uint32."""
    rest = np.arange(1 << bits, dtype=np.uint32)[:, None] >> np.arange(0, 28, 7, dtype=np.uint32)
    present = rest > 0
    present[:, 0] = True
    more = np.pad(present[:, 1:], ((0, 0), (0, 1)))
    values = (rest & np.uint32(0x7F)).astype(np.uint8) | more.astype(np.uint8) << np.uint8(7)
    return values.view(np.uint32)[:, 0], present.view(np.uint32)[:, 0]


def _constant(values: bytes, rows: int) -> ExampleLayout:
    return _always(np.broadcast_to(np.frombuffer(values, np.uint8), (rows, len(values))))


def _always(values: NDArray[np.uint8]) -> ExampleLayout:
    rows, columns = values.shape
    return ExampleLayout(((values, np.broadcast_to(np.True_, values.shape)),), np.full(rows, columns))
