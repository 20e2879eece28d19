"""PackedBatch: sequences laid end to end, without padding. It is what the data hands to the model.

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

from bertworks import ragged

# The least filler, if it need not be less: attention takes so many rows of a sequence at a time.
_FEWEST = 32


@dataclass(frozen=True)
class PackedBatch:
    """A micro-batch. Only attention needs `starts`; all other layers work on flat tokens.

    The last tokens may be filler: a sequence of its own that no head reads, which rounds T up. On CPU libraries prepare
    matrix products for each new shape, which for a small model takes longer than the products. A batch on a GPU has no
    filler, because attention in such a long sequence would take longer. Below, B' is B + 1 with filler and B without.

    Attributes:
        input_ids, segment_ids, position_ids: [T] int64; positions restart at 0 in every sequence.
        starts: [B'+1] int32; sequence i is tokens starts[i]:starts[i+1]. An empty batch has T = 0 and B = 0.
        lengths: [B'] int64 on the host, so that grouping by length never waits for a device.
        rows: [M] int64; the tokens that a head reads (masked tokens, tagged words), as indices into [T].
        labels: [M] int64 or float32; the label of each of these rows.
        sequence_labels: [B] int64 or float32; the label of each sequence (next sentence, class). May be empty.
        dropout_keys: [B'] int64; identifies each sequence within (seed, step). Dropout on CPU depends on this key and
            not on the batch that the sequence is in.
        filler: the number of filler tokens among the T.
        unseen: [B'] int64 on the host; how many last tokens of each sequence are padding: they attend to the tokens
            before them, and no token attends to them. None if there is no padding.
        causal: whether a token attends only to itself and to those before it.
        on_host: the batch that this one was copied from, for those who read it without waiting; None on the host.
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
    causal: bool = False
    on_host: PackedBatch | None = None

    @cached_property
    def tokens(self) -> int:
        """The number of tokens without filler."""
        return int(self.lengths.sum()) - self.filler

    def __len__(self) -> int:
        """B, the number of sequences."""
        return len(self.lengths) - (self.filler > 0)

    def to(self, device: torch.device) -> PackedBatch:
        """Copy the batch to `device` without filler, from pinned memory, without waiting.

        `lengths` and `unseen` stay on the host.
        """
        if device.type == "cpu":
            return self
        whole = self.without_filler()
        moved: dict[str, Any] = {
            f.name: to_device(value, device)
            for f in fields(self)
            if isinstance(value := getattr(whole, f.name), Tensor)
        }
        return replace(whole, **moved, on_host=whole)

    def without_filler(self) -> PackedBatch:
        """Return the same batch, on the host, without filler and without the rows in it."""
        if not self.filler:
            return self
        tokens = self.tokens
        return replace(
            self,
            input_ids=self.input_ids[:tokens],
            segment_ids=self.segment_ids[:tokens],
            position_ids=self.position_ids[:tokens],
            starts=self.starts[:-1],
            lengths=self.lengths[:-1],
            rows=self.rows[: int((self.rows.numpy() < tokens).sum())],  # those of the filler are the last
            dropout_keys=self.dropout_keys[:-1],
            filler=0,
            unseen=None if self.unseen is None else self.unseen[:-1],
        )


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the host to a device without waiting for the device, from pinned memory."""
    return values if device.type == "cpu" else values.pin_memory().to(device, non_blocking=True)


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
    causal: bool = False,
) -> PackedBatch:
    """Make a batch from flat arrays. Arrays that are not given are empty; the default dropout keys are 0, 1, 2, ...

    Args:
        filled: append filler (at least one token, at most about a sixteenth) so that T is one of few numbers.
        causal: see `PackedBatch`.
    """
    sizes = np.asarray(lengths, np.int64)
    keys = np.asarray(np.arange(len(sizes)) if dropout_keys is None else dropout_keys, np.int64)
    positions, total = ragged.within(sizes), int(sizes.sum())
    filler = _filler(total) if filled else 0
    if filler:
        sizes, keys = np.append(sizes, filler), np.append(keys, 0)
        unseen = None if unseen is None else np.append(unseen, 0)
        zeros = np.zeros(filler, np.int64)
        input_ids, segment_ids, positions = (np.append(a, zeros) for a in (input_ids, segment_ids, positions))
    none = np.zeros(0, np.int64)
    return PackedBatch(
        input_ids=torch.from_numpy(np.ascontiguousarray(input_ids, np.int64)),
        segment_ids=torch.from_numpy(np.ascontiguousarray(segment_ids, np.int64)),
        position_ids=torch.from_numpy(positions),
        starts=torch.from_numpy(ragged.starts(sizes).astype(np.int32)),
        lengths=sizes,
        rows=torch.from_numpy(np.ascontiguousarray(none if rows is None else rows, np.int64)),
        labels=torch.from_numpy(np.ascontiguousarray(none if labels is None else labels)),
        sequence_labels=torch.from_numpy(np.ascontiguousarray(none if sequence_labels is None else sequence_labels)),
        dropout_keys=torch.from_numpy(np.ascontiguousarray(keys)),
        filler=filler,
        unseen=None if unseen is None else np.asarray(unseen, np.int64),
        causal=causal,
    )


def rounded(count: int) -> int:
    """Round a count up to one of few numbers, by at most a sixteenth: 1700 -> 1728, 3800 -> 3840."""
    step = _step(count)
    return -(-count // step) * step


def _step(count: int) -> int:
    return 1 << max(0, count.bit_length() - 5)


def _filler(tokens: int) -> int:
    """Return how many tokens to append. A round number, as many full sequences have, gets the fewest that there are."""
    return rounded(tokens) - tokens or min(_FEWEST, _step(tokens) if tokens else 0)


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
