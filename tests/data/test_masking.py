"""Masking: how many, which, and what stands in their place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bertworks import draws
from bertworks.data.masking import MaskableWords, how_many, mask
from bertworks.errors import InputError
from tests.data.made_corpus import FIRST_WORD, VOCABULARY, WORDS

SEQUENCES = st.lists(
    st.tuples(
        st.lists(st.integers(FIRST_WORD, WORDS.size - 1), min_size=1, max_size=20),
        st.lists(st.integers(FIRST_WORD, WORDS.size - 1), min_size=1, max_size=20),
    ),
    min_size=1,
    max_size=6,
)
SEEDS = st.integers(0, 2**32)
CAPS = st.integers(1, 8)
SHARES = st.sampled_from([0.0, 0.15, 0.4, 1.0])


def packed(sequences: list[tuple[list[int], list[int]]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    whole = [[WORDS.cls_id, *a, WORDS.sep_id, *b, WORDS.sep_id] for a, b in sequences]
    return np.array([i for sequence in whole for i in sequence]), np.array([len(sequence) for sequence in whole])


def masked(
    sequences: list[tuple[list[int], list[int]]], seed: int, *, share: float = 0.15, cap: int = 20, whole: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    ids, lengths = packed(sequences)
    keys = draws.key(seed, np.arange(len(lengths)))
    return mask(ids, lengths, keys, WORDS, masked_lm_prob=share, max_predictions_per_seq=cap, do_whole_word_mask=whole)


def words_of(ids: NDArray[np.int64]) -> list[list[int]]:
    """The rows of each whole word, found one token after the other."""
    words: list[list[int]] = []
    special_before = True
    for row, word in enumerate(ids):
        special = word in (WORDS.cls_id, WORDS.sep_id)
        if not special and WORDS.is_continuation[word] and not special_before:
            words[-1].append(row)
        elif not special:
            words.append([row])
        special_before = special
    return words


@given(SEQUENCES, SEEDS, SHARES, CAPS, st.booleans())
def test_unmasking_restores_the_input(sequences, seed, share, cap, whole) -> None:
    ids, _ = packed(sequences)
    now, rows, labels = masked(sequences, seed, share=share, cap=cap, whole=whole)
    assert (np.diff(rows) > 0).all()
    assert not np.isin(labels, [WORDS.cls_id, WORDS.sep_id]).any()
    assert np.array_equal(labels, ids[rows])
    now[rows] = labels
    assert np.array_equal(now, ids)


@given(SEQUENCES, SEEDS, SHARES, CAPS)
def test_as_many_as_the_length_says(sequences, seed, share, cap) -> None:
    _, lengths = packed(sequences)
    _, rows, _ = masked(sequences, seed, share=share, cap=cap)
    counts = np.bincount(np.searchsorted(np.cumsum(lengths), rows, side="right"), minlength=len(lengths))
    expected = [min(cap, max(1, round(n * share)), n - 3) for n in lengths.tolist()]
    assert counts.tolist() == expected


@given(SEQUENCES, SEEDS, SHARES, CAPS)
def test_whole_words_are_chosen_whole_and_the_room_is_used(sequences, seed, share, cap) -> None:
    ids, lengths = packed(sequences)
    _, rows, _ = masked(sequences, seed, share=share, cap=cap, whole=True)
    ends = np.cumsum(lengths)
    for first, last, number in zip(ends - lengths, ends, how_many(lengths, share, cap), strict=True):
        words = words_of(ids[first:last])
        chosen = {row - first for row in rows.tolist() if first <= row < last}
        left_out = [len(word) for word in words if not chosen & set(word)]
        assert all(chosen >= set(word) for word in words if chosen & set(word))
        assert len(chosen) <= number
        assert len(chosen) + min(left_out, default=100) > number


@given(SEQUENCES, SEEDS, st.booleans())
def test_a_sequence_is_masked_alike_in_every_batch(sequences, seed, whole) -> None:
    ids, lengths = packed(sequences)
    keys = draws.key(seed, np.arange(len(lengths)))
    options = {"masked_lm_prob": 0.3, "max_predictions_per_seq": 5, "do_whole_word_mask": whole}
    together, rows, _ = mask(ids, lengths, keys, WORDS, **options)
    ends = np.cumsum(lengths)
    for i, (first, last) in enumerate(zip(ends - lengths, ends, strict=True)):
        alone, rows_alone, _ = mask(ids[first:last], lengths[i : i + 1], keys[i : i + 1], WORDS, **options)
        assert np.array_equal(alone, together[first:last])
        assert np.array_equal(rows_alone + first, rows[(first <= rows) & (rows < last)])


def test_a_word_does_not_reach_across_the_separator() -> None:
    piece = VOCABULARY.index("##p0")
    sequence = ([FIRST_WORD], [piece, piece])
    chosen = {tuple(masked([sequence], seed, share=0.4, whole=True)[1].tolist()) for seed in range(100)}
    # [CLS] w [SEP] ##p ##p [SEP] has two words; two predictions take either.
    assert chosen == {(1,), (3, 4)}


def test_shares_of_what_stands_in_place_and_the_whole_vocabulary_as_source() -> None:
    word = FIRST_WORD + 3
    now, rows, labels = masked([([word] * 60, [word] * 60)] * 4000, 1)
    now = now[rows]
    total = len(rows)
    assert total == 4000 * 18
    by_word = np.bincount(now, minlength=WORDS.size) / total
    expected = np.full(WORDS.size, 0.1 / WORDS.size)
    expected[WORDS.mask_id] += 0.8
    # A random word that equals the word before counts as kept.
    expected[word] += 0.1
    error = np.sqrt(expected * (1 - expected) / total)
    assert (np.abs(by_word - expected) <= 3.5 * error).all()
    assert (labels == word).all()


@pytest.mark.parametrize("whole", [False, True])
def test_every_place_is_as_likely_as_any_other(whole: bool) -> None:
    rows = masked([([FIRST_WORD] * 20, [FIRST_WORD + 1] * 17)] * 20_000, 5, whole=whole)[1] % 40
    counts = np.bincount(rows, minlength=40)
    assert counts[[0, 21, 39]].sum() == 0
    counts = np.delete(counts, [0, 21, 39])
    assert len(rows) == 20_000 * 6
    assert (np.abs(counts - len(rows) / 37) <= 3.5 * np.sqrt(20_000 * (6 / 37) * (31 / 37))).all()


def test_half_of_a_prediction_is_rounded_to_even() -> None:
    lengths = np.array([1, 5, 10, 14, 18, 22, 500])
    assert how_many(lengths, 0.25, 20).tolist() == [1, 1, 2, 4, 4, 6, 20]
    assert [round(n * 0.25) for n in lengths[1:-1].tolist()] == [1, 2, 4, 4, 6]


def test_no_sequences_give_no_masks() -> None:
    none = np.zeros(0, np.int64)
    for whole in (False, True):
        now, rows, labels = mask(
            none,
            none,
            draws.key(none),
            WORDS,
            masked_lm_prob=0.15,
            max_predictions_per_seq=20,
            do_whole_word_mask=whole,
        )
        assert len(now) == len(rows) == len(labels) == 0


def test_a_vocabulary_without_mask_is_refused() -> None:
    with pytest.raises(InputError, match=r"--vocab_file: small.txt lacks \[MASK\]"):
        MaskableWords.of(["[CLS]", "[SEP]", "word"], "small.txt")


@given(SEQUENCES, SEEDS, SHARES, st.sampled_from([1.0, 3.8, 20.0]))
def test_spans_are_runs_of_whole_words_that_fill_the_room(sequences, seed, share, mean) -> None:
    ids, lengths = packed(sequences)
    keys = draws.key(seed, np.arange(len(lengths)))
    options = {"masked_lm_prob": share, "max_predictions_per_seq": 0, "mean_span_length": mean}
    now, rows, labels = mask(ids, lengths, keys, WORDS, **options)
    assert np.array_equal(labels, ids[rows])
    ends = np.cumsum(lengths)
    for first, last, number in zip(ends - lengths, ends, how_many(lengths, share, 0), strict=True):
        chosen = {row - first for row in rows.tolist() if first <= row < last}
        words = words_of(ids[first:last])
        assert all(chosen >= set(word) for word in words if chosen & set(word))
        assert len(chosen) <= number
        left_out = [len(word) for word in words if not chosen & set(word)]
        assert len(chosen) + min(left_out, default=100) > number
    together = np.array_equal(now, mask(ids, lengths, keys, WORDS, **options)[0])
    alone = mask(ids[: lengths[0]], lengths[:1], keys[:1], WORDS, **options)
    assert together
    assert np.array_equal(alone[0], now[: lengths[0]])


def test_spans_have_the_mean_that_is_asked_for() -> None:
    """In long texts of one-token words with few masks, runs are spans; a geometric length cut at 10 has mean 3.8."""
    long = [([FIRST_WORD] * 3000, [FIRST_WORD])] * 40
    ids, lengths = packed(long)
    keys = draws.key(3, np.arange(len(lengths)))
    rows = mask(ids, lengths, keys, WORDS, masked_lm_prob=0.02, max_predictions_per_seq=0, mean_span_length=5.0)[1]
    runs = 1 + (np.diff(rows) != 1).sum()
    cut_mean = sum(0.8**n for n in range(10))  # 4.46
    assert len(rows) / runs == pytest.approx(cut_mean, rel=0.06)


def test_all_may_become_mask_at_the_same_places() -> None:
    sequences = [([FIRST_WORD + 1] * 30, [FIRST_WORD + 2] * 30)]
    ids, lengths = packed(sequences)
    keys = draws.key(5, np.arange(1))
    plain = mask(ids, lengths, keys, WORDS, masked_lm_prob=0.4, max_predictions_per_seq=0)
    whole = mask(ids, lengths, keys, WORDS, masked_lm_prob=0.4, max_predictions_per_seq=0, mask_all=True)
    assert np.array_equal(plain[1], whole[1])
    assert np.array_equal(plain[2], whole[2])
    assert (whole[0][whole[1]] == WORDS.mask_id).all()
    assert not (plain[0][plain[1]] == WORDS.mask_id).all()
    assert len(whole[1]) == round(63 * 0.4)  # without a cap
