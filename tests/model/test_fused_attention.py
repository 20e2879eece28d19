"""Attention as a GPU computes it: which operator is called with what; on a GPU also what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.attention import varlen

from bertworks import ragged
from bertworks.model import fused_attention
from bertworks.model.attention import attend
from bertworks.model.attention_layout import Layout
from bertworks.model.dropout import Dropout, at
from bertworks.model.fused_attention import Borders, attention_by_sequence, memory_efficient
from tests.model.conftest import batch_of
from tests.model.test_attention import HEADS, layout_of, plain, projected


def test_the_fallback_for_other_devices_computes_the_same() -> None:
    lengths = [5, 33, 1]
    x = projected(39)
    query, key, value = x.unbind(1)
    ours = attention_by_sequence(query, key, value, layout_of(lengths).borders, 0.0)
    torch.testing.assert_close(ours, plain(x, lengths))


def kernel(calls: list[str], name: str, rate: float) -> Callable[..., Any]:
    """Stands in for an operator of the GPU: checks what it is given, and computes by the definition without dropout."""

    def compute(query: Any, key: Any, value: Any, *arguments: Any, scale: float | None = None) -> Any:
        calls.append(name)
        is_efficient = name == "_efficient_attention_forward"
        if is_efficient:
            query, key, value = query[0], key[0], value[0]
            assert arguments[0] is None
            arguments = arguments[1:]
        queries, keys, most_queries, most_keys, *rest = arguments
        assert query.shape[-1] % 8 == 0
        assert queries.dtype == keys.dtype == torch.int32
        assert most_queries == most_keys == 33
        assert rest == {"varlen_attn": [], "_flash_attention_forward": [rate, False, False]}.get(name, [rate, 0, True])
        found = attention_by_sequence(query.float(), key.float(), value.float(), Borders(queries, keys, 33), 0.0, scale)
        found = found.to(query.dtype)
        return found if name == "varlen_attn" else (found[None] if is_efficient else found,)

    return compute


@pytest.mark.parametrize("size", [4, 8, 26])
@pytest.mark.parametrize("rate", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("some_rows", [False, True])
def test_kernels_get_all_sequences_at_once(
    size: int, rate: float, dtype: torch.dtype, some_rows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operators themselves need a GPU; what they are given is checked by computing it."""
    lengths, calls = [5, 33, 1], []
    names = ("_flash_attention_forward", "_efficient_attention_forward")
    kernels = {name: kernel(calls, name, rate) for name in names}
    monkeypatch.setattr(varlen, "varlen_attn", kernel(calls, "varlen_attn", rate))
    monkeypatch.setattr(fused_attention, "private_operator", kernels.get)
    read = torch.tensor([0, 4, 5, 20, 38]) if some_rows else torch.arange(39)
    layout = layout_of(lengths, read)
    x = torch.randn(39, 3, HEADS, size, generator=torch.Generator().manual_seed(0)).to(dtype)
    query, key, value = x[read, 0], layout.seen(x[:, 1]), layout.seen(x[:, 2])
    # On CPU, float32 goes one sequence at a time; here it takes the way of CUDA.
    monkeypatch.setattr(fused_attention, "attention_by_sequence", memory_efficient)
    found = fused_attention.fused_attention(query, key, value, layout.borders, rate)
    expected = attend(x.float(), layout_of(lengths), None)[read]
    assert found.shape == expected.shape
    torch.testing.assert_close(found.float(), expected, atol=0.02 if dtype == torch.bfloat16 else 1e-5, rtol=1e-2)
    assert calls == [names[1] if dtype == torch.float32 else names[0] if rate else "varlen_attn"]


def test_a_batch_without_sequences_reaches_no_kernel() -> None:
    layout = layout_of([])
    x = torch.zeros(0, 3, HEADS, 8, dtype=torch.bfloat16, requires_grad=True)
    query, key, value = x.unbind(1)
    found = fused_attention.fused_attention(query, key, value, layout.borders, 0.1)
    found.sum().backward()
    assert found.shape == (0, HEADS, 8)
    assert x.grad is not None


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
    monkeypatch.setattr(fused_attention, "private_operator", lambda _: None)
    lengths = [5, 33]
    x, layout = readable(lengths, 33), layout_of(lengths)
    torch.manual_seed(0)
    draws = [memory_efficient(*x.unbind(1), layout.borders, 0.3, None) for _ in range(50)]
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kernels_are_told_of_a_causal_batch(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dropout too, where `varlen_attn` would take other arguments in every version."""
    told = {}

    def note(name: str) -> Callable[..., Any]:
        def compute(query: Any, *rest: Any, scale: float | None = None) -> Any:
            told[name] = rest[-3:]
            return (query,)

        return compute

    monkeypatch.setattr(fused_attention, "private_operator", note)
    monkeypatch.setattr(fused_attention, "attention_by_sequence", memory_efficient)
    x = torch.zeros(38, 3, HEADS, 8, dtype=dtype)
    borders = layout_of([5, 33]).borders._replace(causal=True)
    fused_attention.fused_attention(*x.unbind(1), borders, 0.0)
    flash = {"_flash_attention_forward": (0.0, True, False)}
    assert told == ({"_efficient_attention_forward": (0.0, 1, True)} if dtype == torch.float32 else flash)
