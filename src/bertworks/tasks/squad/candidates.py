"""The spans that may be answers: those of the best starts and ends of many windows at a time.

Shapes: W windows, L tokens of the longest, S spans.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# About so many pairs of a start and an end, or logits, are looked at together: what second-level caches hold.
_TOGETHER = 1 << 17


class Spans(NamedTuple):
    """Possible answers, all [S]: window, first and last token, their logits in double precision."""

    window: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    start_logit: NDArray[np.float64]
    end_logit: NDArray[np.float64]

    def ordered(self, group: NDArray[np.integer]) -> Spans:
        """Those of the first group first, the best of a group first; of equal ones the earlier stays before."""
        order = np.lexsort((-(self.start_logit + self.end_logit), group[self.window]))
        return Spans(
            self.window[order], self.start[order], self.end[order], self.start_logit[order], self.end_logit[order]
        )

    def with_others(self, others: Spans) -> Spans:
        """These, then others."""
        return Spans(
            np.append(self.window, others.window),
            np.append(self.start, others.start),
            np.append(self.end, others.end),
            np.append(self.start_logit, others.start_logit),
            np.append(self.end_logit, others.end_logit),
        )


def windows_together(n_best_size: int, length: int) -> int:
    """How many windows of `length` tokens are best looked at together."""
    return max(1, _TOGETHER // max(length, min(n_best_size, length) ** 2))


def best_spans(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    may_start: NDArray[np.bool_],
    may_end: NDArray[np.bool_],
    n_best_size: int,
    max_answer_length: int,
) -> Spans:
    """The spans of windows' `n_best_size` best starts and ends, window by window, the best start first, then end.

    Args:
        starts, ends: [W, L]; finite logits.
        may_start, may_end: [W, L]; where an answer may begin, and end. The best are chosen without regard to it.
        n_best_size: how many starts and ends of a window are looked at.
        max_answer_length: the most tokens of a span.
    """
    count, length = starts.shape
    step = windows_together(n_best_size, length)
    parts = []
    for first in range(0, count, step):
        part = slice(first, first + step)
        of_start, of_end = _best(starts[part], n_best_size), _best(ends[part], n_best_size)  # [w, n]
        # What may not be is moved to where no span can be made with it.
        start = np.where(np.take_along_axis(may_start[part], of_start, 1), of_start, length)
        end = np.where(np.take_along_axis(may_end[part], of_end, 1), of_end, -1)
        longer = end.astype(np.int32)[:, None] - start.astype(np.int32)[:, :, None]  # [w, starts, ends]
        # As unsigned numbers, those below 0 are too large.
        found = np.flatnonzero(longer.view(np.uint32) < min(max(0, max_answer_length), length))
        row, column = np.divmod(found, end.shape[1])
        window = row // start.shape[1]
        parts.append((window + first, start.ravel()[row], end[window, column]))
    columns = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return _made(starts, ends, *columns)


def best_span(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    may_start: NDArray[np.bool_],
    may_end: NDArray[np.bool_],
    max_answer_length: int,
) -> Spans:
    """The one best span of each window, of any start and any end; none where there is none. See `best_spans`."""
    found = []
    for window in range(len(starts)):
        start, end = np.flatnonzero(may_start[window]), np.flatnonzero(may_end[window])
        longer = end - start[:, None]  # [starts, ends]
        allowed = (longer >= 0) & (longer < max_answer_length)
        if allowed.any():
            totals = starts[window, start].astype(np.float64)[:, None] + ends[window, end].astype(np.float64)
            row, column = np.unravel_index(np.where(allowed, totals, -np.inf).argmax(), totals.shape)
            found.append((window, start[row], end[column]))
    columns = np.array(found, np.int64).reshape(-1, 3).T
    return _made(starts, ends, *columns)


def _made(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    window: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
) -> Spans:
    return Spans(window, start, end, starts[window, start].astype(np.float64), ends[window, end].astype(np.float64))


def _best(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Where the highest scores of each row are, the highest first; of equal ones the earlier comes first, and stays.

    Score and place become one whole number, smaller for a higher score and then for an earlier place: the bits of
    floats are in the order of the floats, but backwards below 0.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0, its equal
    ascending = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    keys = (~ascending).astype(np.int64) << 32 | np.arange(scores.shape[1])
    if count < keys.shape[1]:
        keys = np.partition(keys, count - 1, axis=1)[:, :count]
    keys.sort(axis=1)
    return keys & 0xFFFFFFFF
