"""Plans of an epoch: what every row must obey, one-document shards, extreme documents, and assembly."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bertworks import draws
from bertworks.data.plan import (
    A_END,
    A_START,
    B_END,
    B_START,
    DOCUMENT,
    IS_RANDOM_NEXT,
    LENGTH,
    gather,
    plan,
    plan_of_single_texts,
    truncated,
)
from tests.data.slow_pretraining_data import truncate

CLS, SEP = 1_000_001, 1_000_002

# Documents as lists of sentence lengths.
LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=30)
SEVERAL = st.lists(LENGTHS, min_size=2, max_size=6)
SIZES = st.integers(5, 64)
SEEDS = st.integers(0, 2**32)


def starts_of(documents: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.cumsum([0, *(n for document in documents for n in document)]), np.cumsum([0, *map(len, documents)])


def planned(
    documents: list[list[int]], seed: int = 1, max_seq_length: int = 32, short_seq_prob: float = 0.1
) -> NDArray[np.int64]:
    return plan(
        *starts_of(documents), key=draws.key(seed), max_seq_length=max_seq_length, short_seq_prob=short_seq_prob
    )


@given(SEVERAL, SEEDS, SIZES)
def test_every_row_lies_inside_its_documents_and_fits(documents: list[list[int]], seed: int, size: int) -> None:
    sentences, firsts = starts_of(documents)
    rows = planned(documents, seed, size, 0.3)
    begins, ends = sentences[firsts[:-1]], sentences[firsts[1:]]
    of_b = np.searchsorted(begins, rows[:, B_START], side="right") - 1
    assert (rows[:, LENGTH] <= size).all()
    assert (rows[:, LENGTH] == rows[:, A_END] - rows[:, A_START] + rows[:, B_END] - rows[:, B_START] + 3).all()
    assert (rows[:, A_START] < rows[:, A_END]).all()
    assert (rows[:, B_START] < rows[:, B_END]).all()
    assert (begins[rows[:, DOCUMENT]] <= rows[:, A_START]).all()
    assert (rows[:, A_END] <= ends[rows[:, DOCUMENT]]).all()
    assert (rows[:, B_END] <= ends[of_b]).all()
    assert ((of_b != rows[:, DOCUMENT]) == rows[:, IS_RANDOM_NEXT]).all()
    follows = rows[:, IS_RANDOM_NEXT] == 0
    assert (rows[follows, A_END] <= rows[follows, B_START]).all()


@given(SEVERAL, SEEDS)
def test_without_truncation_the_chunks_tile_every_document(documents: list[list[int]], seed: int) -> None:
    """Where nothing is cut off, a starts where the chunk before ended or, if b was random, where its a ended."""
    sentences, firsts = starts_of(documents)
    rows = planned(documents, seed, max_seq_length=5000, short_seq_prob=0.0)
    for document in range(len(documents)):
        mine = rows[rows[:, DOCUMENT] == document]
        ends = np.where(mine[:, IS_RANDOM_NEXT], mine[:, A_END], mine[:, B_END])
        assert mine[0, A_START] == sentences[firsts[document]]
        assert (mine[1:, A_START] == ends[:-1]).all()
        assert ends[-1] == sentences[firsts[document + 1]]
    assert np.isin(rows[:, [A_START, A_END, B_START, B_END]], sentences).all()
    follows = rows[:, IS_RANDOM_NEXT] == 0
    assert (rows[follows, A_END] == rows[follows, B_START]).all()


@given(LENGTHS, SEEDS)
def test_one_document_draws_b_beside_a_and_never_what_follows_as_random(document: list[int], seed: int) -> None:
    sentences, _ = starts_of([document])
    rows = planned([document], seed, max_seq_length=5000, short_seq_prob=0.0)
    if len(document) == 1:
        assert len(rows) == (document[0] > 1)
    is_random = rows[:, IS_RANDOM_NEXT] == 1
    before = rows[:, B_END] <= rows[:, A_START]
    assert (is_random | (rows[:, B_START] == rows[:, A_END])).all()
    assert (~is_random | before | (rows[:, B_START] > rows[:, A_END])).all()
    # A chunk of one sentence is random wherever another sentence can be had.
    first, follower = np.searchsorted(sentences, rows[:, A_START]), np.searchsorted(sentences, rows[:, A_END])
    nothing_else = (first == 0) & (follower + 1 >= len(document))
    assert not is_random[nothing_else].any()
    alone = (rows[:, A_END] == sentences[-1]) & ~nothing_else
    assert is_random[alone].all()


@given(LENGTHS, SEEDS, SIZES)
def test_one_document_s_rows_fit(document: list[int], seed: int, size: int) -> None:
    rows = planned([document], seed, size, 0.3)
    assert (rows[:, LENGTH] <= size).all()
    assert (rows[:, A_START] < rows[:, A_END]).all()
    assert (rows[:, B_START] < rows[:, B_END]).all()
    assert ((rows[:, B_END] <= rows[:, A_START]) | (rows[:, A_END] <= rows[:, B_START])).all()


def test_one_sentence_alone_is_cut_in_two_and_one_token_gives_nothing() -> None:
    cuts = set()
    for seed in range(50):
        ((document, a_start, a_end, b_start, b_end, is_random_next, length),) = planned([[4]], seed).tolist()
        assert (document, a_start, a_end, b_end, is_random_next, length) == (0, 0, b_start, 4, 0, 7)
        cuts.add(a_end)
    assert cuts == {1, 2, 3}
    assert planned([[1]]).shape == (0, 7)
    assert planned([]).shape == (0, 7)


def test_documents_of_one_sentence_of_one_token() -> None:
    rows = planned([[1]] * 50)
    assert rows[:, DOCUMENT].tolist() == list(range(50))
    assert rows[:, IS_RANDOM_NEXT].all()
    assert (rows[:, LENGTH] == 5).all()
    assert (rows[:, B_START] != rows[:, A_START]).all()
    assert len(np.unique(rows[:, B_START])) > 20


def test_a_sentence_of_a_million_tokens_loses_from_both_ends() -> None:
    rows = planned([[1_000_000], [3, 4], [5]], max_seq_length=128, short_seq_prob=0.0)
    assert len(rows) >= 3
    assert rows[0, LENGTH] == 128
    assert rows[0, A_END] - rows[0, A_START] >= 62
    assert abs(rows[0, A_START] - 500_000) < 4000
    assert len(planned([[1_000_000]], max_seq_length=128)) == 1


@pytest.mark.parametrize("documents", [[[5] * 20], [[5] * 20] * 3])
def test_another_key_gives_another_plan_and_the_same_key_the_same(documents: list[list[int]]) -> None:
    assert np.array_equal(planned(documents, 1), planned(documents, 1))
    assert not np.array_equal(planned(documents, 1), planned(documents, 2))


def test_random_b_is_uniform_over_other_documents_and_over_their_sentences() -> None:
    documents = [[60] * 3, [60], [60, 60], [60] * 10]
    counts = np.zeros((4, 16))
    for seed in range(3000):
        rows = planned(documents, seed, max_seq_length=63, short_seq_prob=0.0)
        rows = rows[rows[:, IS_RANDOM_NEXT] == 1]
        np.add.at(counts, (rows[:, DOCUMENT], rows[:, B_START] // 60), 1)
    for document, counted in enumerate(counts):
        sizes = [1 / len(d) if i != document else 0 for i, d in enumerate(documents) for _ in d]
        expected = counted.sum() * np.array(sizes) / 3
        error = np.sqrt(expected * (1 - expected / counted.sum()))
        assert (np.abs(counted - expected) <= 3.5 * error).all()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(2, 70), SEEDS)
def test_truncation_in_closed_form_keeps_what_the_loop_keeps(a: int, b: int, most: int, seed: int) -> None:
    words_a, words_b = ["a"] * a, ["b"] * b
    truncate(words_a, words_b, most, Random(seed))
    kept_a, kept_b = truncated(np.array([a]), np.array([b]), most)
    assert (kept_a.item(), kept_b.item()) == (len(words_a), len(words_b))


def test_short_targets_belong_to_whole_documents() -> None:
    documents = [[5] * 60] * 200
    rows = planned(documents, max_seq_length=128, short_seq_prob=0.5)
    longest = np.zeros(200, np.int64)
    np.maximum.at(longest, rows[:, DOCUMENT], rows[:, LENGTH])
    assert 60 <= (longest < 100).sum() <= 100
    assert not (planned(documents, max_seq_length=128, short_seq_prob=0.0)[:, LENGTH] < 8).any()


def test_short_targets_are_uniform_from_2_to_the_most() -> None:
    rows = planned([[1] * 20] * 6000, max_seq_length=9, short_seq_prob=1.0)
    firsts = rows[np.unique(rows[:, DOCUMENT], return_index=True)[1]]
    targets = firsts[firsts[:, IS_RANDOM_NEXT] == 0, LENGTH] - 3
    counts = np.bincount(targets, minlength=7)
    assert counts[:2].sum() == 0
    assert (np.abs(counts[2:] - len(targets) / 5) <= 3.5 * np.sqrt(len(targets) * 0.2 * 0.8)).all()


@given(SEVERAL, SEEDS, SIZES)
def test_gather_lays_out_cls_a_sep_b_sep(documents: list[list[int]], seed: int, size: int) -> None:
    tokens = np.arange(starts_of(documents)[0][-1], dtype=np.uint32)
    rows = planned(documents, seed, size)
    rows = rows[draws.permutation(draws.key(seed), len(rows))]
    input_ids, segment_ids, lengths = gather(tokens, rows, cls_id=CLS, sep_id=SEP)
    ids, segments = [], []
    for _, a_start, a_end, b_start, b_end, _, _ in rows.tolist():
        ids += [CLS, *range(a_start, a_end), SEP, *range(b_start, b_end), SEP]
        segments += [0] * (a_end - a_start + 2) + [1] * (b_end - b_start + 1)
    assert input_ids.tolist() == ids
    assert segment_ids.tolist() == segments
    assert lengths.tolist() == rows[:, LENGTH].tolist()


def single_texts(
    documents: list[list[int]], seed: int = 1, max_seq_length: int = 32, short_seq_prob: float = 0.1
) -> NDArray[np.int64]:
    starts = starts_of(documents)
    key = draws.key(seed)
    return plan_of_single_texts(*starts, key=key, max_seq_length=max_seq_length, short_seq_prob=short_seq_prob)


@given(st.lists(LENGTHS, max_size=6), SEEDS, SIZES, st.sampled_from([0.0, 0.3, 1.0]))
def test_single_texts_use_every_token_once_within_documents(
    documents: list[list[int]], seed: int, size: int, short_seq_prob: float
) -> None:
    rows = single_texts(documents, seed, size, short_seq_prob)
    sentences, firsts = starts_of(documents)
    begins, ends = sentences[firsts[:-1]], sentences[firsts[1:]]
    assert [token for row in rows for token in range(row[A_START], row[A_END])] == list(range(sentences[-1]))
    assert (rows[:, A_START] < rows[:, A_END]).all()
    assert (rows[:, LENGTH] == rows[:, A_END] - rows[:, A_START] + 2).all()
    assert (rows[:, LENGTH] <= size).all()
    assert (begins[rows[:, DOCUMENT]] <= rows[:, A_START]).all()
    assert (rows[:, A_END] <= ends[rows[:, DOCUMENT]]).all()
    assert (rows[:, B_START] == rows[:, B_END]).all()
    assert not rows[:, IS_RANDOM_NEXT].any()
    if not short_seq_prob:
        # No more instances than needed, and only the first and the last of a document are not full.
        assert np.bincount(rows[:, DOCUMENT]).tolist() == [-(-sum(document) // (size - 2)) for document in documents]
        edges = np.isin(rows[:, A_START], begins) | np.isin(rows[:, A_END], ends)
        assert (rows[~edges, LENGTH] == size).all()


def test_the_cuts_of_single_texts_move_as_far_as_there_is_room() -> None:
    found = {tuple(single_texts([[25], [60]], seed, 32, 0.0)[:, A_END].tolist()) for seed in range(300)}
    assert found == {(25, 55, 85)}
    found = {tuple(single_texts([[3, 3, 30], [9]], seed, 22, 0.0)[:, A_END].tolist()) for seed in range(300)}
    assert found == {(16 + moved, 36, 45) for moved in range(5)}


def test_gather_lays_out_cls_a_sep() -> None:
    rows = single_texts([[3, 4], [2]], max_seq_length=6, short_seq_prob=0.0)[::-1]
    input_ids, segment_ids, lengths = gather(np.arange(9, dtype=np.uint16), rows, cls_id=CLS, sep_id=SEP)
    assert input_ids.tolist() == [
        token for row in rows.tolist() for token in (CLS, *range(row[A_START], row[A_END]), SEP)
    ]
    assert not segment_ids.any()
    assert lengths.tolist() == rows[:, LENGTH].tolist()


def test_gather_of_no_rows_is_empty() -> None:
    input_ids, segment_ids, lengths = gather(np.zeros(0, np.uint16), np.zeros((0, 7), np.int64), cls_id=CLS, sep_id=SEP)
    assert len(input_ids) == len(segment_ids) == len(lengths) == 0
