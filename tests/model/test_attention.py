"""Attention: every sequence sees itself and nothing else, whatever the grouping."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks import ragged
from bertworks.model import attention
from bertworks.model.attention import Layout, attend
from bertworks.model.dropout import Dropout, at
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
    monkeypatch.setattr(attention, "GROUP_VALUES", 1)
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
    other_devices = attention.attention_by_sequence(query, layout.seen(key), layout.seen(value), layout, 0.0)
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


def test_the_fallback_for_other_devices_computes_the_same() -> None:
    lengths = [5, 33, 1]
    x = projected(39)
    query, key, value = x.unbind(1)
    ours = attention.attention_by_sequence(query, key, value, layout_of(lengths), 0.0)
    torch.testing.assert_close(ours, plain(x, lengths))


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_the_kernel_for_gpus_is_given_borders_and_rate(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which operator is called with what; the operators themselves need a GPU."""
    from torch.nn.attention import varlen

    lengths, calls = [5, 33], []

    def public(*arguments: object) -> torch.Tensor:
        calls.append(("public", arguments[3:]))
        return projected(38)[:, 0]

    def private(*arguments: object) -> tuple[torch.Tensor]:
        calls.append(("private", arguments[3:]))
        return (projected(38)[:, 0],)

    monkeypatch.setattr(varlen, "varlen_attn", public)
    monkeypatch.setattr(attention, "flash_with_dropout", lambda: private)
    layout = layout_of(lengths)
    attention.varlen_attention(*projected(38).unbind(1), layout, rate)
    ((which, arguments),) = calls
    assert which == ("private" if rate else "public")
    assert arguments[0].tolist() == arguments[1].tolist() == [0, 5, 38]
    assert arguments[2:4] == (33, 33)
    assert arguments[4:5] == ((rate,) if rate else ())


def readable(lengths: list[int], size: int) -> torch.Tensor:
    """Queries, keys and values [T, 3, A, size]; values are unit vectors, so the output is the probabilities."""
    x = torch.randn(sum(lengths), 3, HEADS, size, generator=torch.Generator().manual_seed(0))
    x[:, 2] = torch.eye(size)[ragged.within(lengths), None]
    return x


def assert_dropped(drawn: torch.Tensor, expected: torch.Tensor, rate: float, tolerance: float) -> None:
    """Probabilities [draws, ...] after dropout: the share of zeros is the rate, the others grow, and the mean stays."""
    present = expected > 0
    zeroed = (drawn == 0)[:, present]
    assert abs(zeroed.float().mean() - rate) < 5 * (rate * (1 - rate) / zeroed.numel()) ** 0.5
    kept = torch.where(drawn == 0, 0.0, expected / (1 - rate))
    torch.testing.assert_close(drawn, kept, atol=tolerance, rtol=tolerance)
    deviation = float(expected.square().sum() * rate / (1 - rate) / len(drawn)) ** 0.5
    assert abs(drawn.sum() / len(drawn) - expected.sum()) < 5 * deviation


def test_without_the_private_operator_dropout_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "flash_with_dropout", lambda: None)
    lengths = [5, 33]
    x, layout = readable(lengths, 33), layout_of(lengths)
    torch.manual_seed(0)
    draws = [attention.varlen_attention(*x.unbind(1), layout, 0.3) for _ in range(50)]
    assert_dropped(torch.stack(draws), attend(x, layout, None), 0.3, 1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 0.03)])
def test_on_cuda(dtype: torch.dtype, tolerance: float) -> None:
    lengths = [5, 70, 128, 1]
    starts = torch.tensor(ragged.starts(lengths), dtype=torch.int32)
    x = torch.randn(sum(lengths), 3, HEADS, 64)
    for unseen in (None, np.array([4, 0, 100, 0])):
        host, cuda = (Layout.of(s, np.array(lengths), HEADS, None, unseen) for s in (starts, starts.cuda()))
        expected, ours = attend(x, host, None), attend(x.cuda().to(dtype), cuda, None)
        torch.testing.assert_close(ours.float().cpu(), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 0.03)])
def test_dropout_on_cuda(dtype: torch.dtype, tolerance: float) -> None:
    """Also in the backward pass: the gradient of a value is the sum of the probabilities that it is given."""
    lengths = [40, 64]
    host = layout_of(lengths)
    layout = Layout.of(host.query_starts.cuda(), np.array(lengths), HEADS)
    rate = 0.25  # exact in 8 bits, as many as the kernel compares
    dropped = at(Dropout.of(batch_of(lengths), 1), 1, rate)
    x = readable(lengths, 64)
    expected = attend(x, host, None)
    torch.manual_seed(0)
    draws = []
    for _ in range(50):
        on_cuda = x.cuda().to(dtype).requires_grad_()
        probabilities = attend(on_cuda, layout, dropped)
        probabilities.sum().backward()
        draws.append(probabilities.detach().float().cpu())
        given = torch.cat([part.sum(0).T[: len(part)] for part in draws[-1].split(lengths)])  # [T, heads]
        to_value = on_cuda.grad[:, 2].float().cpu()  # [T, heads, size]
        torch.testing.assert_close(to_value, given[..., None].expand_as(to_value), atol=tolerance, rtol=tolerance)
    assert_dropped(torch.stack(draws), expected, rate, tolerance)
