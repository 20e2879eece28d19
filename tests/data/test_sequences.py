"""Whole data sets as token sequences, and the order of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.sequences import Sequences, encode, encode_windows, shuffled
from bertworks.errors import InputError
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


def of(found: Sequences, row: int) -> tuple[list[int], int]:
    """The ids of a sequence, and how many of them are of segment 0."""
    return found.ids[found.starts[row] : found.starts[row + 1]].tolist(), int(found.first[row])


def test_of_a_long_text_the_beginning_and_the_end_are_kept() -> None:
    words = [token for token in TOKENIZER.tokens if token.isalpha()] * 4
    ids = TOKENIZER.encode(" ".join(words))
    found = encode(TOKENIZER, [(" ".join(words), None), (" ".join(words[:9]), None)], 512, "head_tail")
    assert of(found, 0)[0] == [TOKENIZER.cls_id, *ids[:128], *ids[-382:], TOKENIZER.sep_id]  # Sun et al. 2019
    assert of(found, 1)[0][1:-1] == ids[: found.lengths[1] - 2]
    assert found.cut == 1


@given(st.lists(st.tuples(TEXT, st.none() | TEXT), max_size=5), st.integers(3, 20))
def test_head_and_tail_keep_as_many_tokens_as_the_original_of_either_text(
    texts: list[tuple[str, str | None]], longest: int
) -> None:
    plain, found = encode(TOKENIZER, texts, longest), encode(TOKENIZER, texts, longest, "head_tail")
    assert (found.starts.tolist(), found.first.tolist(), found.cut) == (
        plain.starts.tolist(),
        plain.first.tolist(),
        plain.cut,
    )
    for row, pair in enumerate(texts):
        ids, first = of(found, row)
        for text, kept in zip(pair, (ids[1 : first - 1], ids[first:-1]), strict=True):
            whole = TOKENIZER.encode(text or "")
            head = len(kept) if len(kept) == len(whole) else (len(kept) + 2) // 4
            assert kept == whole[:head] + whole[len(whole) - len(kept) + head :]


@given(st.lists(st.tuples(TEXT, st.none() | TEXT), max_size=5), st.integers(5, 20), st.integers(1, 30))
def test_windows_read_every_token_of_the_longer_text(
    texts: list[tuple[str, str | None]], longest: int, stride: int
) -> None:
    plain = encode(TOKENIZER, texts, longest)
    found, counts = encode_windows(TOKENIZER, texts, longest, stride)
    assert len(counts) == len(texts)
    assert counts.sum() == len(found)
    assert found.cut == plain.cut
    row = 0
    for pair, count in zip(texts, counts.tolist(), strict=True):
        a, b = (TOKENIZER.encode(text or "") for text in pair)
        windows = [of(found, row + i) for i in range(count)]
        row += count
        if len(TOKENIZER.encode_pair(*pair).ids) <= longest:
            assert windows == [of(encode(TOKENIZER, [pair], longest), 0)]
            continue
        assert all(len(ids) == longest for ids, _ in windows)
        parts = [(ids[1 : first - 1], ids[first:-1]) for ids, first in windows]
        of_longer = 0 if len(a) > len(b) else 1
        beside = (a, b)[1 - of_longer][: (longest - (3 if b else 2)) // 2]
        assert all(part[1 - of_longer] == beside for part in parts)
        size = len(parts[0][of_longer])
        last = len((a, b)[of_longer]) - size
        starts = [*range(0, last, min(stride, size)), last]
        assert [part[of_longer] for part in parts] == [(a, b)[of_longer][at : at + size] for at in starts]


def test_windows_need_room() -> None:
    with pytest.raises(InputError, match="--max_seq_length=3"):
        encode_windows(TOKENIZER, [("the", None)], 3, 1)


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
