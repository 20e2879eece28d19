"""Dropout on CPU: the right share, independent, and the same for any cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.model.dropout import Dropout, masked
from tests.model.conftest import batch_of, part_of

RATE = 0.1


def drawn(step: int, site: int, width: int, lengths: list[int]) -> np.ndarray:
    keep = Dropout.of(batch_of(lengths), step).keep(site, RATE, width)
    assert keep is not None
    return 1.0 - keep.mask().numpy()


def test_share_and_spread_of_what_is_dropped() -> None:
    """Counts per token, per column and in all vary as independent draws would."""
    width, masks = 768, [drawn(step, 1, 768, [128, 100, 28]) for step in range(40)]
    dropped = np.stack(masks)  # [steps, tokens, columns]
    p, n = 6554 / 65536, dropped.size
    assert abs(dropped.mean() - p) < 4 * np.sqrt(p * (1 - p) / n)
    for axis, draws in ((2, width), (1, 256), (0, 40)):
        counts = dropped.sum(axis=axis).ravel()
        # A sample variance is known to about sqrt(2 / counts); dependence between values would move it.
        assert counts.var() == pytest.approx(draws * p * (1 - p), rel=0.05)


def test_columns_tokens_sites_and_steps_are_uncorrelated() -> None:
    flat = [drawn(step, site, 64, [128, 128]) - 6554 / 65536 for step in range(60) for site in (1, 2)]
    scale = 0.09
    values = np.stack(flat)  # [draws, tokens, columns]
    samples = values.size
    limit = 5 * scale / np.sqrt(samples)
    assert abs((values[:, :, :-1] * values[:, :, 1:]).mean()) < limit  # neighbouring columns
    assert abs((values[:, :, :-17] * values[:, :, 17:]).mean()) < limit
    assert abs((values[:, :-1] * values[:, 1:]).mean()) < limit  # neighbouring tokens
    assert abs((values[:, :128] * values[:, 128:]).mean()) < limit  # the same place in two sequences
    assert abs((values[0::2] * values[1::2]).mean()) < limit  # two sites
    assert abs((values[:-2] * values[2:]).mean()) < limit  # two steps


def test_no_two_tokens_share_a_mask() -> None:
    assert len(np.unique(drawn(3, 1, 768, [128] * 16), axis=0)) == 128 * 16


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)), st.integers(0, 2**62))
def test_a_sequence_draws_the_same_in_any_batch(order: list[int], step: int) -> None:
    batch = batch_of([9, 3, 40, 17, 5])
    whole = Dropout.of(batch, step).keep(4, RATE, 32)
    part = Dropout.of(part_of(batch, order[:3]), step).keep(4, RATE, 32)
    assert whole is not None
    assert part is not None
    starts = batch.starts.tolist()
    rows = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in order[:3]])
    assert torch.equal(whole.mask()[rows], part.mask())


def test_columns_of_a_head_do_not_depend_on_the_longest_sequence() -> None:
    dropout = Dropout.of(batch_of([5, 6]), 9)
    short, long = dropout.keep(1, RATE, 4, 32), dropout.keep(1, RATE, 4, 128)
    assert short is not None
    assert long is not None
    assert torch.equal(short.columns, long.columns[:, :32])


def test_rows_are_those_of_the_whole() -> None:
    dropout, read = Dropout.of(batch_of([5, 6]), 9), torch.tensor([0, 3, 9])
    some, all_rows = dropout.rows(read).keep(2, RATE, 16), dropout.keep(2, RATE, 16)
    assert some is not None
    assert all_rows is not None
    assert torch.equal(some.mask(), all_rows.mask()[read])


def test_rates() -> None:
    dropout = Dropout.of(batch_of([5]), 1)
    assert dropout.keep(0, 0.0, 8) is None
    keep = dropout.keep(0, 0.1, 8)
    assert keep is not None
    assert keep.scale == pytest.approx(1 / 0.9, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masked(dtype: torch.dtype) -> None:
    x = torch.tensor([1.5, -2.0, float("inf"), 3.0], dtype=dtype)
    assert masked(x, torch.tensor([1, 0, 1, 0], dtype=torch.int16)).tolist() == [1.5, 0.0, float("inf"), 0.0]
