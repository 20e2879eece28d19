"""Dropout on CPU: a cheap pure function of (step key, sequence, position, site) decides which values are kept.

A sequential generator would draw other numbers for another partition into micro-batches, and it costs as much as three
linear layers. Here one 64-bit hash per token gives an odd multiplier a and an offset b, and one hash per column gives a
number x. The value in that column is kept where a * x + b, modulo 2^16 and read as a signed number, is not among the
lowest `rate` * 2^16. This is multiply-shift hashing (Dietzfelbinger, "Universal hashing and k-wise independent random
variables via integer arithmetic without primes", STACS 1996) in words of 16 bits, which processors multiply 32 at a
time. Because b is uniform, each value is dropped with probability exactly round(rate * 2^16) / 2^16. Tokens, sites and
steps are independent; two columns of one token are correlated by less than 0.001 over the draws of a and x.

CUDA uses torch's own generator, which the caller seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks import draws
from bertworks.data.batch import PackedBatch
from bertworks.ragged import within

_LEVELS = 1 << 16
_TOKENS, _COLUMNS = 1, 2


@dataclass(frozen=True)
class Keep:
    """The values that one dropout keeps, before the mask is written out.

    Attributes:
        multipliers, offsets: [rows] int16, of each token.
        columns: int16, of each column: [width], or [heads, width] for attention probabilities.
        dropped: the number of values, out of 2^16, that are dropped.
    """

    multipliers: Tensor
    offsets: Tensor
    columns: Tensor
    dropped: int

    @property
    def scale(self) -> float:
        """The factor of kept values that preserves the mean: 1 / the exact share that is kept."""
        return _LEVELS / (_LEVELS - self.dropped)

    def mask(self) -> Tensor:
        """Return [rows, width] int16: 1 keep, 0 drop."""
        numbers = self.multipliers[:, None] * self.columns
        numbers += self.offsets[:, None]
        return numbers.ge_(self.dropped - _LEVELS // 2)

    def group_mask(self, rows: Tensor, keys: int) -> Tensor:
        """Return [n, heads, queries, keys] int16 for n sequences, whose queries are `rows` [n, queries]."""
        numbers = self.multipliers[rows][:, None, :, None] * self.columns[:, None, :keys]
        numbers += self.offsets[rows][:, None, :, None]
        return numbers.ge_(self.dropped - _LEVELS // 2)


@dataclass(frozen=True)
class Dropout:
    """The dropout of one forward pass.

    Attributes:
        step_key: this step's key, from (seed, step).
        dropout_keys, lengths: [B] as in `PackedBatch`.
        read: the rows that are computed, as indices into the packed tokens; None is all.
    """

    step_key: int
    dropout_keys: Tensor
    lengths: NDArray[np.int64]
    read: Tensor | None = None

    @classmethod
    def of(cls, batch: PackedBatch, step_key: int) -> Dropout:
        """Return the dropout of a batch in the step with this key."""
        return cls(step_key, batch.dropout_keys, batch.lengths)

    def rows(self, read: Tensor) -> Dropout:
        """Return the same dropout for some of the rows."""
        return replace(self, read=read)

    def keep(self, site: int, rate: float, *shape: int) -> Keep | None:
        """Return the values kept at `site`, for columns of this shape; None where the rate drops nothing."""
        dropped = round(rate * _LEVELS)
        if dropped == 0:
            return None
        keys, positions = self._tokens
        words = draws.bits(keys, site << 32 | positions)
        *heads, width = shape
        counters = np.arange(math.prod(heads))[:, None] << 32 | np.arange(width)
        columns = draws.bits(draws.key(self.step_key, _COLUMNS, site), counters)
        return Keep(
            multipliers=_low_bits(words) | 1,
            offsets=_low_bits(words >> np.uint64(16)),
            columns=_low_bits(columns).view(shape),
            dropped=dropped,
        )

    @cached_property
    def _tokens(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """For each row, the key of its sequence in this step, and its position."""
        keys = np.repeat(draws.key(self.step_key, _TOKENS, self.dropout_keys.numpy()), self.lengths)
        positions = within(self.lengths)
        return (keys, positions) if self.read is None else (keys[self.read.numpy()], positions[self.read.numpy()])


@dataclass(frozen=True)
class Dropped:
    """Dropout at one site of a forward pass, with its rate."""

    dropout: Dropout
    site: int
    rate: float

    def keep(self, *shape: int) -> Keep | None:
        """Return the values that are kept, for columns of this shape; None where the rate drops nothing."""
        return self.dropout.keep(self.site, self.rate, *shape)


def at(dropout: Dropout | None, site: int, rate: float) -> Dropped | None:
    """Return the dropout of one site, or None without dropout."""
    return None if dropout is None else Dropped(dropout, site, rate)


def _low_bits(words: NDArray[np.uint64]) -> Tensor:
    """Return the low 16 bits of each word, as int16."""
    return torch.from_numpy(words.astype(np.uint16).view(np.int16))


def masked(x: Tensor, mask: Tensor) -> Tensor:
    """Keep `x` where the int16 `mask` of the same shape is 1, and set it to 0 elsewhere."""
    if x.element_size() == mask.element_size():
        # The integer product of 16-bit numbers and their mask is five times as fast as any other way.
        return (x.view(torch.int16) * mask).view(x.dtype)
    return x * mask
