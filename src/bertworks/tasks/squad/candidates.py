"""The spans of a question's windows that may be its answer: those of the best starts and ends, many windows at a time.

Shapes: W windows, L tokens of the longest, S spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# How many logits, or pairs of a start and an end, are processed together: as many as second-level caches hold.
PAIRS_TOGETHER = 1 << 17

# The logits of a window's tokens, padding included: as starts and as ends, [L] each.
WindowLogits = tuple[NDArray[np.float32], NDArray[np.float32]]

# A span that may be an answer: the number of its window among those of its question; its first and last token in the
# window; their logits; their words; whether it begins with the first token of a word and ends with the last of a word.
Candidate = tuple[int, int, int, float, float, int, int, bool]


class WindowTokens(NamedTuple):
    """A sequence that a model reads: [CLS] question [SEP] part of the document [SEP].

    Attributes:
        example: the number of its question.
        tokens: [L], as text.
        words: [L]; the number of each document token's word, -1 elsewhere.
        is_max_context: [L]; whether no other window shows more context of this document token.
        shift: number in the document less position in the window, of every document token.
    """

    example: int
    tokens: Sequence[str]
    words: NDArray[np.integer]
    is_max_context: NDArray[np.bool_]
    shift: int = 0


class WindowBatch:
    """All windows of some questions, as arrays.

    Attributes:
        examples: [W]; the number of each window's question.
        starts, ends: [W, L]; logits; the lowest float32 after a window's own.
        words: [W, L]; as in `WindowTokens`; -1 after a window's own, too.
        may_start, may_end: [W, L]; where an answer may begin and end.
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
    """Group the windows of whole questions into batches."""
    batch: list[WindowTokens] = []
    batch_logits: list[WindowLogits] = []
    for _, of_question in groupby(zip(windows, logits, strict=True), lambda pair: pair[0].example):
        for window, of_window in of_question:
            batch.append(window)
            batch_logits.append(of_window)
        if len(batch) >= _windows_together(n_best_size, len(batch_logits[-1][0])):
            yield WindowBatch(batch, batch_logits)
            batch, batch_logits = [], []
    if batch:
        yield WindowBatch(batch, batch_logits)


def _windows_together(n_best_size: int, length: int) -> int:
    """Return how many windows of `length` tokens are processed together."""
    return max(1, PAIRS_TOGETHER // max(length, min(n_best_size, length) ** 2))


def candidates(
    batch: WindowBatch, n_best_size: int, max_answer_length: int, *, at_least_one: bool
) -> tuple[list[list[Any]], NDArray[np.int64]]:
    """Find the candidates of a batch, question by question, the best first.

    With `at_least_one`, if the best starts and ends of a question make no span, take its best span of any start and
    end. See `best_spans` for the numbers.

    Returns:
        the fields of `Candidate`, [S] each, and the number of each candidate's question, [S].
    """
    spans = best_spans(batch.starts, batch.ends, batch.may_start, batch.may_end, n_best_size, max_answer_length)
    if at_least_one:
        without = np.flatnonzero(~np.isin(batch.examples, batch.examples[spans.window]))
        of_these = batch.starts[without], batch.ends[without], batch.may_start[without], batch.may_end[without]
        more = best_span(*of_these, max_answer_length)
        spans = CandidateSpans._make(map(np.append, spans, more._replace(window=without[more.window])))
    window, start, end, start_logit, end_logit = spans.ordered(batch.examples)
    first, last = batch.words[window, start], batch.words[window, end]
    # At the edge of the document's part, more tokens of the span's word may be in another window.
    before = np.where(start > 0, batch.words[window, start - 1], -1)
    after = np.pad(batch.words, ((0, 0), (0, 1)), constant_values=-1)[window, end + 1]
    whole = (before >= 0) & (before != first) & (after >= 0) & (after != last)
    examples = batch.examples[window]
    own = window - np.searchsorted(batch.examples, examples)
    return [column.tolist() for column in (own, start, end, start_logit, end_logit, first, last, whole)], examples


class CandidateSpans(NamedTuple):
    """Spans that may be answers, [S] each: window, first and last token, their logits in double precision."""

    window: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    start_logit: NDArray[np.float64]
    end_logit: NDArray[np.float64]

    def ordered(self, group: NDArray[np.integer]) -> CandidateSpans:
        """Sort by the group of each window, then from the best score down; equal ones stay in order."""
        order = np.lexsort((-(self.start_logit + self.end_logit), group[self.window]))
        return CandidateSpans._make(column[order] for column in self)


def best_spans(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    may_start: NDArray[np.bool_],
    may_end: NDArray[np.bool_],
    n_best_size: int,
    max_answer_length: int,
) -> CandidateSpans:
    """Find the spans of the `n_best_size` best starts and ends, window by window, by the start's rank, then the end's.

    Args:
        starts, ends: [W, L]; finite logits.
        may_start, may_end: [W, L]; where an answer may begin and end. The best are chosen regardless of it.
        n_best_size: how many starts and ends of a window are combined.
        max_answer_length: the most tokens of a span.
    """
    count, length = starts.shape
    step = _windows_together(n_best_size, length)
    parts = []
    for first in range(0, count, step):
        part = slice(first, first + step)
        start, end = _best(starts[part], n_best_size), _best(ends[part], n_best_size)  # [w, n]
        # Move starts and ends that are not allowed to where they make no span.
        start = np.where(np.take_along_axis(may_start[part], start, 1), start, length)
        end = np.where(np.take_along_axis(may_end[part], end, 1), end, -1)
        longer = end.astype(np.int32)[:, None] - start.astype(np.int32)[:, :, None]  # [w, starts, ends]
        # As unsigned numbers, negative ones are too large.
        found = np.flatnonzero(longer.view(np.uint32) < min(max(0, max_answer_length), length))
        row, column = np.divmod(found, end.shape[1])
        window = row // start.shape[1]
        parts.append((window + first, start.ravel()[row], end[window, column]))
    return _with_logits(starts, ends, *map(np.concatenate, zip(*parts, strict=True)))


def best_span(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    may_start: NDArray[np.bool_],
    may_end: NDArray[np.bool_],
    max_answer_length: int,
) -> CandidateSpans:
    """Find the best span of each window, of any start and end, if there is one. See `best_spans` for the arguments."""
    found = []
    for window in range(len(starts)):
        start, end = np.flatnonzero(may_start[window]), np.flatnonzero(may_end[window])
        longer = end - start[:, None]  # [starts, ends]
        allowed = (longer >= 0) & (longer < max_answer_length)
        if allowed.any():
            totals = starts[window, start].astype(np.float64)[:, None] + ends[window, end].astype(np.float64)
            row, column = np.unravel_index(np.where(allowed, totals, -np.inf).argmax(), totals.shape)
            found.append((window, start[row], end[column]))
    return _with_logits(starts, ends, *np.array(found, np.int64).reshape(-1, 3).T)


def _with_logits(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    window: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
) -> CandidateSpans:
    logits = starts[window, start].astype(np.float64), ends[window, end].astype(np.float64)
    return CandidateSpans(window, start, end, *logits)


def _best(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return where the highest scores of each row are, the highest first, the earlier of equal ones first.

    Score and position are packed into one whole number that is smaller for a higher score, then for an earlier
    position. The bits of floats are in the order of the floats, but reversed below 0.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0, its equal
    ascending = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    keys = (~ascending).astype(np.int64) << 32 | np.arange(scores.shape[1])
    if count < keys.shape[1]:
        keys = np.partition(keys, count - 1, axis=1)[:, :count]
    keys.sort(axis=1)
    return keys & 0xFFFFFFFF
