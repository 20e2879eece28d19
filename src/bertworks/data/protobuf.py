"""Protocol buffers without a schema: the fields of a message, and `tensorflow.Example` in particular.

Record files and checkpoints hold few kinds of messages (https://protobuf.dev/programming-guides/encoding). An Example
is (tensorflow/core/example/{example,feature}.proto):

    Example  { Features features = 1 }        Features { map<string, Feature> feature = 1 }
    Feature  { oneof { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3 } }
    *List    { repeated value = 1 }           numbers lie packed, end to end
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertworks import ragged

FLOAT_LIST, INT64_LIST = 2, 3

_64_BITS = 0xFFFF_FFFF_FFFF_FFFF
# Every byte of a varint but its last has the upper bit set, and 64 bits take at most 10 bytes.
_TOO_WIDE = re.compile(rb"[\x80-\xff]{10}")


class ProtobufError(ValueError):
    """The bytes are not a message."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Read the unsigned number of 7 bits a byte at `at`, at most 64 bits wide.

    Returns:
        the number, and where it ends.

    Raises:
        IndexError: the data end inside it, or it is wider.
    """
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _64_BITS, at
    raise IndexError("a number of more than 64 bits")


def fields(message: bytes | int) -> Iterator[tuple[int, int | bytes]]:
    """Yield (number of the field, its value): varints and fixed numbers as unsigned int, everything else as bytes.

    Raises:
        ProtobufError: the message is a number, cut off or damaged; every value before the damage has been yielded.
    """
    if isinstance(message, int):
        raise ProtobufError(f"the number {message} where a message should be")
    at, end = 0, len(message)
    while at < end:
        try:
            tag, at = (message[at], at + 1) if message[at] < 0x80 else varint(message, at)
            kind = tag & 7
            if kind == 0:
                number, at = varint(message, at)
                yield tag >> 3, number
                continue
            if kind == 2:
                size, at = (message[at], at + 1) if message[at] < 0x80 else varint(message, at)
            else:
                size = {1: 8, 5: 4}[kind]
        except (IndexError, KeyError):
            raise ProtobufError(f"not a message at byte {at}") from None
        if at + size > end:
            raise ProtobufError(f"a field of {size} bytes goes beyond the message's end")
        value = message[at : at + size]
        at += size
        yield tag >> 3, value if kind == 2 else int.from_bytes(value, "little")


def signed(number: int) -> int:
    """Return a varint read as int64."""
    return number - (1 << 64) if number >> 63 else number


@dataclass(frozen=True)
class Fixed32:
    """A number that a message keeps in 4 bytes, as it does checksums."""

    value: int


def to_varint(number: int) -> bytes:
    """Write a number of at least 0, 7 bits a byte."""
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def message(*of_fields: tuple[int, int | bytes | Fixed32]) -> bytes:
    """Write a message of (number of the field, its value), in the order given.

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


def example_features(example: bytes) -> dict[str, tuple[int, bytes]]:
    """Read the features of an Example, their numbers still packed.

    Returns:
        name -> FLOAT_LIST and numbers for `np.frombuffer(..., "<f4")`, or INT64_LIST and numbers for `unpacked_int64`.
        Features of another type are left out.

    Raises:
        ProtobufError: it is no Example, or its numbers cannot be unpacked.
    """
    found: dict[str, tuple[int, bytes]] = {}
    for features in (value for number, value in fields(example) if number == 1):
        for entry in (value for number, value in fields(features) if number == 1):
            parts = dict(fields(entry))
            name = parts.get(1, b"")
            for kind, numbers in fields(parts.get(2, b"")):
                if kind in (FLOAT_LIST, INT64_LIST) and isinstance(name, bytes):
                    found[_decoded(name)] = (
                        kind,
                        b"".join([_packed(kind, value) for number, value in fields(numbers) if number == 1]),
                    )
    return found


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise ProtobufError(f"the name {name!r} is not UTF-8") from None


def _packed(kind: int, value: int | bytes) -> bytes:
    """Return the packed numbers of a list, or pack a number that is written by itself, as old writers do.

    Raises:
        ProtobufError: the numbers cannot be unpacked.
    """
    if isinstance(value, bytes):
        if kind == FLOAT_LIST and len(value) % 4:
            raise ProtobufError("cut off inside a number")
        if kind == INT64_LIST and not value.isascii() and (value[-1] >= 0x80 or _TOO_WIDE.search(value)):
            raise ProtobufError("cut off inside a number, or a number of more than 64 bits")
        return value
    return to_varint(value) if kind == INT64_LIST else value.to_bytes(4, "little")


def unpacked_int64(numbers: bytes) -> NDArray[np.int64]:
    """Read int64 numbers that lie packed. Those of many records are read fastest when they are joined first.

    Raises:
        ProtobufError: cut off inside a number, or one is wider than 64 bits.
    """
    data = np.frombuffer(numbers, np.uint8)
    if numbers.isascii():
        return data.astype(np.int64)
    ends = np.flatnonzero(data < 0x80)
    if not len(ends) or ends[-1] != len(data) - 1:
        raise ProtobufError("cut off inside a number")
    sizes = np.diff(ends, prepend=-1)
    if (longest := int(sizes.max())) > 10:
        raise ProtobufError("a number of more than 64 bits")
    seven_bits = data & 0x7F
    # The highest 7 bits stand last.
    result = seven_bits[ends].astype(np.int64)
    for back in range(1, longest):
        result = np.where(sizes > back, result << 7 | seven_bits[ends - back], result)
    return result


def unpacked_int64_lists(lists: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read many lists of packed int64 numbers at once, as `example_features` returns them.

    Returns:
        the numbers of all lists, end to end [T], and how many each list has [N].
    """
    joined = b"".join(lists)
    ends = np.flatnonzero(np.frombuffer(joined, np.uint8) < 0x80)
    edges = ragged.starts([len(numbers) for numbers in lists])
    return unpacked_int64(joined), np.diff(np.searchsorted(ends, edges))


def int64_example(features: Mapping[str, NDArray[np.int64]]) -> bytes:
    """Write an Example whose features are lists of int64, in the order of their names."""
    entries = []
    for name in sorted(features):
        packed = b"".join(to_varint(number & _64_BITS) for number in features[name].tolist())
        feature = message((INT64_LIST, message((1, packed))))
        entries.append((1, message((1, name.encode()), (2, feature))))
    return message((1, message(*entries)))
