"""Sequences to outputs, in input order: the only inference loop.

Sequences are packed end to end as they come, up to a budget of tokens. Nothing is sorted by length: without padding it
buys nothing (measured on CPU on sentences of 5 to 140 tokens: within 2 %), and so no more than two batches are ever in
memory, however many sequences there are.

Shapes: T packed tokens, B sequences, R rows that a head reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.data.batch import PackedBatch, pack, rounded
from bertworks.ragged import within

# On CPU larger batches are no faster, and slower where freed buffers go back to the system (heap.py); on CUDA this
# takes about 2 GB for BERT-Base in float32.
CPU_TOKEN_BUDGET = 4096
CUDA_TOKEN_BUDGET = 1 << 15

# What the first dimension of a head's output counts.
Unit = Literal["sequence", "row", "token"]

Numbers = Sequence[int] | NDArray[np.integer]


class Example(NamedTuple):
    """One sequence to ask the model about.

    Attributes:
        ids: its tokens, [CLS] and [SEP] among them; at least one.
        segment_ids: 0 or 1 for each token.
        rows: which of its tokens a head reads, ascending from 0.
        padding: so many tokens of padding follow, as in the original BERT: their id and segment are 0, they look at
            the sequence, and no token looks at them. Where the unit is a token, they are answered about, too.
    """

    ids: Numbers
    segment_ids: Numbers
    rows: Numbers = ()
    padding: int = 0

    @property
    def length(self) -> int:
        """Tokens, padding included."""
        return len(self.ids) + self.padding


def predict(
    compute: Callable[[PackedBatch], Tensor],
    examples: Iterable[Example],
    unit: Unit,
    *,
    device: torch.device,
    token_budget: int | None = None,
) -> Iterator[NDArray[Any]]:
    """What a model answers about every example, in order. Examples are taken from the iterable as they are needed.

    Args:
        compute: from a batch on the device to [B, ...], [R, ...] or [T, ...]; called without recording gradients. The
            batch ends with filler and its `rows` [R] with rows of it, so that both take few sizes; what is computed for
            these may be returned too and is left out.
        examples: the sequences.
        unit: what the first dimension of that counts.
        device: where the model is.
        token_budget: the most tokens of a batch, unless one example has more.

    Yields:
        [...] for each example where the unit is a sequence; [its rows, ...] or [its tokens, ...] otherwise. Float32
        where the model computes in bfloat16. A view of its batch's answers: copy it to keep only this.
    """
    # On CUDA the next batch is prepared and its work handed over before the answers to the last one are waited for.
    ahead = 1 if device.type == "cuda" else 0
    waiting: deque[_Answers] = deque()
    for batch, counts in _batches(examples, unit, token_budget or default_token_budget(device)):
        with torch.inference_mode():
            waiting.append(_Answers(compute(batch.to(device))[: int(counts.sum())], counts, unit))
        if len(waiting) > ahead:
            yield from waiting.popleft()
    for answers in waiting:
        yield from answers


def default_token_budget(device: torch.device) -> int:
    """Tokens of a batch that make a device busy and fit it."""
    return CUDA_TOKEN_BUDGET if device.type == "cuda" else CPU_TOKEN_BUDGET


class _Answers:
    """The answers to one batch, on their way to the host."""

    def __init__(self, found: Tensor, counts: NDArray[np.int64], unit: Unit) -> None:
        """`found` [sum of counts, ...] is on the device, `counts` [B] are the units of each example."""
        found = found.float() if found.dtype == torch.bfloat16 else found
        self._host = found.to("cpu", non_blocking=True)  # into pinned memory
        self._copied = torch.cuda.Event() if found.is_cuda else None
        if self._copied is not None:
            self._copied.record()
        self._counts, self._unit = counts, unit

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """One example after the other, once they are there."""
        if self._copied is not None:
            self._copied.synchronize()
        array = self._host.numpy()
        if self._unit == "sequence":
            return iter(array)
        return iter(np.split(array, np.cumsum(self._counts)[:-1]))


def _batches(
    examples: Iterable[Example], unit: Unit, token_budget: int
) -> Iterator[tuple[PackedBatch, NDArray[np.int64]]]:
    """Batches within the budget, each with how many units each of its examples has."""
    taken: list[Example] = []
    tokens = 0
    for example in examples:
        if taken and tokens + example.length > token_budget:
            yield _packed(taken), _counts(taken, unit)
            taken, tokens = [], 0
        taken.append(example)
        tokens += example.length
    if taken:
        yield _packed(taken), _counts(taken, unit)


def _counts(examples: Sequence[Example], unit: Unit) -> NDArray[np.int64]:
    """Units of each example. Shape [B]."""
    if unit == "sequence":
        return np.ones(len(examples), np.int64)
    return np.array([one.length if unit == "token" else len(one.rows) for one in examples])


def _packed(examples: Sequence[Example]) -> PackedBatch:
    """Examples end to end, with filler after them, and after their rows as many rows of the filler as round them up."""
    lengths = np.array([one.length for one in examples])
    padding = np.array([one.padding for one in examples])
    starts = np.cumsum(lengths) - lengths
    rows = [
        np.asarray(one.rows, np.int64) + start for one, start in zip(examples, starts, strict=True) if len(one.rows)
    ]
    ids = np.concatenate([one.ids for one in examples])
    segment_ids = np.concatenate([one.segment_ids for one in examples])
    if padding.any():
        real = within(lengths) < np.repeat(lengths - padding, lengths)
        ids, segment_ids = (_spread(numbers, real) for numbers in (ids, segment_ids))
    batch = pack(ids, segment_ids, lengths, unseen=padding if padding.any() else None, filled=True)
    if not rows:
        return batch
    read = np.concatenate(rows)
    more = np.full(rounded(len(read) + 1) - len(read), len(batch.input_ids) - 1)
    return replace(batch, rows=torch.from_numpy(np.append(read, more)))


def _spread(numbers: NDArray[np.integer], real: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Numbers in the places that are real; 0 in the others."""
    spread = np.zeros(len(real), numbers.dtype)
    spread[real] = numbers
    return spread
