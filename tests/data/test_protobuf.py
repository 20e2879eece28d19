"""Protocol buffers without a schema, and Examples as Google's library reads and writes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.data.protobuf import (
    FLOAT_LIST,
    INT64_LIST,
    Fixed32,
    ProtobufError,
    example_features,
    fields,
    int64_example,
    message,
    to_varint,
    unpacked_int64,
    unpacked_int64_lists,
    varint,
)
from tests.data.tf_example import example_class

INT64S = st.lists(st.integers(0, 127) | st.integers(0, 30_000) | st.integers(-(2**63), 2**63 - 1), max_size=40)


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_numbers(number: int) -> None:
    written = to_varint(number)
    assert varint(written, 0) == (number, len(written))


def test_messages_leave_zeros_out() -> None:
    written = message((1, 300), (2, b""), (3, 0), (6, Fixed32(7)))
    assert list(fields(written)) == [(1, 300), (2, b""), (6, 7)]


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=9), INT64S, min_size=1, max_size=5))
def test_examples_are_those_of_googles_library(features: dict[str, list[int]]) -> None:
    example = example_class()()
    for name, numbers in features.items():
        example.features.feature[name].int64_list.value.extend(numbers)
        example.features.feature[name].int64_list.SetInParent()
    data = example.SerializeToString(deterministic=True)
    found = example_features(data)
    assert {name: unpacked_int64(numbers).tolist() for name, (_, numbers) in found.items()} == features
    assert {kind for kind, _ in found.values()} <= {INT64_LIST}
    written = int64_example({name: np.array(numbers, np.int64) for name, numbers in features.items()})
    assert example_class().FromString(written) == example


def test_the_types_of_lists() -> None:
    example = example_class()()
    feature = example.features.feature
    feature["words"].bytes_list.value.extend([b"a", b"b"])
    feature["weights"].float_list.value.extend([0.5, -2])
    feature["ids"].int64_list.value.extend([3])
    found = example_features(example.SerializeToString())
    assert found == {"weights": (FLOAT_LIST, np.float32([0.5, -2]).tobytes()), "ids": (INT64_LIST, b"\3")}


def test_numbers_that_are_not_packed() -> None:
    def example(feature: bytes) -> bytes:
        return message((1, message((1, message((1, b"x"), (2, feature))))))

    ids = example(message((INT64_LIST, message((1, 5), (1, 300), (2, 9)))))
    assert unpacked_int64(example_features(ids)["x"][1]).tolist() == [5, 300]
    weight = Fixed32(int.from_bytes(np.float32(1.5).tobytes(), "little"))
    assert example_features(example(message((FLOAT_LIST, message((1, weight)))))) == {
        "x": (FLOAT_LIST, np.float32(1.5).tobytes())
    }


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff", b"\x0a\x05\x0a", message((1, 5)), message((1, message((1, message((1, b"\xff"), (2, b"\x1a\0"))))))],
)
def test_what_is_no_example(data: bytes) -> None:
    with pytest.raises(ProtobufError):
        example_features(data)


@pytest.mark.parametrize("numbers", [b"\x80", b"\1\x80", b"\x80" * 10 + b"\1"])
def test_examples_with_damaged_numbers(numbers: bytes) -> None:
    with pytest.raises(ProtobufError):
        example_features(
            message((1, message((1, message((1, b"x"), (2, message((INT64_LIST, message((1, numbers))))))))))
        )


@settings(deadline=None)
@given(st.lists(INT64S, max_size=5))
def test_lists_are_unpacked_together(lists: list[list[int]]) -> None:
    packed = [b"".join(to_varint(number % 2**64) for number in numbers) for numbers in lists]
    found, lengths = unpacked_int64_lists(packed)
    assert found.tolist() == [number for numbers in lists for number in numbers]
    assert lengths.tolist() == [len(numbers) for numbers in lists]


@pytest.mark.parametrize("numbers", [b"\x80", b"\1\x80", b"\x80" * 10 + b"\1"])
def test_packed_numbers_that_are_damaged(numbers: bytes) -> None:
    with pytest.raises(ProtobufError):
        unpacked_int64(numbers)
