"""Whole data sets as token sequences, and the order of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.sequences import Sequences, encode, shuffled
from bertworks.text.tokenizer import Tokenizer

TOKENIZER = Tokenizer.from_vocab(Path(__file__).parents[1] / "fixtures" / "vocab.txt")
TEXT = st.text("the man wént 大 .\n\t", max_size=40)


@given(st.lists(st.tuples(TEXT, st.none() | TEXT)), st.integers(3, 20))
def test_sequences_are_those_of_the_tokenizer_one_by_one(texts: list[tuple[str, str | None]], longest: int) -> None:
    found = encode(TOKENIZER, texts, longest)
    assert len(found) == len(texts)
    rows = np.arange(len(texts))[::-1].copy()
    ids, segments, lengths = found.take(rows)
    ends = np.cumsum(lengths)
    cut = 0
    for row, start, end in zip(rows, ends - lengths, ends, strict=True):
        expected = TOKENIZER.encode_pair(*texts[row], longest)
        assert ids[start:end].tolist() == expected.ids
        assert segments[start:end].tolist() == expected.segment_ids
        cut += len(TOKENIZER.encode_pair(*texts[row]).ids) > longest
    assert found.cut == cut


def test_joined_sequences_stay_what_they_are() -> None:
    parts = [encode(TOKENIZER, [("the man", None)] * n, 5) for n in (2, 0, 1)]
    whole = Sequences.joined(parts)
    assert whole.lengths.tolist() == [len(TOKENIZER.encode_pair("the man", None, 5).ids)] * 3


@given(st.integers(0, 5), st.integers(1, 40), st.integers(0, 100), st.integers(0, 60), st.integers(0, 60))
def test_every_epoch_has_every_example_once_and_any_cut_is_the_same(
    seed: int, count: int, first: int, middle: int, last: int
) -> None:
    whole = shuffled(seed, count, first, first + middle + last)
    parts = [shuffled(seed, count, first, first + middle), shuffled(seed, count, first + middle, first + middle + last)]
    assert np.array_equal(whole, np.concatenate(parts))
    epoch = shuffled(seed, count, 3 * count, 4 * count)
    assert sorted(epoch.tolist()) == list(range(count))


def test_epochs_and_seeds_differ_in_order() -> None:
    orders = [shuffled(seed, 50, 50 * epoch, 50 * epoch + 50).tolist() for seed in (1, 2) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
