"""attend(): the one function that knows where sequences begin and end.

Everything else works on flat tokens. On a GPU attention is one kernel over all sequences. On CPU no such kernel exists
and the library's fused attention is slower than batched products, so sequences are taken in groups of equal padded
length (a multiple of 32, so what a sequence is computed with does not depend on its neighbours) and each group is three
products and a softmax. Padding exists only inside a group.

Shapes: T packed tokens, R query rows, B sequences, A heads, D head size; in a group n sequences of Q query and K key
slots, padding included.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from bertworks.model.dropout import Dropped, Keep, masked
from bertworks.model.slots import Slots
from bertworks.ragged import within

# Lengths inside a group are rounded up to a multiple of this: the width of the processors' matrix tiles.
_TILE = 32
# A group has at most about so many attention probabilities: what the second-level caches hold.
_GROUP_VALUES = 1 << 20


@overload
def _padded(length: int) -> int: ...
@overload
def _padded(length: NDArray[np.int64]) -> NDArray[np.int64]: ...
def _padded(length: Any) -> Any:
    """The next multiple of the tile."""
    return -(-length // _TILE) * _TILE


@dataclass(frozen=True)
class Group:
    """Sequences computed together: n of them, their query and key slots, and what hides padded keys.

    Attributes:
        padding: [n, 1, 1, keys] 0 at keys that are seen and -inf at others; None where every key is seen.
    """

    sequences: int
    query_slots: slice
    key_slots: slice
    padding: Tensor | None


@dataclass(frozen=True)
class Layout:
    """How `attend` takes a batch: borders for a GPU, groups for a CPU. Made once per forward pass.

    Attributes:
        query_starts, key_starts: [B+1] int32 on the device.
        longest: the longest sequence; on the host.
        key_rows: [K] int64 on the device; the rows that are seen, which `key_starts` counts. None: all.
        queries, keys, groups: on CPU only.
    """

    query_starts: Tensor
    key_starts: Tensor
    longest: int
    key_rows: Tensor | None = None
    queries: Slots | None = None
    keys: Slots | None = None
    groups: tuple[Group, ...] = ()

    @classmethod
    def of(
        cls,
        starts: Tensor,
        lengths: NDArray[np.int64],
        heads: int,
        read: Tensor | None = None,
        unseen: NDArray[np.int64] | None = None,
    ) -> Layout:
        """The layout of sequences.

        Args:
            starts: [B+1] int32.
            lengths: [B].
            heads: A.
            read: the rows that ask, ascending; None for all.
            unseen: [B]; so many of each sequence's last rows are no keys, less than its length. None for 0.
        """
        query_starts = starts if read is None else torch.searchsorted(read, starts.long()).int()
        longest = int(lengths.max(initial=0))
        key_starts, key_rows, seen = starts, None, lengths
        if unseen is not None:
            seen = lengths - unseen
            key_starts = _sent(np.cumsum(np.append(0, seen), dtype=np.int32), starts.device)
            key_rows = _sent(np.flatnonzero(within(lengths) < np.repeat(seen, lengths)), starts.device)
        if starts.device.type != "cpu":
            return cls(query_starts, key_starts, longest, key_rows)
        query_lengths = np.diff(query_starts.numpy()).astype(np.int64)
        room = _padded(lengths)
        order = np.argsort(room, kind="stable")
        groups, query_room, query_slot, key_slot = [], np.zeros(len(order), np.int64), 0, 0
        first = 0
        while first < len(order):
            keys = int(room[order[first]])
            same = int(np.searchsorted(room[order], keys, side="right")) - first
            n = min(same, max(1, _GROUP_VALUES // (heads * keys * keys)))
            members = order[first : first + n]
            queries = keys if read is None else _padded(int(query_lengths[members].max()))
            hides = bool((seen[members] < keys).any())
            hidden = np.where(np.arange(keys) < seen[members, None], np.float32(0), np.float32(-np.inf))
            groups.append(
                Group(
                    n,
                    slice(query_slot, query_slot + n * queries),
                    slice(key_slot, key_slot + n * keys),
                    torch.from_numpy(hidden)[:, None, None] if hides else None,
                )
            )
            query_room[first : first + n] = queries
            query_slot, key_slot, first = query_slot + n * queries, key_slot + n * keys, first + n
        return cls(
            query_starts,
            key_starts,
            longest,
            key_rows,
            Slots.of(query_lengths, order, query_room),
            Slots.of(lengths, order, room[order]),
            tuple(groups),
        )

    def seen(self, x: Tensor) -> Tensor:
        """[T, ...] -> [K, ...], the rows that are seen."""
        return x if self.key_rows is None else x.index_select(0, self.key_rows)


def _sent(array: NDArray[np.integer], device: torch.device) -> Tensor:
    """An array of the host on a device, without waiting for what the device does."""
    tensor = torch.from_numpy(array)
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def attend(projected: Tensor, layout: Layout, dropped: Dropped | None, query: Tensor | None = None) -> Tensor:
    """softmax(query key^T / sqrt(D)) value inside each sequence, with dropout on the softmax.

    Args:
        projected: [T, 3, A, D] query, key and value of every row; where `query` is given, [T, 2, A, D] key and value.
        layout: where sequences begin and end.
        dropped: the dropout of the probabilities; on CPU its rows are those that ask.
        query: [R, A, D], the rows that ask if they are not all.

    Returns:
        [T, A, D], or [R, A, D].
    """
    *_, heads, _ = projected.shape
    if projected.device.type == "cpu":
        keep = None if dropped is None else dropped.keep(heads, _padded(layout.longest))
        return _Grouped.apply(projected, query, layout, keep)  # type: ignore[no-any-return, no-untyped-call]
    *first, key, value = projected.unbind(1)
    rate = 0.0 if dropped is None else dropped.rate
    by_type = _varlen if projected.dtype in (torch.bfloat16, torch.float16) else _one_by_one
    return by_type(first[0] if query is None else query, layout.seen(key), layout.seen(value), layout, rate)


def _varlen(query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float) -> Tensor:
    """One kernel for all sequences of any length."""
    borders = (layout.query_starts, layout.key_starts, layout.longest, layout.longest)
    if dropout == 0.0:
        from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - needed where CUDA is

        return varlen_attn(query, key, value, *borders)  # type: ignore[return-value]
    operator = _flash_with_dropout()
    if operator is None:
        return _one_by_one(query, key, value, layout, dropout)
    return operator(query, key, value, *borders, dropout, False, False)[0]


def _flash_with_dropout() -> Callable[..., tuple[Tensor, ...]] | None:
    """The operator beneath `varlen_attn`, which has dropout where the public function has none.

    Its name is private and may go, so there is another way where it is missing.
    """
    return getattr(torch.ops.aten, "_flash_attention_forward", None)


def _one_by_one(query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float) -> Tensor:
    """The library's attention, a sequence at a time: right on every device and in every type, and slow."""
    query_starts, key_starts = layout.query_starts.tolist(), layout.key_starts.tolist()
    parts = []
    for q0, q1, k0, k1 in zip(query_starts, query_starts[1:], key_starts, key_starts[1:], strict=False):
        one = (query[q0:q1].transpose(0, 1), key[k0:k1].transpose(0, 1), value[k0:k1].transpose(0, 1))
        parts.append(F.scaled_dot_product_attention(*one, dropout_p=dropout).transpose(0, 1))
    return torch.cat(parts) if parts else query


class _Grouped(Function):
    """Attention on CPU, with softmax and dropout between the two products of a group.

    Kept for the backward pass are queries, keys and values by head and the probabilities before dropout; what dropout
    keeps is drawn again.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, query: Tensor | None, layout: Layout, keep: Keep | None) -> Tensor:
        assert layout.queries is not None
        assert layout.keys is not None
        *_, heads, size = projected.shape
        slots = layout.keys.spread(projected)
        asking = slots[:, 0] if query is None else layout.queries.spread(query)
        result = asking.new_empty(asking.shape)
        kept = []
        for group in layout.groups:
            by_head = _ByHead(group.sequences, heads, size)
            q, k, v = (
                by_head(asking[group.query_slots]),
                by_head(slots[group.key_slots, -2]),
                by_head(slots[group.key_slots, -1]),
            )
            scores = q.new_empty(q.shape[0], q.shape[1], k.shape[1])
            torch.baddbmm(scores, q, k.transpose(1, 2), beta=0, alpha=1 / math.sqrt(size), out=scores)
            if group.padding is not None:
                scores.view(group.sequences, heads, *scores.shape[1:]).add_(group.padding.to(scores.dtype))
            probabilities = torch.softmax(scores, -1, out=scores)
            kept += [q, k, v, probabilities]
            if keep is not None:
                probabilities = masked(probabilities, _mask(keep, layout.queries, group, probabilities))
            attended = torch.bmm(probabilities, v)
            by_head.put(attended if keep is None else attended.mul_(keep.scale), result[group.query_slots])
        ctx.save_for_backward(*kept)
        ctx.layout, ctx.keep, ctx.shape, ctx.separate = layout, keep, slots.shape, query is not None
        return layout.queries.collect(result)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        layout: Layout = ctx.layout
        keep: Keep | None = ctx.keep
        assert layout.queries is not None
        assert layout.keys is not None
        *_, heads, size = ctx.shape
        to_result = layout.queries.spread_gradient(gradient)
        to_slots = gradient.new_empty(ctx.shape)
        to_asking = torch.empty_like(to_result) if ctx.separate else to_slots[:, 0]
        saved = ctx.saved_tensors  # once: under gradient checkpointing each look computes the block again
        for number, group in enumerate(layout.groups):
            by_head = _ByHead(group.sequences, heads, size)
            q, k, v, probabilities = saved[4 * number : 4 * number + 4]
            g = by_head(to_result[group.query_slots])
            if keep is None:
                dropped, slope = probabilities, torch.bmm(g, v.transpose(1, 2))
            else:
                g = g * keep.scale
                mask = _mask(keep, layout.queries, group, probabilities)
                dropped, slope = masked(probabilities, mask), masked(torch.bmm(g, v.transpose(1, 2)), mask)
            by_head.put(torch.bmm(dropped.transpose(1, 2), g), to_slots[group.key_slots, -1])
            slope = torch._softmax_backward_data(slope, probabilities, -1, slope.dtype)
            scale = 1 / math.sqrt(size)
            by_head.put(torch.bmm(slope, k).mul_(scale), to_asking[group.query_slots])
            by_head.put(torch.bmm(slope.transpose(1, 2), q).mul_(scale), to_slots[group.key_slots, -2])
        to_query = layout.queries.collect(to_asking) if ctx.separate else None
        return layout.keys.collect(to_slots), to_query, None, None


@dataclass(frozen=True)
class _ByHead:
    """Between a group's slots [n * S, A, D] and what batched products take [n * A, S, D]."""

    sequences: int
    heads: int
    size: int

    def __call__(self, x: Tensor) -> Tensor:
        x = x.view(self.sequences, -1, self.heads, self.size).transpose(1, 2)
        return x.reshape(self.sequences * self.heads, -1, self.size)

    def put(self, x: Tensor, into: Tensor) -> None:
        x = x.view(self.sequences, self.heads, -1, self.size).transpose(1, 2)
        into.view(self.sequences, -1, self.heads, self.size).copy_(x)


def _mask(keep: Keep, queries: Slots, group: Group, like: Tensor) -> Tensor:
    """The group's dropout mask in the shape of its probabilities [n * A, Q, K]."""
    span = group.query_slots
    rows = torch.arange(span.start, span.stop) if queries.row_of_slot is None else queries.row_of_slot[span]
    mask = keep.block_mask(rows.view(group.sequences, -1), like.shape[2])
    return mask.view(like.shape)
