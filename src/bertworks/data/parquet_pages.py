"""What the pages of a .parquet file say of their sizes, which pyarrow allocates whatever the file's footer says.

A page begins with a header in Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md). Its fields 2 and 3 are the bytes of
the page before and after its compression (https://github.com/apache/parquet-format, `PageHeader`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from bertworks.errors import InputError

# Headers have some 50 bytes, and statistics of a few thousand.
_LONGEST_HEADER = 1 << 20
_FIRST_READ = 1 << 12

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_INTEGERS = (4, 5, 6)
_DEEPEST = 8


def check_pages(path: Path, metadata: Any) -> None:
    """Compare what the pages of each column say of their size with what the footer says.

    Raises:
        InputError: pages become more than the footer says, or are no pages.
    """
    with path.open("rb") as stream:
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            for chunk in map(group.column, range(metadata.num_columns)):
                begin = chunk.data_page_offset
                if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                    begin = min(begin, chunk.dictionary_page_offset)
                unpacked = _unpacked(path, stream, begin, begin + chunk.total_compressed_size)
                if unpacked > chunk.total_uncompressed_size:
                    raise InputError(
                        f"{path}: pages of {chunk.path_in_schema} become {unpacked:,} bytes, and not "
                        f"{chunk.total_uncompressed_size:,} as the end of the file says; it is damaged"
                    )


def _unpacked(path: Path, stream: BinaryIO, begin: int, end: int) -> int:
    """Return how many bytes the pages between two places of a file become."""
    total, at = 0, begin
    while at < end:
        stream.seek(at)
        data = stream.read(_FIRST_READ)
        try:
            try:
                header = _Header(data)
            except IndexError:
                header = _Header(data + stream.read(_LONGEST_HEADER))
            unpacked, packed = header.sizes()
        except (IndexError, KeyError, ValueError):
            raise InputError(f"{path}: is damaged: no page is at byte {at:,}") from None
        total += unpacked
        at += header.length + packed
    return total


class _Header:
    """The header of a page: its length in bytes, and its numbers by their fields.

    Raises:
        IndexError: the data end before it does.
        ValueError: the data are no header.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = 0
        self._numbers = self._struct(0)

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of the page without and with its compression. Raises KeyError or ValueError."""
        unpacked, packed = self._numbers[2], self._numbers[3]
        if unpacked < 0 or packed < 0:
            raise ValueError("a negative size")
        return unpacked, packed

    def _struct(self, depth: int) -> dict[int, int]:
        """Read a structure, and return its whole numbers by their fields."""
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        numbers: dict[int, int] = {}
        field = 0
        while byte := self._byte():
            kind, step = byte & 15, byte >> 4
            field = field + step if step else self._signed()
            if kind in _INTEGERS:
                numbers[field] = self._signed()
            elif kind not in (_TRUE, _FALSE):
                self._skip(kind, depth)
        return numbers

    def _skip(self, kind: int, depth: int) -> None:
        if kind == _STRUCT:
            self._struct(depth + 1)
        elif kind in _INTEGERS:
            self._signed()
        elif kind in (_TRUE, _FALSE, _BYTE):
            self.length += 1
        elif kind == _DOUBLE:
            self.length += 8
        elif kind == _BINARY:
            size = self._unsigned()
            self.length += size
        elif kind in (_LIST, _SET):
            byte = self._byte()
            count = byte >> 4 if byte >> 4 < 15 else self._unsigned()
            for _ in range(min(count, len(self._data))):
                self._skip(byte & 15, depth + 1)
        else:
            raise ValueError("a type that no page has")

    def _byte(self) -> int:
        self.length += 1
        return self._data[self.length - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("too long a number")

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)
