"""One text or two, truncated as the original does it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks import InputError, Tokenizer
from bertworks.text.pairs import truncated_lengths
from tests.text.texts import vocabulary


def by_the_loop(length_a: int, length_b: int, room: int) -> tuple[int, int]:
    while length_a + length_b > room:
        if length_a > length_b:
            length_a -= 1
        else:
            length_b -= 1
    return length_a, length_b


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 70))
def test_two_lengths_are_cut_as_by_the_loop(length_a: int, length_b: int, room: int) -> None:
    assert truncated_lengths(length_a, length_b, room) == by_the_loop(length_a, length_b, room)


def test_pairs() -> None:
    tokenizer = Tokenizer(vocabulary("a b c d"))
    a, b, c, d = range(5, 9)
    assert tokenizer.encode_pair("a b") == ([2, a, b, 3], [0, 0, 0, 0])
    assert tokenizer.encode_pair("a b", "c d") == ([2, a, b, 3, c, d, 3], [0, 0, 0, 0, 1, 1, 1])
    assert tokenizer.encode_pair("a b", "c d", max_seq_length=6) == ([2, a, b, 3, c, 3], [0, 0, 0, 0, 1, 1])
    assert tokenizer.encode_pair("a b c d", max_seq_length=5) == ([2, a, b, c, 3], [0] * 5)
    assert tokenizer.encode_pair("a", " \t", max_seq_length=3) == ([2, a, 3], [0] * 3)
    assert tokenizer.encode_pair("a", "b", max_seq_length=4) == ([2, a, 3], [0] * 3)
    with pytest.raises(InputError, match="--max_seq_length=2"):
        tokenizer.encode_pair("a", "b", max_seq_length=2)
