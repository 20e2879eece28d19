"""TensorFlow's record files: framing, checksums, and reading record number i without those before it.

A record is: its length as 8 bytes, little-endian; the masked CRC-32C of these 8 bytes; the data; the masked CRC-32C of
the data (tensorflow/core/lib/io/record_writer.h). There is nothing between records, and no table of contents.
"""

from __future__ import annotations

import mmap
import struct
from functools import lru_cache
from pathlib import Path

import google_crc32c
import numpy as np

from bertworks.errors import InputError
from bertworks.files import check_whole

# The features that every record of a sequence has, padded to one length.
SEQUENCE_FEATURES = ("input_ids", "input_mask", "segment_ids")

HEADER_BYTES = 12
FOOTER_BYTES = 4

_NO_RECORDS = "not a TFRecord file (text goes through create_pretraining_data first)"

# Every 16th offset is kept in memory, so that 50 million records take 25 MB. The others are found from there.
_STRIDE = 16


def masked(crc: int) -> int:
    """Mask a CRC-32C as TensorFlow and LevelDB store it: rotated right by 15 bits, plus a constant."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """Compute the checksum of record files."""
    return masked(google_crc32c.value(data))


def frame(data: bytes) -> bytes:
    """Return data as one record of a file."""
    return b"".join((_header(len(data)), data, masked_crc32c(data).to_bytes(4, "little")))


@lru_cache(maxsize=4096)
def _header(length: int) -> bytes:
    """Return the bytes before the data. They are cached, because the records of a file have few different lengths."""
    eight = length.to_bytes(8, "little")
    return eight + masked_crc32c(eight).to_bytes(4, "little")


class RecordFile:
    """A mapped record file: `len(file)` records, `file[i]` the bytes of one. Every checksum is verified.

    Raises:
        InputError: the file is empty, cut off or no record file; when reading, the data is damaged. The message names
            the file and the record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir() or path.stat().st_size == 0:
            raise InputError(f"{path}: {'a folder' if path.is_dir() else 'empty'}, not a TFRecord file")
        with path.open("rb") as stream:
            self._memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        offsets, at, number, size = [], 0, 0, len(self._memory)
        while at < size:
            if number % _STRIDE == 0:
                offsets.append(at)
            at = self._next(at, number)
            number += 1
        self._offsets, self._count = np.array(offsets, np.uint64), number

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> bytes:
        if not 0 <= number < self._count:
            raise IndexError(number)
        at = int(self._offsets[number // _STRIDE])
        for before in range(number - number % _STRIDE, number):
            at = self._next(at, before)
        begin, end = at + HEADER_BYTES, self._next(at, number) - FOOTER_BYTES
        data = self._memory[begin:end]
        if int.from_bytes(self._memory[end : end + FOOTER_BYTES], "little") != masked_crc32c(data):
            raise InputError(f"{self.path}: record {number} is damaged (its checksum does not fit its data)")
        return data

    def _next(self, at: int, number: int) -> int:
        """Return the offset of the record after the one at byte `at`."""
        check_whole(self._memory, self.path)
        header = self._memory[at : at + HEADER_BYTES]
        if len(header) == HEADER_BYTES:
            length, crc = struct.unpack("<QI", header)
            if crc != masked_crc32c(header[:8]):
                what = _NO_RECORDS if number == 0 else f"record {number} is damaged (its length)"
                raise InputError(f"{self.path}: {what}")
            end: int = at + HEADER_BYTES + length + FOOTER_BYTES
            if end <= len(self._memory):
                return end
        if number == 0:
            raise InputError(f"{self.path}: {_NO_RECORDS}, or cut off in its first record")
        raise InputError(f"{self.path}: cut off in record {number}, at byte {len(self._memory)}")
