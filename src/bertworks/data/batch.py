"""PackedBatch: sequences laid end to end, without padding. The one thing that crosses from data to model.

Shapes: T packed tokens, B sequences, M rows that a head reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.ragged import within


@dataclass(frozen=True)
class PackedBatch:
    """A micro-batch. Only attention needs `starts`; everything else works on flat tokens.

    The last tokens may be filler: a sequence of its own that no head reads, so that T takes few different values.
    Libraries prepare their products for each shape that they meet, which for a small model costs more than the
    products themselves. Below, B' is B + 1 where there is filler, else B.

    Attributes:
        input_ids, segment_ids, position_ids: [T] int64; positions restart at 0 in every sequence.
        starts: [B'+1] int32; sequence i is tokens starts[i]:starts[i+1]. An empty batch has T = 0 and B = 0.
        lengths: [B'] int64 on the host, so that grouping by length never waits for a device.
        rows: [M] int64; the tokens a head reads (masked words, tagged words), as indices into [T].
        labels: [M] int64 or float32; what is right at each of these rows.
        sequence_labels: [B] int64 or float32; what is right for each sequence (next sentence, class). May be empty.
        dropout_keys: [B'] int64; the identity of each sequence within (seed, step). Dropout on CPU is a function of
            it, not of where in which batch the sequence stands.
        filler: how many of the T tokens are filler.
        unseen: [B'] int64 on the host; so many of each sequence's last tokens are padding: they look at the tokens
            before them, and no token looks at them. None where there is no padding.
    """

    input_ids: Tensor
    segment_ids: Tensor
    position_ids: Tensor
    starts: Tensor
    lengths: NDArray[np.int64]
    rows: Tensor
    labels: Tensor
    sequence_labels: Tensor
    dropout_keys: Tensor
    filler: int = 0
    unseen: NDArray[np.int64] | None = None

    @cached_property
    def tokens(self) -> int:
        """How many tokens there are without the filler."""
        return int(self.lengths.sum()) - self.filler

    def __len__(self) -> int:
        """B, the number of sequences."""
        return len(self.lengths) - (self.filler > 0)

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch on `device`; from pinned memory without waiting. `lengths` and `unseen` stay on the host."""
        if device.type == "cpu":
            return self
        moved: dict[str, Any] = {
            f.name: value.pin_memory().to(device, non_blocking=True)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **moved)


def pack(
    input_ids: NDArray[np.integer],
    segment_ids: NDArray[np.integer],
    lengths: NDArray[np.integer],
    *,
    rows: NDArray[np.integer] | None = None,
    labels: NDArray[np.generic] | None = None,
    sequence_labels: NDArray[np.generic] | None = None,
    dropout_keys: NDArray[np.integer] | None = None,
    unseen: NDArray[np.integer] | None = None,
    filled: bool = False,
) -> PackedBatch:
    """A batch from flat numpy arrays; what is not given is empty (keys: 0, 1, 2, ...).

    Args:
        filled: append filler (at least one token, about a sixteenth at most) to bring T to a round number.
    """
    sizes = np.asarray(lengths, np.int64)
    keys = np.asarray(np.arange(len(sizes)) if dropout_keys is None else dropout_keys, np.int64)
    positions, total = within(sizes), int(sizes.sum())
    filler = rounded(total + 1) - total if filled and total else 0
    if filler:
        sizes, keys = np.append(sizes, filler), np.append(keys, 0)
        unseen = None if unseen is None else np.append(unseen, 0)
        zeros = np.zeros(filler, np.int64)
        input_ids, segment_ids, positions = (np.append(a, zeros) for a in (input_ids, segment_ids, positions))
    starts = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(sizes, out=starts[1:])
    none = np.zeros(0, np.int64)
    return PackedBatch(
        input_ids=torch.from_numpy(np.ascontiguousarray(input_ids, np.int64)),
        segment_ids=torch.from_numpy(np.ascontiguousarray(segment_ids, np.int64)),
        position_ids=torch.from_numpy(positions),
        starts=torch.from_numpy(starts),
        lengths=sizes,
        rows=torch.from_numpy(np.ascontiguousarray(none if rows is None else rows, np.int64)),
        labels=torch.from_numpy(np.ascontiguousarray(none if labels is None else labels)),
        sequence_labels=torch.from_numpy(np.ascontiguousarray(none if sequence_labels is None else sequence_labels)),
        dropout_keys=torch.from_numpy(np.ascontiguousarray(keys)),
        filler=filler,
        unseen=None if unseen is None else np.asarray(unseen, np.int64),
    )


def rounded(count: int) -> int:
    """`count`, raised by at most a sixteenth to a number that few counts share: 1700 -> 1728, 3800 -> 3840."""
    step = 1 << max(0, count.bit_length() - 5)
    return -(-count // step) * step


def cut_by_tokens(lengths: Sequence[int] | NDArray[np.int64], token_budget: int) -> list[slice]:
    """Cut consecutive sequences into micro-batches of at most `token_budget` tokens (at least one sequence each)."""
    cuts, first, tokens = [], 0, 0
    for i, length in enumerate(lengths):
        if i > first and tokens + length > token_budget:
            cuts.append(slice(first, i))
            first, tokens = i, 0
        tokens += int(length)
    if len(lengths) > first:
        cuts.append(slice(first, len(lengths)))
    return cuts
