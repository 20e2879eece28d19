"""What the tests of checkpoints build: TensorFlow tables with any contents, and modules with given parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cramjam
import google_crc32c
import torch
from torch import nn

from bertworks.data.tfrecord import masked

GOOGLE_TINY = Path(__file__).parent.parent / "fixtures" / "google_tiny"
MAGIC = bytes.fromhex("57fb808b247547db")


def varint(number: int) -> bytes:
    result = b""
    while number >= 0x80:
        result += bytes([number & 0x7F | 0x80])
        number >>= 7
    return result + bytes([number])


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """A protocol buffer of varints and byte strings."""
    return b"".join(
        varint(number << 3) + varint(value)
        if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in fields
    )


def entry(shape: tuple[int, ...], data: bytes, *, dtype: int = 1, offset: int = 0, shard: int = 0) -> bytes:
    """A BundleEntryProto for `data`."""
    dims = message(*((2, message((1, size))) for size in shape))
    crc = masked(google_crc32c.value(data)).to_bytes(4, "little")
    return message((1, dtype), (2, dims), (3, shard), (4, offset), (5, len(data))) + varint(6 << 3 | 5) + crc


def block(entries: Mapping[bytes, bytes], compression: int = 0) -> bytes:
    """A block with its trailer, without shared prefixes."""
    body = b"".join(varint(0) + varint(len(k)) + varint(len(v)) + k + v for k, v in entries.items())
    return signed(body + b"\0\0\0\0\1\0\0\0", compression)


def signed(body: bytes, compression: int = 0) -> bytes:
    """A decompressed block, compressed when wished, with a trailer that is right."""
    return trailed(bytes(cramjam.snappy.compress_raw(body)) if compression else body, compression)


def trailed(stored: bytes, compression: int) -> bytes:
    """A block as it is stored, with a trailer that is right."""
    stored += bytes([compression])
    return stored + masked(google_crc32c.value(stored)).to_bytes(4, "little")


def table(blocks: list[bytes]) -> bytes:
    """A table of finished data blocks."""
    data, places = b"", {}
    for i, body in enumerate(blocks):
        places[bytes([i])] = varint(len(data)) + varint(len(body) - 5)
        data += body
    handles = b""
    for body in (block({}), block(places)):
        handles += varint(len(data)) + varint(len(body) - 5)
        data += body
    return data + handles.ljust(40, b"\0") + MAGIC


def bundle(prefix: Path, tensors: Mapping[str, bytes], shards: int = 1, compression: int = 0) -> Path:
    """A checkpoint's index with these entries; the data files are the test's business."""
    entries = {b"": message((1, shards)), **{name.encode(): tensors[name] for name in sorted(tensors)}}
    Path(f"{prefix}.index").write_bytes(table([block(entries, compression)]))
    return prefix


def module_of(shapes: Mapping[str, tuple[int, ...]]) -> nn.Module:
    """A module whose parameters have these dotted names, all zero."""
    root = nn.Module()
    for name, shape in shapes.items():
        *path, leaf = name.split(".")
        module = root
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        module.register_parameter(leaf, nn.Parameter(torch.zeros(shape)))
    return root
