"""Sorted tables of (key, value) as LevelDB and TensorFlow write them: the `.index` file of a TensorFlow checkpoint.

A table is data blocks, an index block of their places, and a footer of 48 bytes. A block is entries (three varints: how
much of the last key is shared, the rest of the key, the value's length), restart points, then one byte that tells
whether it is compressed (0 raw, 1 Snappy) and the masked CRC-32C of the block and that byte (LevelDB's
`doc/table_format.md`, tensorflow/core/lib/io/table.cc).

A table that does not follow these rules to the last byte is refused: whatever bytes a file holds, reading it takes
time and memory in proportion to its size, within `LARGEST`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import cramjam
import google_crc32c

from bertworks.checkpoints.wire import varint
from bertworks.data.tfrecord import masked
from bertworks.errors import InputError

# Bytes of a table file, of a decompressed block, and of all entries together; the index of BERT-Large with two
# optimizer slots a tensor is 0.02 MB, decompressed 0.1 MB. A short key can repeat a long one, so keys have their own.
LARGEST = 16 << 20
LONGEST_KEY = 4096

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5


class _DamagedError(Exception):
    """What is wrong with the bytes, without the name of the file."""


def read_table(path: Path) -> dict[bytes, bytes]:
    """All entries of a table, in the order of their keys.

    Raises:
        InputError: the file is no table, or damaged.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise InputError(f"{path}: {size:,} bytes are too many for the index of a checkpoint")
    data = path.read_bytes()
    if len(data) < _FOOTER_BYTES or data[-len(_MAGIC) :] != _MAGIC:
        raise InputError(f"{path}: not the index of a TensorFlow checkpoint, or cut off")
    try:
        return _entries(data)
    except _DamagedError as damage:
        raise InputError(f"{path}: the index is damaged ({damage}); copy or download the file again") from None


def _entries(data: bytes) -> dict[bytes, bytes]:
    footer = len(data) - _FOOTER_BYTES
    meta, at = _handle(data, footer)
    index, at = _handle(data, at)
    if any(data[at : -len(_MAGIC)]):
        raise _DamagedError("footer")
    entries: dict[bytes, bytes] = {}
    end = total = 0
    last = b""
    # The blocks cover the file from its first byte to the footer, so each byte is read once and checked.
    for _, value in _block_entries(_block(data, *index)):
        (offset, size), used = _handle(value, 0)
        if offset != end or used != len(value):
            raise _DamagedError("place of a block")
        for key, entry in _block_entries(_block(data, offset, size)):
            if entries and key <= last:
                raise _DamagedError("order of keys")
            total += len(key) + len(entry)
            if total > LARGEST:
                raise _DamagedError("length of entries")
            entries[key] = entry
            last = key
        end = offset + size + _TRAILER_BYTES
    for offset, size in (meta, index):
        if offset != end:
            raise _DamagedError("place of a block")
        end = offset + size + _TRAILER_BYTES
    if end != footer or any(_block_entries(_block(data, *meta))):
        raise _DamagedError("place of a block")
    return entries


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """The (offset, size) of a block written at `at`, in the shortest form, and where it ends."""
    try:
        offset, middle = varint(data, at)
        size, end = varint(data, middle)
    except IndexError:
        raise _DamagedError("place of a block") from None
    if any(last > first and not data[last] for first, last in ((at, middle - 1), (middle, end - 1))):
        raise _DamagedError("place of a block")
    return (offset, size), end


def _block(data: bytes, offset: int, size: int) -> bytes:
    """The block at `offset`, checked and decompressed."""
    end = offset + size
    if end + _TRAILER_BYTES > len(data) - _FOOTER_BYTES:
        raise _DamagedError("place of a block")
    kind, crc = struct.unpack_from("<BI", data, end)
    if masked(google_crc32c.value(data[offset : end + 1])) != crc:
        raise _DamagedError(f"checksum of the block at byte {offset:,}")
    block = data[offset:end]
    if kind == 0:
        return block
    if kind != 1:
        raise _DamagedError(f"unknown compression {kind} of the block at byte {offset:,}")
    try:
        if varint(block, 0)[0] > LARGEST:
            raise _DamagedError("size of a block")
        return bytes(cramjam.snappy.decompress_raw(block))
    except (IndexError, cramjam.DecompressionError):
        raise _DamagedError(f"compression of the block at byte {offset:,}") from None


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The (key, value) pairs of a decompressed block, in order."""
    restarts = int.from_bytes(block[-4:], "little") if len(block) >= 4 else len(block)
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise _DamagedError("restart points of a block")
    at, key = 0, b""
    while at < end:
        try:
            shared, at = varint(block, at)
            fresh, at = varint(block, at)
            length, at = varint(block, at)
        except IndexError:
            raise _DamagedError("entry of a block") from None
        if shared > len(key) or at + fresh + length > end or shared + fresh > LONGEST_KEY:
            raise _DamagedError("entry of a block")
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + length]
        at += length
