"""Where the sequences of a batch begin, and how attention on CPU groups them.

Sequences are sorted into groups of equal padded length. The padded length is a multiple of 32, so the result for a
sequence does not depend on its neighbours. Padding exists only inside a group.

Shapes: T packed tokens, B sequences, A heads; in a group n sequences of Q query rows and K key rows, padding included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks import ragged
from bertworks.data.batch import to_device
from bertworks.model.fused_attention import Borders
from bertworks.model.padded_groups import UNMOVED, PaddedGroups

# Lengths inside a group are rounded up to a multiple of this, the width of the processors' matrix tiles.
_TILE = 32
# So few tokens, filler included, are attended to sooner than two groups are computed instead of one.
_FEW = 256
# So many groups without padding take less time than fewer with padding: one text of 33 tokens a tenth less, two a
# twentieth, three as much.
_FEW_GROUPS = 2
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
        filler: bool = False,
        in_place: bool = False,
    ) -> Layout:
        """Return the layout of a batch.

        Args:
            starts: [B+1] int32.
            lengths: [B].
            heads: A.
            read: the query rows, ascending; None for all.
            unseen: [B]; this number of each sequence's last rows are no keys, fewer than its length. None for 0.
            causal: whether no row sees those after it; only where all rows are query rows and keys.
            filler: whether the last sequence is filler. Beside few tokens it joins the group of the shortest sequence:
                a group of its own would take longer.
            in_place: whether few sequences are groups as they lie, without padding; only without gradients and
                dropout. The last bits of a result are then not those that it has beside many sequences.
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
        if in_place and not causal and (lying := _as_they_lie(lengths, query_lengths, seen, filler)):
            return cls(query_starts, key_starts, longest, key_rows, UNMOVED, UNMOVED, lying)
        padded = padded_length(lengths)
        if filler and len(lengths) > 1 and lengths.sum() <= _FEW:
            padded[-1] = max(padded[-1], padded[:-1].min())
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
        of_keys = PaddedGroups.of(lengths, order, padded)
        of_queries = of_keys if read is None else PaddedGroups.of(query_lengths, order, padded_queries)
        return cls(query_starts, key_starts, longest, key_rows, of_queries, of_keys, tuple(groups), causal)

    @property
    def borders(self) -> Borders:
        """Where the sequences begin, for `fused_attention`."""
        return Borders(self.query_starts, self.key_starts, self.longest, self.causal)

    def seen(self, x: Tensor) -> Tensor:
        """Return the rows of x [T, ...] that are seen."""
        return x if self.key_rows is None else x.index_select(0, self.key_rows)


def _as_they_lie(
    lengths: NDArray[np.int64], queries: NDArray[np.int64], seen: NDArray[np.int64], filler: bool
) -> tuple[Group, ...]:
    """Return a group for each run of equal sequences, without padding; none where these would be many.

    Nobody reads what filler attends to: its rows ask the keys of the sequence before it.
    """
    if np.count_nonzero(np.diff(lengths)) > _FEW_GROUPS:
        return ()
    sizes = np.stack([lengths, queries, seen], 1).tolist()
    if filler and len(sizes) > 1:
        sizes[-2][1] += sizes.pop()[1]
    groups: list[Group] = []
    query = key = 0
    for (length, asked, visible), run in groupby(sizes):
        n = len(list(run))
        # Sequences that end with padding are groups of their own.
        for together in (n,) if visible == length else (1,) * n:
            if asked:
                rows = slice(query, query + together * asked), slice(key, key + together * visible)
                groups.append(Group(together, *rows, None))
            query, key = query + together * asked, key + together * length
        if len(groups) > _FEW_GROUPS:
            return ()
    return tuple(groups)
