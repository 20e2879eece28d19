"""Safetensors files, read and written one tensor at a time (format: data/safetensors_header.py).

The library's reader maps a file into memory, which a file in a zip cannot be, and its writer holds a second copy of the
model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.checkpoints.storage import Storage
from bertworks.checkpoints.weights import ByteRange, Weight, stored
from bertworks.data.safetensors_header import header_bytes, read_header
from bertworks.errors import InputError

_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
_STORED = {torch.float32: "F32", torch.uint8: "U8"}


def read(storage: Storage, file: str) -> dict[str, Weight]:
    """Return the tensors of a file by their names, in the order of the file, none of them read.

    Raises:
        InputError: not a safetensors file, cut off, or with tensors that overlap, leave gaps or end elsewhere.
    """
    path, size = storage.path / file, storage.size(file)
    try:
        with storage.at(file, 0) as stream:
            header, begin = read_header(stream, size)
        header.pop("__metadata__", None)
        tensors = [(*_offsets(tensor), name, tensor) for name, tensor in header.items()]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not a safetensors file, cut off or damaged (header: {error})") from None
    tensors.sort(key=lambda tensor: tensor[:2])
    weights, end = {}, 0
    for start, stop, name, tensor in tensors:
        if start != end or stop < start:
            raise InputError(f"{path}: damaged: {name} begins at byte {start:,} of the data, not {end:,}")
        end = stop
        dtype = _DTYPES.get(tensor["dtype"], str(tensor["dtype"]))
        weights[name] = stored(name, tensor["shape"], dtype, [ByteRange(storage, file, begin + start, stop - start)])
    if begin + end != size:
        raise InputError(f"{path}: {size:,} bytes instead of {begin + end:,}; copy or download the file again")
    return weights


def _offsets(tensor: Any) -> tuple[int, int]:
    """Return where a tensor begins and ends, once its description is known to be one."""
    start, stop = tensor["data_offsets"]
    shape, dtype = tensor["shape"], tensor["dtype"]
    numbers = [start, stop, *shape]
    if not isinstance(dtype, str) or any(type(number) is not int or not 0 <= number < 1 << 60 for number in numbers):
        raise ValueError("the description of a tensor")
    if len(shape) > 32 or math.prod(max(1, size) for size in shape) >= 1 << 48:
        raise ValueError("a shape that no tensor has")
    return start, stop


def write(stream: BinaryIO, weights: Mapping[str, Weight], metadata: Mapping[str, str], *, half: bool = False) -> None:
    """Write weights in the order given, as float32, or float16 if `half`, holding one at a time.

    Raises:
        InputError: a weight cannot be read, or has a value beyond float16.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, weight in weights.items():
        start, end = end, end + (2 if half else 4) * int(np.prod(weight.shape, dtype=np.int64))
        header[name] = {"dtype": "F16" if half else "F32", "shape": list(weight.shape), "data_offsets": [start, end]}
    stream.write(header_bytes(header))
    for weight in weights.values():
        array: NDArray[Any] = weight.read()
        if half:
            array = _halved(weight.stored_as, array)
        stream.write(np.ascontiguousarray(array, "<f2" if half else "<f4").data)


def write_tensors(stream: BinaryIO, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors of float32 or of bytes as they are, on any device, holding one at a time."""
    header: dict[str, Any] = {"__metadata__": {}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _STORED[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    stream.write(header_bytes(header))
    for tensor in tensors.values():
        stream.write(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)


def _halved(name: str, array: NDArray[np.float32]) -> NDArray[np.float16]:
    largest = float(np.finfo(np.float16).max)
    if array.size and not np.abs(array).max() <= largest:
        raise InputError(f"{name}: has a value beyond {largest:,.0f}, the largest of float16; do without --fp16")
    return array.astype(np.float16)


def of_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Weight]:
    """Return tensors of torch, on any device, of any floating-point type, as weights to write."""

    def read_into(tensor: Tensor, out: NDArray[np.float32]) -> None:
        out[...] = tensor.detach().float().cpu().numpy()

    return {name: Weight(name, tuple(tensor.shape), partial(read_into, tensor)) for name, tensor in tensors.items()}
