"""Reading Thrift's compact protocol, in which .parquet files write their footer and the headers of their pages.

The protocol is https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from typing import Any

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
_DEEPEST = 16

Struct = dict[int, Any]


def read_struct(data: bytes) -> tuple[Struct, int]:
    """Read the structure that data begin with.

    Returns:
        Its values by the numbers of their fields, and how many bytes it has. Whole numbers and truth values are `int`
        and `bool`; texts and decimal numbers are `bytes`; lists and sets are lists; structures are dicts again.

    Raises:
        IndexError: the data end before it does.
        ValueError: the data are no structure.
    """
    reader = _Reader(data)
    return reader.struct(0), reader.at


class _Reader:
    """A place in the data."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self, depth: int) -> Struct:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        values: Struct = {}
        field = 0
        while byte := self._byte():
            kind, step = byte & 15, byte >> 4
            field = field + step if step else self._signed()
            # A truth value of a field has no byte of its own; one of a list has.
            values[field] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return values

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._signed()
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            byte = self._byte()
            count = byte >> 4 if byte >> 4 < 15 else self._unsigned()
            # Each value has one byte or more.
            if count > len(self._data) - self.at:
                raise IndexError("a list that is longer than the data")
            return [self._value(byte & 15, depth + 1) for _ in range(count)]
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        raise ValueError("a type that Parquet does not use")

    def _bytes(self, size: int) -> bytes:
        begin, self.at = self.at, self.at + size
        if self.at > len(self._data):
            raise IndexError("a text that is longer than the data")
        return self._data[begin : self.at]

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

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
