"""Attention on CPU, group by group of sequences.

Training computes two batched products with a softmax between them, whose result the backward pass reads. A model that
is only used takes torch's attention in blocks: in one call a group, without copies by head. On two cores of an Intel
Xeon with AMX, 12 heads of 32, it takes 163 instead of 315 microseconds in bf16 for one sequence of 128 tokens, 302
instead of 348 in float32. It multiplies by MKL, which is slow in bf16 on AMD processors: there two products by oneDNN
take 163 instead of 267 microseconds. (In float32 single calls are sooner by products, too, but whole passes are not.)

Shapes: T packed tokens, R query rows, P padded rows, A heads, D head size; in a group n sequences of Q query rows and K
key rows, padding included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from bertworks.model.attention_layout import Group, Layout
from bertworks.model.dropout import Keep, masked
from bertworks.model.padded_groups import UNMOVED, PaddedGroups
from bertworks.model.processor import prefers_onednn

# Keys of a group of few texts, as they lie, up to which products are no sooner on AMD processors, either.
_SHORT = 128


def grouped_attention(projected: Tensor, query: Tensor | None, layout: Layout, keep: Keep | None) -> Tensor:
    """Compute `attention.attend` on CPU; `keep` draws the dropout of the probabilities."""
    if keep is None and not torch.is_grad_enabled():
        return _without_gradients(projected, query, layout)
    return _Grouped.apply(projected, query, layout, keep)  # type: ignore[no-any-return, no-untyped-call]


def _parts(group: Group, padded: Tensor, queries: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a group's queries [n * Q, A, D], keys and values [n * K, A, D] of padded rows and query rows."""
    return queries[group.queries], padded[group.keys, -2], padded[group.keys, -1]


def _probabilities(q: Tensor, k: Tensor, group: Group) -> Tensor:
    """Return softmax(q k^T / sqrt(D)) [n * A, Q, K]; 0 at keys that are not seen."""
    scores = q.new_empty(q.shape[0], q.shape[1], k.shape[1])
    torch.baddbmm(scores, q, k.transpose(1, 2), beta=0, alpha=1 / math.sqrt(q.shape[-1]), out=scores)
    if group.padding is not None:
        by_sequence = scores.view(group.sequences, len(q) // group.sequences, *scores.shape[1:])
        by_sequence.add_(group.padding.to(scores.dtype))
    return torch.softmax(scores, -1, out=scores)


def _padded(projected: Tensor, query: Tensor | None, layout: Layout) -> tuple[Tensor, Tensor]:
    """Return padded rows [P, 2 or 3, A, D] and query rows [P, A, D]."""
    assert layout.queries is not None
    assert layout.keys is not None
    padded = layout.keys.pad(projected)
    return padded, padded[:, 0] if query is None else layout.queries.pad(query)


def _without_gradients(projected: Tensor, query: Tensor | None, layout: Layout) -> Tensor:
    padded, queries = _padded(projected, query, layout)
    attended = []
    for group in layout.groups:
        parts = _parts(group, padded, queries)
        is_short = layout.queries is UNMOVED and len(parts[1]) <= _SHORT
        by_products = queries.dtype == torch.bfloat16 and prefers_onednn() and not is_short
        attended.append(_by_products(group, *parts) if by_products else _in_blocks(group, *parts))
    assert layout.queries is not None
    # Without sequences there is no group, and no row.
    return layout.queries.unpad(attended[0] if len(attended) == 1 else torch.cat([queries[:0], *attended]))


def _by_products(group: Group, *parts: Tensor) -> Tensor:
    """Attend in a group, from its queries [n * Q, A, D], keys and values [n * K, A, D] to [n * Q, A, D]."""
    by_head = _ByHead(group.sequences, *parts[0].shape[1:])
    q, k, v = (by_head(part) for part in parts)
    return by_head.back(torch.bmm(_probabilities(q, k, group), v)).flatten(0, 1)


def _in_blocks(group: Group, *parts: Tensor) -> Tensor:
    """Compute `_by_products` block by block."""
    q, k, v = (
        part.view(group.sequences, len(part) // group.sequences, *part.shape[1:]).transpose(1, 2) for part in parts
    )
    seen = None if group.padding is None else group.padding.to(q.dtype)
    return scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).flatten(0, 1)


class _Grouped(Function):
    """Attention that is trained.

    Saved for the backward pass are queries, keys and values by head and the probabilities before dropout. The dropout
    mask is drawn again.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, query: Tensor | None, layout: Layout, keep: Keep | None) -> Tensor:
        padded, queries = _padded(projected, query, layout)
        result = queries.new_empty(queries.shape)
        assert layout.queries is not None
        saved = []
        for group in layout.groups:
            by_head = _ByHead(group.sequences, *queries.shape[1:])
            q, k, v = (by_head(part) for part in _parts(group, padded, queries))
            probabilities = _probabilities(q, k, group)
            saved += [q, k, v, probabilities]
            if keep is not None:
                probabilities = masked(probabilities, _mask(keep, layout.queries, group, probabilities))
            attended = torch.bmm(probabilities, v)
            by_head.put(attended if keep is None else attended.mul_(keep.scale), result[group.queries])
        ctx.save_for_backward(*saved)
        ctx.layout, ctx.keep, ctx.shape, ctx.separate = layout, keep, padded.shape, query is not None
        return layout.queries.unpad(result)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        layout: Layout = ctx.layout
        keep: Keep | None = ctx.keep
        assert layout.queries is not None
        assert layout.keys is not None
        *_, heads, size = ctx.shape
        to_result = layout.queries.pad_with_zeros(gradient)
        to_padded = gradient.new_empty(ctx.shape)
        to_queries = torch.empty_like(to_result) if ctx.separate else to_padded[:, 0]
        saved = ctx.saved_tensors  # once: under gradient checkpointing each access computes the block again
        for number, group in enumerate(layout.groups):
            by_head = _ByHead(group.sequences, heads, size)
            q, k, v, probabilities = saved[4 * number : 4 * number + 4]
            g = by_head(to_result[group.queries])
            if keep is None:
                dropped, slope = probabilities, torch.bmm(g, v.transpose(1, 2))
            else:
                g = g * keep.scale
                mask = _mask(keep, layout.queries, group, probabilities)
                dropped, slope = masked(probabilities, mask), masked(torch.bmm(g, v.transpose(1, 2)), mask)
            by_head.put(torch.bmm(dropped.transpose(1, 2), g), to_padded[group.keys, -1])
            slope = torch._softmax_backward_data(slope, probabilities, -1, slope.dtype)
            scale = 1 / math.sqrt(size)
            by_head.put(torch.bmm(slope, k).mul_(scale), to_queries[group.queries])
            by_head.put(torch.bmm(slope.transpose(1, 2), q).mul_(scale), to_padded[group.keys, -2])
        to_query = layout.queries.unpad(to_queries) if ctx.separate else None
        return layout.keys.unpad(to_padded), to_query, None, None


@dataclass(frozen=True)
class _ByHead:
    """Converts a group's padded rows [n * S, A, D] to the input of batched products [n * A, S, D].

    `back` gives rows [n, S, A, D], `put` copies them into the group's.
    """

    sequences: int
    heads: int
    size: int

    def __call__(self, x: Tensor) -> Tensor:
        x = x.view(self.sequences, -1, self.heads, self.size).transpose(1, 2)
        return x.reshape(self.sequences * self.heads, -1, self.size)

    def back(self, x: Tensor) -> Tensor:
        return x.view(self.sequences, self.heads, -1, self.size).transpose(1, 2)

    def put(self, x: Tensor, into: Tensor) -> None:
        into.view(self.sequences, -1, self.heads, self.size).copy_(self.back(x))


def _mask(keep: Keep, queries: PaddedGroups, group: Group, like: Tensor) -> Tensor:
    """Return the group's dropout mask in the shape of its probabilities [n * A, Q, K]."""
    padded, of = group.queries, queries.row_of_padded
    rows = torch.arange(padded.start, padded.stop) if of is None else of[padded]
    return keep.group_mask(rows.view(group.sequences, -1), like.shape[2]).view(like.shape)
