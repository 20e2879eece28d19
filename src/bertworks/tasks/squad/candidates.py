"""The spans that may be answers: those of the best starts and ends of many windows at a time.

Shapes: W windows, L tokens of the longest, S spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# About so many pairs of a start and an end, or logits, are looked at together: what second-level caches hold.
PAIRS_TOGETHER = 1 << 17


class CandidateSpans(NamedTuple):
    """Possible answers, all [S]: window, first and last token, their logits in double precision."""

    window: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    start_logit: NDArray[np.float64]
    end_logit: NDArray[np.float64]

    def ordered(self, group: NDArray[np.integer]) -> CandidateSpans:
        """Those of the first group first, the best of a group first; of equal ones the earlier stays before."""
        order = np.lexsort((-(self.start_logit + self.end_logit), group[self.window]))
        return CandidateSpans(
            self.window[order], self.start[order], self.end[order], self.start_logit[order], self.end_logit[order]
        )

    def with_others(self, others: CandidateSpans) -> CandidateSpans:
        """These, then others."""
        return CandidateSpans(
            np.append(self.window, others.window),
            np.append(self.start, others.start),
            np.append(self.end, others.end),
            np.append(self.start_logit, others.start_logit),
            np.append(self.end_logit, others.end_logit),
        )


def windows_together(n_best_size: int, length: int) -> int:
    """How many windows of `length` tokens are best looked at together."""
    return max(1, PAIRS_TOGETHER // max(length, min(n_best_size, length) ** 2))


def best_spans(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    may_start: NDArray[np.bool_],
    may_end: NDArray[np.bool_],
    n_best_size: int,
    max_answer_length: int,
) -> CandidateSpans:
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
) -> CandidateSpans:
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
) -> CandidateSpans:
    return CandidateSpans(
        window, start, end, starts[window, start].astype(np.float64), ends[window, end].astype(np.float64)
    )


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


WindowLogits = tuple[NDArray[np.float32], NDArray[np.float32]]


class WindowTokens(NamedTuple):
    """A sequence that a model read: [CLS] question [SEP] part of the document [SEP].

    Attributes:
        example: the number of its question.
        tokens: [L], as text.
        words: [L]; the number of the word that each of the document's tokens is of, -1 elsewhere.
        is_max_context: [L]; whether no other window shows more of what is around a token of the document.
        shift: what to add to the place of a token of the document for its number in the document.
    """

    example: int
    tokens: Sequence[str]
    words: NDArray[np.integer]
    is_max_context: NDArray[np.bool_]
    shift: int = 0


# A span that may be an answer: which of its question's windows it is in; its first and last token; their logits; the
# words that these are of; whether it begins with the first token of a word and ends with the last one of a word.
Candidate = tuple[int, int, int, float, float, int, int, bool]


class WindowBatch:
    """All windows of some questions, as arrays.

    Attributes:
        windows: W of them.
        examples: [W]; the number of each one's question.
        starts, ends: [W, L]; logits. Beyond a window's own, the lowest number.
        words: [W, L]; -1 beyond a window's own, too.
        may_start, may_end: [W, L]; where an answer may begin, and end.
    """

    def __init__(self, windows: Sequence[WindowTokens], logits: Sequence[WindowLogits]) -> None:
        self.windows = windows
        self.examples = np.array([window.example for window in windows], np.int64)
        shape = len(windows), max((len(start) for start, _ in logits), default=1)
        self.starts, self.ends = (np.full(shape, np.finfo(np.float32).min, np.float32) for _ in range(2))
        self.words, self.may_start = np.full(shape, -1, np.int32), np.zeros(shape, np.bool_)
        for i, (window, (start, end)) in enumerate(zip(windows, logits, strict=True)):
            self.starts[i, : len(start)], self.ends[i, : len(end)] = start, end
            self.words[i, : len(window.words)] = window.words
            self.may_start[i, : len(window.words)] = window.is_max_context
        self.may_end = self.words >= 0


def window_batches(
    windows: Iterable[WindowTokens], logits: Iterable[WindowLogits], n_best_size: int
) -> Iterator[WindowBatch]:
    """Blocks of whole questions."""
    mine: list[WindowTokens] = []
    scores: list[WindowLogits] = []
    for _, group in groupby(zip(windows, logits, strict=True), lambda pair: pair[0].example):
        for window, pair in group:
            mine.append(window)
            scores.append(pair)
        if len(mine) >= windows_together(n_best_size, len(scores[-1][0])):
            yield WindowBatch(mine, scores)
            mine, scores = [], []
    if mine:
        yield WindowBatch(mine, scores)


def candidates(
    block: WindowBatch, n_best_size: int, max_answer_length: int, *, at_least_one: bool
) -> tuple[list[list[Any]], NDArray[np.int64]]:
    """The fields of a block's candidates, question by question, the best first; and each one's question's number.

    Args:
        block: all windows of some questions.
        n_best_size, max_answer_length: see `best_spans`.
        at_least_one: whether a question whose best starts and ends make no span gets its best span of any.
    """
    where = (block.starts, block.ends, block.may_start, block.may_end)
    spans = best_spans(*where, n_best_size, max_answer_length)
    if at_least_one:
        without = np.flatnonzero(~np.isin(block.examples, block.examples[spans.window]))
        of_these = (block.starts[without], block.ends[without], block.may_start[without], block.may_end[without])
        more = best_span(*of_these, max_answer_length)
        spans = spans.with_others(more._replace(window=without[more.window]))
    window, start, end, start_logit, end_logit = spans = spans.ordered(block.examples)
    first, last = block.words[window, start], block.words[window, end]
    # Where no word is beside it, more of the span's own word may be in another window.
    before = np.where(start > 0, block.words[window, start - 1], -1)
    after = np.pad(block.words, ((0, 0), (0, 1)), constant_values=-1)[window, end + 1]
    whole = (before >= 0) & (before != first) & (after >= 0) & (after != last)
    of_candidate = block.examples[window]
    own = window - np.searchsorted(block.examples, of_candidate)
    columns = (own, start, end, start_logit, end_logit, first, last, whole)
    return [column.tolist() for column in columns], of_candidate
