"""Windows with their logits, many at a time, and the spans of each question's windows that may be its answer.

Shapes: W windows of a block, L tokens of a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.tasks.squad.candidates import best_span, best_spans, windows_together

Logits = tuple[NDArray[np.float32], NDArray[np.float32]]


class Window(NamedTuple):
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


class Block:
    """All windows of some questions, as arrays.

    Attributes:
        windows: W of them.
        examples: [W]; the number of each one's question.
        starts, ends: [W, L]; logits. Beyond a window's own, the lowest number.
        words: [W, L]; -1 beyond a window's own, too.
        may_start, may_end: [W, L]; where an answer may begin, and end.
    """

    def __init__(self, windows: Sequence[Window], logits: Sequence[Logits]) -> None:
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


def blocks(windows: Iterable[Window], logits: Iterable[Logits], n_best_size: int) -> Iterator[Block]:
    """Blocks of whole questions."""
    mine: list[Window] = []
    scores: list[Logits] = []
    for _, group in groupby(zip(windows, logits, strict=True), lambda pair: pair[0].example):
        for window, pair in group:
            mine.append(window)
            scores.append(pair)
        if len(mine) >= windows_together(n_best_size, len(scores[-1][0])):
            yield Block(mine, scores)
            mine, scores = [], []
    if mine:
        yield Block(mine, scores)


def candidates(
    block: Block, n_best_size: int, max_answer_length: int, *, at_least_one: bool
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
