"""Packed batches."""

import itertools
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.batch import cut_by_tokens, pack, rounded
from bertworks.ragged import within


@given(st.lists(st.integers(0, 9), max_size=20))
def test_positions_restart_in_every_sequence(lengths: list[int]) -> None:
    assert within(np.array(lengths, np.int64)).tolist() == [i for n in lengths for i in range(n)]


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 120))
def test_cuts_cover_all_in_order_within_the_budget(lengths: list[int], budget: int) -> None:
    cuts = cut_by_tokens(lengths, budget)
    assert [i for cut in cuts for i in range(cut.start, cut.stop)] == list(range(len(lengths)))
    for cut in cuts:
        assert sum(lengths[cut]) <= budget or cut.stop - cut.start == 1
    for one, other in itertools.pairwise(cuts):
        assert sum(lengths[one]) + lengths[other.start] > budget  # no cut is made too early


def test_pack_gives_borders_and_fills_in_what_is_not_given() -> None:
    batch = pack(np.arange(5), np.zeros(5, int), np.array([2, 3]), rows=np.array([1, 4]), labels=np.array([7, 8]))
    assert batch.starts.tolist() == [0, 2, 5]
    assert batch.position_ids.tolist() == [0, 1, 0, 1, 2]
    assert (batch.tokens, len(batch)) == (5, 2)
    assert batch.sequence_labels.numel() == 0
    assert batch.dropout_keys.tolist() == [0, 1]
    assert batch.to(torch.device("cpu")) is batch


@given(st.integers(0, 1 << 20))
def test_rounding_adds_little_and_leaves_few_numbers(count: int) -> None:
    assert count <= rounded(count) <= count + count / 16
    assert rounded(rounded(count)) == rounded(count)
    assert len({rounded(n) for n in range(3600, 4000)}) <= 5


def test_filler_is_a_sequence_of_its_own_that_does_not_count() -> None:
    batch = pack(np.arange(1, 101), np.zeros(100, int), np.array([60, 40]), filled=True)
    assert len(batch.input_ids) == len(batch.position_ids) == int(batch.starts[-1]) == 104
    assert (batch.filler, batch.tokens, len(batch)) == (4, 100, 2)
    assert batch.starts.tolist() == [0, 60, 100, 104]
    assert batch.position_ids[100:].tolist() == [0] * 4


@given(st.integers(1, 1 << 13))
def test_there_is_always_filler_and_little_of_it(count: int) -> None:
    batch = pack(np.zeros(count, int), np.zeros(count, int), np.array([count]), filled=True)
    assert 1 <= batch.filler <= max(1, count / 16)
    assert batch.tokens == count


def test_full_sequences_get_the_least_filler() -> None:
    batch = pack(np.zeros(4096, int), np.zeros(4096, int), np.full(32, 128), filled=True)
    assert batch.filler == 32


def test_filler_is_seen_by_itself() -> None:
    batch = pack(np.arange(5), np.zeros(5, int), np.array([2, 3]), unseen=np.array([1, 0]), filled=True)
    assert batch.unseen is not None
    assert batch.unseen.tolist() == [1, 0, 0]
    assert batch.tokens == 5


def test_a_batch_without_its_filler_is_the_plain_one() -> None:
    ids, lengths, rows = np.arange(1, 101), np.array([60, 40]), np.array([3, 70])
    how = {"rows": rows, "labels": ids[rows], "sequence_labels": np.array([0, 1]), "unseen": np.array([2, 0])}
    plain, filled = (pack(ids, 0 * ids, lengths, **how, filled=filled) for filled in (False, True))
    with_rows_of_filler = replace(filled, rows=torch.cat([filled.rows, torch.tensor([103, 103])]))
    for batch in (filled, with_rows_of_filler, plain):
        found = batch.without_filler()
        assert (found.filler, found.tokens, len(found)) == (0, 100, 2)
        for field in fields(found):
            ours, expected = getattr(found, field.name), getattr(plain, field.name)
            equal = torch.equal if isinstance(ours, torch.Tensor) else np.array_equal
            assert ours is expected or equal(ours, expected), field.name


def test_an_empty_batch() -> None:
    none = np.zeros(0, np.int64)
    batch = pack(none, none, none)
    assert (batch.tokens, len(batch), batch.starts.tolist()) == (0, 0, [0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_moves_to_a_gpu() -> None:
    batch = pack(np.arange(5), np.zeros(5, int), np.array([2, 3])).to(torch.device("cuda"))
    assert batch.input_ids.is_cuda
    assert batch.lengths.tolist() == [2, 3]
