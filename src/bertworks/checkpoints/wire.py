"""Protocol buffers without a schema: the fields of a message, as they lie in its bytes.

The few messages inside checkpoints need no more (https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Iterator


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
