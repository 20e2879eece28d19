"""The laws of sequences laid end to end."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bertworks.ragged import runs, starts, within

LENGTHS = st.lists(st.integers(0, 9), max_size=12)


@given(LENGTHS)
def test_starts_are_the_sums_before(lengths: list[int]) -> None:
    assert starts(lengths).tolist() == [sum(lengths[:i]) for i in range(len(lengths) + 1)]


@given(LENGTHS)
def test_within_counts_each_sequence_from_zero(lengths: list[int]) -> None:
    assert within(lengths).tolist() == [i for length in lengths for i in range(length)]


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 9)), max_size=12))
def test_runs_are_the_indices_of_slices(slices: list[tuple[int, int]]) -> None:
    firsts, lengths = np.array(slices, np.int64).reshape(-1, 2).T
    assert runs(firsts, lengths).tolist() == [first + i for first, length in slices for i in range(length)]
