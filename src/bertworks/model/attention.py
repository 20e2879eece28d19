"""attend(): attention inside each sequence. The rest of the network works on flat tokens.

On a GPU attention is one kernel over all sequences (`fused_attention.py`). On CPU there is no such kernel, and the
library's fused attention is slower than batched products. So sequences are sorted into groups of equal padded length,
and a group is computed with two batched products and a softmax. The padded length is a multiple of 32, so the result
for a sequence does not depend on its neighbours. Padding exists only inside a group.

Shapes: T packed tokens, R query rows, B sequences, A heads, D head size; in a group n sequences of Q query rows and K
key rows, padding included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from bertworks import ragged
from bertworks.data.batch import to_device
from bertworks.model.dropout import Dropped, Keep, masked
from bertworks.model.fused_attention import Borders, fused_attention
from bertworks.model.padded_groups import PaddedGroups

# Lengths inside a group are rounded up to a multiple of this, the width of the processors' matrix tiles.
_TILE = 32
# A group has at most about so many attention probabilities, which fit the second-level caches.
GROUP_VALUES = 1 << 20


_Length = TypeVar("_Length", int, NDArray[np.int64])


def padded_length(length: _Length) -> _Length:
    """Return the length rounded up to whole tiles."""
    return -(-length // _TILE) * _TILE


@dataclass(frozen=True)
class Group:
    """Sequences that are computed together.

    Attributes:
        sequences: n.
        queries, keys: their padded rows.
        padding: [n, 1, 1 or Q, K] 0 at keys that are seen and -inf at others; None where every key is seen.
    """

    sequences: int
    queries: slice
    keys: slice
    padding: Tensor | None


@dataclass(frozen=True)
class Layout:
    """Where the sequences of a batch begin, and their groups on CPU. Made once per forward pass.

    Attributes:
        query_starts, key_starts: [B+1] int32 on the device.
        longest: the length of the longest sequence, on the host.
        key_rows: int64 on the device; the rows that are seen, which `key_starts` counts. None: all.
        queries, keys, groups: on CPU only.
        causal: whether a row sees only itself and the rows before it.
    """

    query_starts: Tensor
    key_starts: Tensor
    longest: int
    key_rows: Tensor | None = None
    queries: PaddedGroups | None = None
    keys: PaddedGroups | None = None
    groups: tuple[Group, ...] = ()
    causal: bool = False

    @classmethod
    def of(
        cls,
        starts: Tensor,
        lengths: NDArray[np.int64],
        heads: int,
        read: Tensor | None = None,
        unseen: NDArray[np.int64] | None = None,
        causal: bool = False,
    ) -> Layout:
        """Return the layout of a batch.

        Args:
            starts: [B+1] int32.
            lengths: [B].
            heads: A.
            read: the query rows, ascending; None for all.
            unseen: [B]; this number of each sequence's last rows are no keys, fewer than its length. None for 0.
            causal: whether no row sees those after it; only where all rows are query rows and keys.
        """
        assert not causal or (read is None and unseen is None)
        query_starts = starts if read is None else torch.searchsorted(read, starts.long()).int()
        longest = int(lengths.max(initial=0))
        key_starts, key_rows, seen = starts, None, lengths
        if unseen is not None:
            seen = lengths - unseen
            key_starts = to_device(torch.from_numpy(ragged.starts(seen).astype(np.int32)), starts.device)
            key_rows = to_device(torch.from_numpy(ragged.runs(ragged.starts(lengths)[:-1], seen)), starts.device)
        if starts.device.type != "cpu":
            return cls(query_starts, key_starts, longest, key_rows, causal=causal)
        query_lengths = np.diff(query_starts.numpy()).astype(np.int64)
        padded = padded_length(lengths)
        # The longest come first, so that rows stay where they are if full sequences are followed by a little filler.
        order = np.argsort(-padded, kind="stable")
        padded = padded[order]
        padded_queries = padded.copy()
        groups, first, query, key = [], 0, 0, 0
        while first < len(order):
            keys = int(padded[first])
            same = int(np.searchsorted(-padded, -keys, side="right")) - first
            n = min(same, max(1, GROUP_VALUES // (heads * keys * keys)))
            members = order[first : first + n]
            queries = keys if read is None else padded_length(int(query_lengths[members].max()))
            padding = None
            if (seen[members] < keys).any():
                hidden = np.where(np.arange(keys) < seen[members, None], np.float32(0), np.float32(-np.inf))
                padding = torch.from_numpy(hidden)[:, None, None]
            if causal:
                later = torch.full((keys, keys), -math.inf).triu_(1)
                padding = later[None, None] if padding is None else padding + later
            groups.append(Group(n, slice(query, query + n * queries), slice(key, key + n * keys), padding))
            padded_queries[first : first + n] = queries
            query, key, first = query + n * queries, key + n * keys, first + n
        return cls(
            query_starts,
            key_starts,
            longest,
            key_rows,
            PaddedGroups.of(query_lengths, order, padded_queries),
            PaddedGroups.of(lengths, order, padded),
            tuple(groups),
            causal,
        )

    @property
    def borders(self) -> Borders:
        """Where the sequences begin, for `fused_attention`."""
        return Borders(self.query_starts, self.key_starts, self.longest, self.causal)

    def seen(self, x: Tensor) -> Tensor:
        """Return the rows of x [T, ...] that are seen."""
        return x if self.key_rows is None else x.index_select(0, self.key_rows)


def attend(projected: Tensor, layout: Layout, dropped: Dropped | None, query: Tensor | None = None) -> Tensor:
    """Compute softmax(query key^T / sqrt(D)) value inside each sequence, with dropout on the softmax.

    Args:
        projected: [T, 3, A, D] query, key and value of every row; where `query` is given, [T, 2, A, D] key and value.
        dropped: the dropout of the probabilities; on CPU its rows are the query rows.
        query: [R, A, D], where only some rows are query rows.

    Returns:
        [T, A, D], or [R, A, D].
    """
    *_, heads, _ = projected.shape
    if projected.device.type == "cpu":
        keep = None if dropped is None else dropped.keep(heads, padded_length(layout.longest))
        return _Grouped.apply(projected, query, layout, keep)  # type: ignore[no-any-return, no-untyped-call]
    *first, key, value = projected.unbind(1)
    rate = 0.0 if dropped is None else dropped.rate
    query = first[0] if query is None else query
    return fused_attention(query, layout.seen(key), layout.seen(value), layout.borders, rate)


class _Grouped(Function):
    """Attention on CPU, group by group.

    Saved for the backward pass are queries, keys and values by head and the probabilities before dropout. The dropout
    mask is drawn again.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, query: Tensor | None, layout: Layout, keep: Keep | None) -> Tensor:
        assert layout.queries is not None
        assert layout.keys is not None
        *_, heads, size = projected.shape
        padded = layout.keys.pad(projected)
        queries = padded[:, 0] if query is None else layout.queries.pad(query)
        result = queries.new_empty(queries.shape)
        saved = []
        for group in layout.groups:
            by_head = _ByHead(group.sequences, heads, size)
            rows = (queries[group.queries], padded[group.keys, -2], padded[group.keys, -1])
            q, k, v = (by_head(x) for x in rows)
            scores = q.new_empty(q.shape[0], q.shape[1], k.shape[1])
            torch.baddbmm(scores, q, k.transpose(1, 2), beta=0, alpha=1 / math.sqrt(size), out=scores)
            if group.padding is not None:
                scores.view(group.sequences, heads, *scores.shape[1:]).add_(group.padding.to(scores.dtype))
            probabilities = torch.softmax(scores, -1, out=scores)
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
    """Converts between a group's padded rows [n * S, A, D] and the input of batched products [n * A, S, D]."""

    sequences: int
    heads: int
    size: int

    def __call__(self, x: Tensor) -> Tensor:
        x = x.view(self.sequences, -1, self.heads, self.size).transpose(1, 2)
        return x.reshape(self.sequences * self.heads, -1, self.size)

    def put(self, x: Tensor, into: Tensor) -> None:
        x = x.view(self.sequences, self.heads, -1, self.size).transpose(1, 2)
        into.view(self.sequences, -1, self.heads, self.size).copy_(x)


def _mask(keep: Keep, queries: PaddedGroups, group: Group, like: Tensor) -> Tensor:
    """Return the group's dropout mask in the shape of its probabilities [n * A, Q, K]."""
    padded, of = group.queries, queries.row_of_padded
    rows = torch.arange(padded.start, padded.stop) if of is None else of[padded]
    return keep.group_mask(rows.view(group.sequences, -1), like.shape[2]).view(like.shape)
