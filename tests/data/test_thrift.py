"""Thrift's compact protocol: values of every type, and data that end too early or are no structure."""

import pytest

from bertworks.data.thrift import read_struct


def test_each_type_of_value() -> None:
    fields = [
        [0x15, 0x96, 0x01],  # field 1, a whole number: zigzag of 75
        [0x11, 0x12],  # field 2, true; field 3, false
        [0x18, 2, *b"ab"],  # field 4, a text
        [0x19, 0x25, 1, 4],  # field 5, a list of two whole numbers
        [0x1C, 0x15, 2, 0],  # field 6, a structure with field 1
        [0x17, *range(8)],  # field 7, a decimal number
        [0x05, 40, 3],  # field 20, whose number is written out
        [0],
    ]
    data = b"".join(map(bytes, fields))
    values, length = read_struct(data + b"rest")
    assert values == {1: 75, 2: True, 3: False, 4: b"ab", 5: [-1, 2], 6: {1: 1}, 7: bytes(range(8)), 20: -2}
    assert length == len(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x15", b"\x18\x09ab\x00", b"\x19\xf5\xff\xff\x7f\x00", b"\x19\xfc\xff\xff\xff\xff\x07\x00", b"\x15\x80"],
)
def test_data_that_end_too_early(data: bytes) -> None:
    with pytest.raises(IndexError):
        read_struct(data)


@pytest.mark.parametrize("data", [b"\x1b\x00", b"\x1d\x00", b"\x1c" * 99, b"\x15" + b"\x80" * 12 + b"\x00"])
def test_data_that_are_no_structure(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_struct(data)
