"""TensorFlow's checkpoints, written without TensorFlow: for those who serve what we train with the original's graph.

The counterpart of tensorflow.py. Given the original's variables in the order of their names, both files are byte for
byte those that TensorFlow's `Saver` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np

from bertworks.checkpoints import names
from bertworks.checkpoints.formats.leveldb import write_table
from bertworks.checkpoints.weights import Weight
from bertworks.data.protobuf import Fixed32, message
from bertworks.data.tfrecord import masked
from bertworks.errors import InputError
from bertworks.files import write_text, written_whole

# DT_FLOAT (tensorflow/core/framework/types.proto).
_FLOAT32 = 1

# BundleHeaderProto: one data file, little-endian, and kTensorBundleVersion
# (tensorflow/core/util/tensor_bundle/tensor_bundle.h).
_HEADER = message((1, 1), (2, 0), (3, message((1, 1))))

_CHUNK_BYTES = 1 << 20


def write_tensorflow(prefix: Path, weights: Mapping[str, Weight]) -> None:
    """Write `PREFIX.index`, `PREFIX.data-00000-of-00001`, and the file `checkpoint` beside them, which names them.

    Each appears whole or not at all, in an order that never leaves an index without its data. One tensor is in memory
    at a time.

    Args:
        prefix: what the names of the files begin with; its folder is made when it is not there.
        weights: by our names. Their bytes are laid out in the order given, which TensorFlow's own writer has sorted by
            its names (`in_order`).

    Raises:
        InputError: a weight that TensorFlow's BERT has no name for, or that cannot be read.
    """
    entries = {b"": _HEADER}
    with written_whole(prefix.with_name(f"{prefix.name}.data-00000-of-00001")) as stream:
        for name, weight in weights.items():
            theirs = _counterpart(name)
            shape = weight.shape[::-1] if theirs.transposed else weight.shape
            start = stream.tell()
            crc = _write(stream, weight, shape, theirs.transposed)
            dims = message(*((2, message((1, size))) for size in shape))
            entries[theirs.name.encode()] = message(
                (1, _FLOAT32), (2, dims), (4, start), (5, stream.tell() - start), (6, Fixed32(crc))
            )
    with written_whole(prefix.with_name(f"{prefix.name}.index")) as stream:
        stream.write(write_table(entries))
    lines = (f'{key}: "{prefix.name}"\n' for key in ("model_checkpoint_path", "all_model_checkpoint_paths"))
    write_text(prefix.with_name("checkpoint"), "".join(lines))


def in_order(weights: Mapping[str, Weight]) -> dict[str, Weight]:
    """Return the weights in the order of TensorFlow's names, as its own writer lays them out."""
    return {name: weights[name] for name in sorted(weights, key=lambda name: _counterpart(name).name.encode())}


def _counterpart(name: str) -> names.Counterpart:
    theirs = names.from_ours(name, "tensorflow")
    if theirs is None:
        raise InputError(f"{name}: TensorFlow's BERT has no such weight; leave it out to write such a checkpoint")
    return theirs


def _write(stream: BinaryIO, weight: Weight, shape: tuple[int, ...], transposed: bool) -> int:
    """Write one tensor; gives the masked checksum of its bytes."""
    array = np.empty(shape, "<f4")
    weight.read_into(array.T if transposed else array)
    data, crc = array.reshape(-1).view(np.uint8).data, 0
    for start in range(0, len(data), _CHUNK_BYTES):
        chunk = data[start : start + _CHUNK_BYTES].tobytes()
        crc = google_crc32c.extend(crc, chunk)
        stream.write(chunk)
    return masked(crc)
