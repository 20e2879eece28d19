"""Sorted tables of (key, value) as LevelDB and TensorFlow write them: the `.index` file of a TensorFlow checkpoint.

A table is data blocks, an index block of their positions, and a footer of 48 bytes. A block is entries (three varints:
how much of the last key is shared, the length of the rest of the key, the value's length; then both), restart points,
one byte for the compression (0 none, 1 Snappy), and the masked CRC-32C of the block and that byte (LevelDB's
`doc/table_format.md`, tensorflow/core/lib/io/table.cc).

A table that does not follow these rules to the last byte is refused: whatever bytes a file holds, reading it takes
time and memory in proportion to its size, within `LARGEST`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import cramjam
import google_crc32c

from bertworks.checkpoints.storage import DamagedError
from bertworks.data.protobuf import to_varint, varint
from bertworks.data.tfrecord import masked
from bertworks.errors import InputError

# Bytes of a table file, of a decompressed block, and of all entries together; the index of BERT-Large with two
# optimizer slots a tensor is 0.02 MB, decompressed 0.1 MB. A short key can repeat a long one, so keys have their own.
LARGEST = 16 << 20
LONGEST_KEY = 4096

# What TensorFlow's writer has: a block ends with the entry that makes it this long, and in it every so many keys one is
# stored whole; in the index block every one is (tensorflow/core/lib/io/table_options.h).
BLOCK_BYTES = 256 << 10
_RESTART_INTERVAL = 16

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5


def read_table(path: Path, data: bytes) -> dict[bytes, bytes]:
    """Return all entries of a table, in the order of their keys.

    Args:
        path: what messages call it.
        data: its bytes, at most `LARGEST`.

    Raises:
        InputError: they are no table, or damaged.
    """
    if len(data) < _FOOTER_BYTES or data[-len(_MAGIC) :] != _MAGIC:
        raise InputError(f"{path}: not the index of a TensorFlow checkpoint, or cut off")
    try:
        return _entries(data)
    except DamagedError as damage:
        raise InputError(f"{path}: the index is damaged ({damage}); copy or download the file again") from None


def _entries(data: bytes) -> dict[bytes, bytes]:
    footer = len(data) - _FOOTER_BYTES
    meta, at = _handle(data, footer)
    index, at = _handle(data, at)
    if any(data[at : -len(_MAGIC)]):
        raise DamagedError("footer")
    entries: dict[bytes, bytes] = {}
    end = total = 0
    last = b""
    # The blocks cover the file from its first byte to the footer, so each byte is read once and checked.
    for _, value in _block_entries(_block(data, *index)):
        (offset, size), used = _handle(value, 0)
        if offset != end or used != len(value):
            raise DamagedError("position of a block")
        for key, entry in _block_entries(_block(data, offset, size)):
            if entries and key <= last:
                raise DamagedError("order of keys")
            total += len(key) + len(entry)
            if total > LARGEST:
                raise DamagedError("length of entries")
            entries[key] = entry
            last = key
        end = offset + size + _TRAILER_BYTES
    for offset, size in (meta, index):
        if offset != end:
            raise DamagedError("position of a block")
        end = offset + size + _TRAILER_BYTES
    if end != footer or any(_block_entries(_block(data, *meta))):
        raise DamagedError("position of a block")
    return entries


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Return the (offset, size) of a block written at `at`, in the shortest form, and where it ends."""
    try:
        offset, middle = varint(data, at)
        size, end = varint(data, middle)
    except IndexError:
        raise DamagedError("position of a block") from None
    if any(last > first and not data[last] for first, last in ((at, middle - 1), (middle, end - 1))):
        raise DamagedError("position of a block")
    return (offset, size), end


def _block(data: bytes, offset: int, size: int) -> bytes:
    """Return the block at `offset`, checked and decompressed."""
    end = offset + size
    if end + _TRAILER_BYTES > len(data) - _FOOTER_BYTES:
        raise DamagedError("position of a block")
    kind, crc = struct.unpack_from("<BI", data, end)
    if masked(google_crc32c.value(data[offset : end + 1])) != crc:
        raise DamagedError(f"checksum of the block at byte {offset:,}")
    block = data[offset:end]
    if kind == 0:
        return block
    if kind != 1:
        raise DamagedError(f"unknown compression {kind} of the block at byte {offset:,}")
    try:
        if varint(block, 0)[0] > LARGEST:
            raise DamagedError("size of a block")
        return bytes(cramjam.snappy.decompress_raw(block))
    except (IndexError, cramjam.DecompressionError):
        raise DamagedError(f"compression of the block at byte {offset:,}") from None


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the (key, value) pairs of a decompressed block, in order."""
    restarts = int.from_bytes(block[-4:], "little") if len(block) >= 4 else len(block)
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise DamagedError("restart points of a block")
    at, key = 0, b""
    while at < end:
        try:
            shared, at = varint(block, at)
            fresh, at = varint(block, at)
            length, at = varint(block, at)
        except IndexError:
            raise DamagedError("entry of a block") from None
        if shared > len(key) or at + fresh + length > end or shared + fresh > LONGEST_KEY:
            raise DamagedError("entry of a block")
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + length]
        at += length


def write_table(entries: Mapping[bytes, bytes], block_bytes: int = BLOCK_BYTES) -> bytes:
    """Return a table of the entries in the order of their keys, byte for byte as TensorFlow writes it.

    Args:
        entries: `read_table` takes keys of at most `LONGEST_KEY` bytes, and `LARGEST` bytes in all.
        block_bytes: a data block ends with the entry that makes it this long.
    """
    table, last = bytearray(), b""
    block, index = _BlockWriter(_RESTART_INTERVAL), _BlockWriter(1)
    for key, value in sorted(entries.items()):
        if block.entries and block.size >= block_bytes:
            index.add(divider(last, key), _append(table, block))
            block = _BlockWriter(_RESTART_INTERVAL)
        block.add(key, value)
        last = key
    if block.entries:
        index.add(divider(last, None), _append(table, block))
    footer = _append(table, _BlockWriter(1)) + _append(table, index)
    return bytes(table) + footer.ljust(_FOOTER_BYTES - len(_MAGIC), b"\0") + _MAGIC


class _BlockWriter:
    """A block that grows entry by entry, its keys ascending."""

    def __init__(self, restart_interval: int) -> None:
        self.entries = 0
        self._interval = restart_interval
        self._data = bytearray()
        self._restarts = [0]
        self._last = b""

    @property
    def size(self) -> int:
        """The bytes that `finish` would give."""
        return len(self._data) + 4 * (len(self._restarts) + 1)

    def add(self, key: bytes, value: bytes) -> None:
        """Append an entry."""
        shared = 0
        if self.entries and self.entries % self._interval == 0:
            self._restarts.append(len(self._data))
        else:
            shared = _shared(self._last, key)
        for number in (shared, len(key) - shared, len(value)):
            self._data += to_varint(number)
        self._data += key[shared:] + value
        self._last = key
        self.entries += 1

    def finish(self) -> bytes:
        """Return the block without its trailer."""
        return bytes(self._data) + struct.pack(f"<{len(self._restarts) + 1}I", *self._restarts, len(self._restarts))


def _append(table: bytearray, block: _BlockWriter) -> bytes:
    """Put a block with its trailer at the end; gives its handle."""
    body = block.finish() + b"\0"
    handle = to_varint(len(table)) + to_varint(len(body) - 1)
    table += body + masked(google_crc32c.value(body)).to_bytes(4, "little")
    return handle


def divider(last: bytes, following: bytes | None) -> bytes:
    """Return the index's short key of a block: not before its last one, and before the next block's first one."""
    if following is None:
        at = next((i for i, byte in enumerate(last) if byte < 0xFF), None)
        return last if at is None else last[:at] + bytes([last[at] + 1])
    at = _shared(last, following)
    if at < len(last) and last[at] + 1 < following[at]:
        return last[:at] + bytes([last[at] + 1])
    return last


def _shared(first: bytes, second: bytes) -> int:
    """Return how many bytes two keys have in common at their beginning."""
    differ = (i for i, (mine, yours) in enumerate(zip(first, second, strict=False)) if mine != yours)
    return next(differ, min(len(first), len(second)))
