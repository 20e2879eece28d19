"""Protocol buffers without a schema: the fields of a message, as they lie in its bytes.

The few messages inside checkpoints need no more (https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


class WireError(ValueError):
    """The bytes are no message."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned number of 7 bits a byte at `at`, at most 64 bits wide, and where it ends. Raises IndexError."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise IndexError("a number of more than 64 bits")


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number of the field, its value): varints and fixed numbers as unsigned int, everything else as bytes.

    Raises:
        WireError: the message is cut off or damaged; every value before that place has been given.
    """
    at = 0
    while at < len(message):
        try:
            tag, at = varint(message, at)
            kind = tag & 7
            if kind == 0:
                number, at = varint(message, at)
                yield tag >> 3, number
                continue
            if kind == 2:
                size, at = varint(message, at)
            else:
                size = {1: 8, 5: 4}[kind]
        except (IndexError, KeyError):
            raise WireError(f"not a message at byte {at}") from None
        if at + size > len(message):
            raise WireError(f"a field of {size} bytes goes beyond the message's end")
        value = message[at : at + size]
        at += size
        yield tag >> 3, value if kind == 2 else int.from_bytes(value, "little")


def signed(number: int) -> int:
    """A varint read as int64."""
    return number - (1 << 64) if number >> 63 else number


@dataclass(frozen=True)
class Fixed32:
    """A number that a message keeps in 4 bytes, as it does checksums."""

    value: int


def to_varint(number: int) -> bytes:
    """A number of at least 0 as 7 bits a byte."""
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def message(*of_fields: tuple[int, int | bytes | Fixed32]) -> bytes:
    """A message of (number of the field, its value), in the order given.

    As protobuf 3 writes it, a number that is 0 is left out, and bytes are not, even when there are none.
    """
    parts = []
    for number, value in of_fields:
        match value:
            case Fixed32():
                parts.append(to_varint(number << 3 | 5) + value.value.to_bytes(4, "little"))
            case bytes():
                parts.append(to_varint(number << 3 | 2) + to_varint(len(value)) + value)
            case int() if value:
                parts.append(to_varint(number << 3) + to_varint(value))
    return b"".join(parts)
