"""Sequences of different lengths laid end to end: the start of each, and the positions inside it.

    lengths [3, 2]:  starts -> [0, 3, 5]   within -> [0, 1, 2, 0, 1]   runs([10, 20], lengths) -> [10, 11, 12, 20, 21]

Shapes: N sequences, T positions of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = Sequence[int] | NDArray[np.integer]


def starts(lengths: Numbers) -> NDArray[np.int64]:
    """Return the start of each sequence, and the end of the last. [N] -> [N + 1]."""
    lengths = np.asarray(lengths, np.int64)
    result = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=result[1:])
    return result


def within(lengths: Numbers) -> NDArray[np.int64]:
    """Count 0, 1, ... inside each sequence. [N] -> [T]."""
    return runs(0, lengths)


def runs(firsts: int | Numbers, lengths: Numbers) -> NDArray[np.int64]:
    """Count from `firsts` inside each sequence: the indices of many slices, one after the other. [N], [N] -> [T]."""
    ends = starts(lengths)
    return np.arange(ends[-1]) + np.repeat(np.asarray(firsts, np.int64) - ends[:-1], np.diff(ends))
