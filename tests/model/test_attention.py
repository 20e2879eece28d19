"""Attention: every sequence sees itself and nothing else, whatever the grouping."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks import ragged
from bertworks.model import attention_layout, grouped_attention
from bertworks.model.attention import attend
from bertworks.model.attention_layout import Layout
from bertworks.model.dropout import Dropout, at
from bertworks.model.fused_attention import attention_by_sequence
from tests.model.conftest import batch_of

HEADS, SIZE = 2, 4


def projected(tokens: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(tokens, 3, HEADS, SIZE, generator=torch.Generator().manual_seed(seed))


def layout_of(lengths: list[int], read: torch.Tensor | None = None, unseen: list[int] | None = None) -> Layout:
    starts = torch.tensor(ragged.starts(lengths), dtype=torch.int32)
    return Layout.of(
        starts, np.array(lengths, np.int64), HEADS, read, None if unseen is None else np.array(unseen, np.int64)
    )


def plain(x: torch.Tensor, lengths: list[int], unseen: list[int] | None = None) -> torch.Tensor:
    """The definition, a sequence and a head at a time."""
    result, first = torch.empty(len(x), HEADS, SIZE), 0
    for length, last in zip(lengths, unseen or [0] * len(lengths), strict=True):
        part = slice(first, first + length)
        for head in range(HEADS):
            q, k, v = x[part, :, head].unbind(1)
            k, v = k[: length - last], v[: length - last]
            result[part, head] = torch.softmax(q @ k.T / SIZE**0.5, -1) @ v
        first += length
    return result


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=9), st.integers(0, 3))
def test_every_sequence_sees_itself_only(lengths: list[int], seed: int) -> None:
    x = projected(sum(lengths), seed).requires_grad_()
    other = x.detach().clone().requires_grad_()
    ours, expected = attend(x, layout_of(lengths), None), plain(other, lengths)
    torch.testing.assert_close(ours, expected)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(seed + 1))
    (ours * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(x.grad, other.grad)


def test_groups_may_be_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [3, 40, 5, 31, 32, 33, 64, 9]
    x = projected(sum(lengths))
    together = attend(x, layout_of(lengths), None)
    monkeypatch.setattr(attention_layout, "GROUP_VALUES", 1)
    alone = layout_of(lengths)
    assert len(alone.groups) == len(lengths)
    torch.testing.assert_close(attend(x, alone, None), together)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=7), st.data())
def test_rows_that_ask(lengths: list[int], data: st.DataObject) -> None:
    """Sequences of which nothing is read are among them."""
    read = torch.tensor(sorted(data.draw(st.sets(st.integers(0, sum(lengths) - 1), min_size=1))))
    x = projected(sum(lengths)).requires_grad_()
    some = attend(x[:, 1:], layout_of(lengths, read), None, x[:, 0].index_select(0, read))
    all_rows = attend(x, layout_of(lengths), None)[read]
    torch.testing.assert_close(some, all_rows)
    weights = torch.randn(some.shape, generator=torch.Generator().manual_seed(1))
    (mine,) = torch.autograd.grad((some * weights).sum(), x)
    (expected,) = torch.autograd.grad((all_rows * weights).sum(), x)
    torch.testing.assert_close(mine, expected)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 70)), min_size=1, max_size=7), st.data())
def test_rows_that_no_row_looks_at(sizes: list[tuple[int, int]], data: st.DataObject) -> None:
    """They look at the others all the same; and where there are none, not a bit changes."""
    unseen = [more for _, more in sizes]
    lengths = [seen + more for seen, more in sizes]
    x = projected(sum(lengths)).requires_grad_()
    other = x.detach().clone().requires_grad_()
    layout = layout_of(lengths, None, unseen)
    ours, expected = attend(x, layout, None), plain(other, lengths, unseen)
    torch.testing.assert_close(ours, expected)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    (ours * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(x.grad, other.grad)
    x = x.detach()
    if not any(unseen):
        assert torch.equal(attend(x, layout_of(lengths), None), ours)
    read = torch.tensor(sorted(data.draw(st.sets(st.integers(0, sum(lengths) - 1), min_size=1))))
    some = attend(x[:, 1:], layout_of(lengths, read, unseen), None, x[:, 0].index_select(0, read))
    torch.testing.assert_close(some, expected[read])
    query, key, value = x.unbind(1)
    other_devices = attention_by_sequence(query, layout.seen(key), layout.seen(value), layout.borders, 0.0)
    torch.testing.assert_close(other_devices, expected)


def test_dropout_of_probabilities_is_the_mask_that_is_drawn() -> None:
    lengths = [40, 7]
    batch = batch_of(lengths)
    x = projected(47).requires_grad_()
    dropped = at(Dropout.of(batch, 5), 1, 0.3)
    assert dropped is not None
    keep = dropped.keep(HEADS, 64)
    assert keep is not None
    kept = keep.group_mask(torch.arange(47)[None], 64)[0]  # [heads, rows, keys]
    expected, first = torch.empty(47, HEADS, SIZE), 0
    for length in lengths:
        part = slice(first, first + length)
        for head in range(HEADS):
            q, k, v = x[part, :, head].unbind(1)
            p = torch.softmax(q @ k.T / SIZE**0.5, -1) * kept[head, part, :length] * keep.scale
            expected[part, head] = p @ v
        first += length
    ours = attend(x, layout_of(lengths), dropped)
    torch.testing.assert_close(ours, expected)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    (mine,) = torch.autograd.grad((ours * weights).sum(), x)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), x)
    torch.testing.assert_close(mine, theirs)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=9), st.integers(0, 3))
def test_a_causal_row_sees_nothing_ahead(lengths: list[int], seed: int) -> None:
    """By the definition, and on the way of other devices; gradients too."""
    x = projected(sum(lengths), seed).requires_grad_()
    other = x.detach().clone().requires_grad_()
    starts = torch.tensor(ragged.starts(lengths), dtype=torch.int32)
    layout = Layout.of(starts, np.array(lengths, np.int64), HEADS, causal=True)
    ours = attend(x, layout, None)
    expected = attention_by_sequence(*other.unbind(1), layout.borders, 0.0)
    torch.testing.assert_close(ours, expected)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(seed + 1))
    (ours * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(x.grad, other.grad)
    place = seed % sum(lengths)
    (slope,) = torch.autograd.grad(attend(x, layout, None)[place].sum(), x)
    first = max(start for start in ragged.starts(lengths)[:-1] if start <= place)
    assert not slope[place + 1 :].any()
    assert not slope[:first].any()
    assert slope[first : place + 1, 2].any()


@pytest.mark.parametrize("size", [1.0, 30.0, 3000.0])
@pytest.mark.parametrize("shift", [0.0, -40.0, 40.0])
def test_a_model_that_is_only_used_gets_the_same_from_scores_of_any_size(size: float, shift: float) -> None:
    lengths = [3, 40, 5, 31, 64, 70, 1]
    x = projected(sum(lengths)) * size**0.5
    x[:, 0, 0, 0], x[:, 1, 0, 0] = shift, abs(shift)  # all scores of the first head far from zero
    with torch.no_grad():
        used = attend(x, layout_of(lengths), None)
    trained = attend(x.requires_grad_(), layout_of(lengths), None).detach()
    assert torch.isfinite(used).all()
    rtol, atol = 2e-5 * max(1, size / 100), 2e-5 * size**0.5
    torch.testing.assert_close(used[:, 1:], trained[:, 1:], rtol=rtol, atol=atol)
    # Scores of the first head are up to shift^2; float32 knows them, and with them the result, that much less exactly.
    known = 2**-23 * shift**2
    torch.testing.assert_close(used[:, 0], trained[:, 0], rtol=max(rtol, known), atol=max(atol, known * size**0.5))


@pytest.mark.parametrize("by_products", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_bf16_is_attended_to_by_either_way(monkeypatch: pytest.MonkeyPatch, by_products: bool, in_place: bool) -> None:
    monkeypatch.setattr(grouped_attention, "prefers_onednn", lambda: by_products)
    lengths, unseen, some = [150, 150, 3], [20, 20, 0], torch.tensor([0, 7, 149, 150, 301])
    x = projected(sum(lengths)).bfloat16()
    starts = torch.tensor(ragged.starts(lengths), dtype=torch.int32)
    sizes, hidden = np.array(lengths, np.int64), np.array(unseen, np.int64)
    with torch.no_grad():
        found = attend(x, Layout.of(starts, sizes, HEADS, None, hidden, in_place=in_place), None)
        layout = Layout.of(starts, sizes, HEADS, some, hidden, in_place=in_place)
        asked = attend(x[:, 1:], layout, None, x[:, 0].index_select(0, some))
    expected = plain(x.float(), lengths, unseen)
    torch.testing.assert_close(found.float(), expected, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(asked.float(), expected[some], rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("by_products", [False, True])
def test_bf16_of_a_sequence_has_the_same_bits_beside_others(monkeypatch: pytest.MonkeyPatch, by_products: bool) -> None:
    monkeypatch.setattr(grouped_attention, "prefers_onednn", lambda: by_products)
    lengths = [33, 64, 40, 7, 60, 64, 32, 33]
    x = projected(sum(lengths)).bfloat16()
    with torch.no_grad():
        together = attend(x, layout_of(lengths), None)
        for first, length in zip(ragged.starts(lengths)[:-1], lengths, strict=True):
            rows = slice(first, first + length)
            assert torch.equal(attend(x[rows], layout_of([length]), None), together[rows])


@pytest.mark.parametrize("trained", [False, True])
def test_no_sequence_has_no_rows(trained: bool) -> None:
    with torch.set_grad_enabled(trained):
        assert attend(projected(0), layout_of([]), None).shape == projected(0)[:, 0].shape


def test_large_scores_of_a_sequence_change_no_other() -> None:
    lengths = [33, 64, 40, 60]
    x = projected(sum(lengths))
    with torch.no_grad():
        before = attend(x, layout_of(lengths), None)
        x[33:97] *= 100
        after = attend(x, layout_of(lengths), None)
    assert torch.equal(before[:33], after[:33])
    assert torch.equal(before[97:], after[97:])


@pytest.mark.parametrize(
    ("lengths", "groups"), [([33, 1], 1), ([40, 60, 2], 1), ([128, 32], 1), ([70, 10, 2], 2), ([256, 32], 2)]
)
def test_filler_joins_a_group_beside_few_tokens(lengths: list[int], groups: int) -> None:
    starts = torch.tensor(ragged.starts(lengths), dtype=torch.int32)
    joined = Layout.of(starts, np.array(lengths, np.int64), HEADS, filler=True)
    assert len(joined.groups) == groups
    x = projected(sum(lengths))
    with torch.no_grad():
        found, expected = attend(x, joined, None), attend(x, layout_of(lengths), None)
    assert torch.equal(found[: -lengths[-1]], expected[: -lengths[-1]])


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9), st.integers(1, 3)), min_size=1, max_size=5),
    st.integers(0, 5),
    st.data(),
)
def test_sequences_that_lie_where_they_are(runs: list[tuple[int, int, int]], filler: int, data: st.DataObject) -> None:
    """Equal ones one after the other, padding that no row looks at, filler, and rows that ask."""
    unseen = [last for _, last, times in runs for _ in range(times)] + [0] * (filler > 0)
    lengths = [seen + last for seen, last, times in runs for _ in range(times)] + [filler] * (filler > 0)
    real, x = sum(lengths) - filler, projected(sum(lengths))
    starts = torch.tensor(ragged.starts(lengths), dtype=torch.int32)

    def lying(read: torch.Tensor | None) -> Layout:
        hidden = np.array(unseen, np.int64) if any(unseen) else None
        sizes = np.array(lengths, np.int64)
        return Layout.of(starts, sizes, HEADS, read, hidden, filler=filler > 0, in_place=True)

    some = torch.tensor(sorted(data.draw(st.sets(st.integers(0, sum(lengths) - 1), min_size=1))))
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention_layout, "_FEW_GROUPS", 99)
        whole, of_some = lying(None), lying(some)
        found = attend(x, whole, None)
        asked = attend(x[:, 1:], of_some, None, x[:, 0].index_select(0, some))
    assert all(group.padding is None for group in (*whole.groups, *of_some.groups))
    expected = plain(x, lengths, unseen)
    torch.testing.assert_close(found[:real], expected[:real])
    torch.testing.assert_close(asked[some < real], expected[some[some < real]])


@pytest.mark.parametrize(
    ("lengths", "filler", "groups", "in_place"),
    [
        ([33, 1], True, 1, True),
        ([33, 20, 3], True, 2, True),
        ([33, 20, 21, 6], True, 2, False),
        ([48] * 30, False, 1, True),
        ([48] * 30 + [32], True, 2, True),
        ([7], False, 1, True),
    ],
)
def test_few_groups_lie_where_they_are(lengths: list[int], filler: bool, groups: int, in_place: bool) -> None:
    starts = torch.tensor(ragged.starts(lengths), dtype=torch.int32)
    layout = Layout.of(starts, np.array(lengths, np.int64), HEADS, filler=filler, in_place=True)
    assert len(layout.groups) == groups
    assert layout.keys is not None
    assert (layout.keys.row_of_padded is None) == in_place
