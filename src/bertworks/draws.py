"""Counter-based random numbers: every number is a pure function of a key and a counter. All functions take arrays.

Nothing keeps a state, so the numbers of step 1,000,000 can be drawn without those before, and no new version of a
library changes them. The generator is SplitMix64's output function (Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014, with Stafford's mix 13) over key + counter * golden gamma.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bertworks.ragged import starts, within

Bits = NDArray[np.uint64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def bits(key: ArrayLike, counter: ArrayLike) -> Bits:
    """Return 64 random bits for each (key, counter). The two broadcast against each other."""
    with np.errstate(over="ignore"):
        z = np.atleast_1d(np.asarray(counter).astype(np.uint64) * _GAMMA)
        z = np.asarray(key).astype(np.uint64) + z + _GAMMA
        z ^= z >> np.uint64(30)
        z *= np.uint64(0xBF58476D1CE4E5B9)
        z ^= z >> np.uint64(27)
        z *= np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        return z


def key(*parts: ArrayLike) -> Bits:
    """Make a key from integers (seed, epoch, shard, ...) or arrays, which broadcast. Scalars give shape [1]."""
    result = np.zeros(1, np.uint64)
    for part in parts:
        result = bits(result, part)
    return result


def uniform(key: ArrayLike, counter: ArrayLike) -> NDArray[np.float64]:
    """Return numbers in [0, 1) of 53 random bits each."""
    return (bits(key, counter) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(key: ArrayLike, counter: ArrayLike, low: ArrayLike, high: ArrayLike) -> NDArray[np.int64]:
    """Return integers in [low, high), elementwise; high > low. The bias is below 2^-31 for ranges up to 2^32.

    The upper 32 of 64 bits are scaled (Lemire's multiply-shift), which needs high - low <= 2^32.
    """
    low = np.asarray(low, np.int64)
    span = (np.asarray(high, np.int64) - low).astype(np.uint64)
    scaled: Bits = ((bits(key, counter) >> np.uint64(32)) * span) >> np.uint64(32)
    return np.asarray(scaled.astype(np.int64) + low)


def permutation(key: ArrayLike, n: int) -> NDArray[np.int64]:
    """Return range(n) in a random order."""
    return np.argsort(bits(key, np.arange(n)), kind="stable")


def shuffled(seed: int, purpose: int, count: int, first: int, last: int) -> NDArray[np.int64]:
    """Return numbers first, ..., last - 1 of an endless sequence of epochs, each of them range(count) in a new order.

    `purpose` separates the random numbers of one use from those of others.
    """
    epochs, numbers = np.divmod(np.arange(first, last), count)
    for epoch in np.unique(epochs).tolist():
        now = epochs == epoch
        numbers[now] = _order(seed, purpose, epoch, count)[numbers[now]]
    return numbers


@lru_cache(maxsize=1)
def _order(seed: int, purpose: int, epoch: int, count: int) -> NDArray[np.int64]:
    return permutation(key(seed, purpose, epoch), count)


def half_of(key: ArrayLike, n: ArrayLike) -> NDArray[np.int64]:
    """Draw Binomial(n, 1/2) for each key and n, exactly, by counting n random bits."""
    n = np.atleast_1d(np.asarray(n, np.int64))
    keys = np.broadcast_to(np.asarray(key, np.uint64), n.shape)
    result = np.zeros(n.shape, np.int64)
    some = np.flatnonzero(n)
    # In blocks of about a million words of 64 bits, so that memory stays small whatever the numbers are.
    cuts = np.flatnonzero(np.diff(starts(-(-n[some] // 64)) >> 20))
    for block in filter(len, np.split(some, cuts)):
        words = -(-n[block] // 64)
        edges = starts(words)
        drawn = bits(np.repeat(keys[block], words), within(words))
        drawn[edges[1:] - 1] >>= ((64 - n[block] % 64) % 64).astype(np.uint64)
        result[block] = np.add.reduceat(np.bitwise_count(drawn).astype(np.int64), edges[:-1])
    return result
