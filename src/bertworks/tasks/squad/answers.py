"""From the logits of windows to answers: the n best spans, their texts, and whether there is an answer at all.

The rules are those of `write_predictions` in the original's run_squad.py: in each window the n tokens that score best
as a start and the n that score best as an end make spans; a span must lie in the document, begin where its window is
the one with the most context, and be short enough. A question's best spans become texts as they stand in the document.
Of version 2, "" is one more answer, whose score is that of [CLS] in the window where that is lowest.

One thing is mended. The original fails on version 2 where the n best have no span at all; here the best span of any
start and end is found for such a question, and its odds and its answer follow from it as from any other.

Shapes: N windows, W windows of a block, L tokens of a window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.tasks.squad.candidates import best_span, best_spans, windows_together
from bertworks.tasks.squad.examples import Windows
from bertworks.tasks.squad.final_text import Place, final_text, joined
from bertworks.text.basic import basic_tokenize
from bertworks.text.tokenizer import Tokenizer

# Words whose tokens are remembered: more than the distinct ones of a usual data set, and a few MB.
_WORDS = 1 << 16

Logits = tuple[NDArray[np.float32], NDArray[np.float32]]


class Question(NamedTuple):
    """A question: its id, and the white-space words of its document."""

    id: str
    words: Sequence[str]


class Window(NamedTuple):
    """A sequence that a model read: [CLS] question [SEP] part of the document [SEP].

    Attributes:
        example: the number of its question.
        tokens: [L], as text.
        words: [L]; the number of the word that each of the document's tokens is of, -1 elsewhere.
        is_max_context: [L]; whether no other window shows more of what is around a token of the document.
    """

    example: int
    tokens: Sequence[str]
    words: NDArray[np.integer]
    is_max_context: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The original's flags, with its defaults; `strip_accents` is the tokenizer's."""

    n_best_size: int = 20
    max_answer_length: int = 30
    do_lower_case: bool = True
    strip_accents: bool | None = None
    version_2_with_negative: bool = False
    null_score_diff_threshold: float = 0.0


class Entry(NamedTuple):
    """One of the n best.

    Attributes:
        text: as it stands in the document, words joined by blanks; "" for no answer.
        probability: its share among the n best.
        start_logit, end_logit: what it was scored by.
        window: which of the question's windows it was found in.
        place: where it stands; None for no answer.
    """

    text: str
    probability: float
    start_logit: float
    end_logit: float
    window: int
    place: Place | None


class Answer(NamedTuple):
    """What is known of a question.

    Attributes:
        prediction: the answer; "" for none.
        nbest: the best first; of version 2, one of them is "".
        null_odds: of version 2, the score of no answer less that of the best answer; 0 otherwise.
        best: the best entry that is an answer; None where the document has no token.
    """

    prediction: str
    nbest: list[Entry]
    null_odds: float
    best: Entry | None


# A span that may be an answer: which of its question's windows it is in; its first and last token; their logits; the
# words that these are of; whether it begins with the first token of a word and ends with the last one of a word.
_Candidate = tuple[int, int, int, float, float, int, int, bool]


# An entry whose probability is not known yet: text, logits, window and place as in `Entry`.
_Found = tuple[str, float, float, int, Place | None]


def windows_of(tokenizer: Tokenizer, windows: Windows) -> Iterator[Window]:
    """The windows of a block of examples, made for prediction; examples are counted from the block's first."""
    texts = np.array(tokenizer.tokens, object)[windows.sequences.ids].tolist()
    examples = (windows.examples - windows.examples[:1]).tolist()
    for example, (begin, end) in zip(examples, pairwise(windows.sequences.starts.tolist()), strict=True):
        yield Window(example, texts[begin:end], windows.words[begin:end], windows.is_max_context[begin:end])


def answers(
    questions: Sequence[Question], windows: Iterable[Window], logits: Iterable[Logits], settings: Settings
) -> Iterator[Answer]:
    """The answer of each question, in order, as its windows come in, some hundred windows at a time.

    Args:
        questions: all of them.
        windows: in the order of their questions; one without windows has no answer ("empty" where there must be one).
        logits: for each window those of start and end, at least [L] each. More are those of padding, which takes
            places among the n best as in the original, and is no part of an answer.
        settings: how to choose.

    Raises:
        InputError: a logit is not a finite number; the message names the question.
    """
    tokenized = lru_cache(_WORDS)(
        lambda word: " ".join(basic_tokenize(word, settings.do_lower_case, settings.strip_accents))
    )
    done = 0
    for block in _blocks(windows, logits, settings):
        first, last = block.examples[[0, -1]].tolist()
        if first < done or last >= len(questions) or (np.diff(block.examples) < 0).any():
            raise ValueError("the windows are not in the order of the questions")
        for question in questions[done:first]:
            yield _answer(question, [], [], [], settings, tokenized)
        yield from _answers(questions, block, settings, tokenized)
        done = last + 1
    for question in questions[done:]:
        yield _answer(question, [], [], [], settings, tokenized)


class _Block:
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


def _blocks(windows: Iterable[Window], logits: Iterable[Logits], settings: Settings) -> Iterator[_Block]:
    """Blocks of whole questions."""
    mine: list[Window] = []
    scores: list[Logits] = []
    for _, group in groupby(zip(windows, logits, strict=True), lambda pair: pair[0].example):
        for window, pair in group:
            mine.append(window)
            scores.append(pair)
        if len(mine) >= windows_together(settings.n_best_size, len(scores[-1][0])):
            yield _Block(mine, scores)
            mine, scores = [], []
    if mine:
        yield _Block(mine, scores)


def _answers(
    questions: Sequence[Question], block: _Block, settings: Settings, tokenized: Callable[[str], str]
) -> Iterator[Answer]:
    """The answers of the block's questions, from its first to its last."""
    broken = ~(np.isfinite(block.starts) & np.isfinite(block.ends)).all(1)
    if broken.any():
        name = questions[block.examples[broken.argmax()]].id
        raise InputError(f"question {name}: the model's logits are not finite numbers; was its training stable?")
    columns, of_candidate = _candidates(block, settings)
    first, last = block.examples[[0, -1]].tolist()
    numbers = np.arange(first, last + 2)
    nulls = list(zip(*(scores[:, 0].astype(np.float64).tolist() for scores in (block.starts, block.ends)), strict=True))
    for question, (begin, end), (begin_window, end_window) in zip(
        questions[first : last + 1],
        pairwise(np.searchsorted(of_candidate, numbers).tolist()),
        pairwise(np.searchsorted(block.examples, numbers).tolist()),
        strict=True,
    ):
        mine = slice(begin_window, end_window)
        candidates = zip(*(column[begin:end] for column in columns), strict=True)
        yield _answer(question, block.windows[mine], candidates, nulls[mine], settings, tokenized)


def _candidates(block: _Block, settings: Settings) -> tuple[list[list[Any]], NDArray[np.int64]]:
    """The fields of a block's candidates, question by question, the best first; and each one's question's number."""
    where = (block.starts, block.ends, block.may_start, block.may_end)
    spans = best_spans(*where, settings.n_best_size, settings.max_answer_length)
    if settings.version_2_with_negative:
        without = np.flatnonzero(~np.isin(block.examples, block.examples[spans.window]))
        of_these = (block.starts[without], block.ends[without], block.may_start[without], block.may_end[without])
        more = best_span(*of_these, settings.max_answer_length)
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


def _answer(
    question: Question,
    windows: Sequence[Window],
    candidates: Iterable[_Candidate],
    nulls: Sequence[tuple[float, float]],
    settings: Settings,
    tokenized: Callable[[str], str],
) -> Answer:
    """The answer to one question: from its candidates, the best first, and the logits of [CLS] in its windows."""
    limit, null_score = settings.n_best_size, -math.inf
    null: _Found | None = None
    if settings.version_2_with_negative:
        null_score, number = min(((sum(pair), i) for i, pair in enumerate(nulls)), default=(0.0, 0))
        null = ("", *(nulls[number] if nulls else (0.0, 0.0)), number, None)
    nbest: list[_Found] = []
    seen: set[str] = set()
    best: _Found | None = None
    waiting = null
    for window, start, end, start_logit, end_logit, first, last, whole in candidates:
        # No answer stands after spans of its score.
        if waiting and start_logit + end_logit < null_score and len(nbest) < limit:
            nbest.append(waiting)
            waiting = None
        if best and len(nbest) >= limit:
            break
        words = question.words[first : last + 1]
        if whole:  # a short way to what `final_text` gives, too
            text, place = " ".join(words), Place(first, 0, last, len(words[-1]))
        else:
            tokens = windows[window].tokens[start : end + 1]
            text, place = final_text(joined(tokens), words, list(map(tokenized, words)), first)
        if text in seen:
            continue
        seen.add(text)
        found = (text, start_logit, end_logit, window, place)
        best = best or found
        if len(nbest) < limit:
            nbest.append(found)
    if waiting:
        nbest.append(waiting)
    entries = _entries(nbest or [("empty", 0.0, 0.0, 0, None)])
    if null is None:
        return Answer(entries[0].text, entries, 0.0, best and entries[0])
    if best is None:
        return Answer("", entries, null_score, None)
    odds = null_score - best[1] - best[2]
    entry = next((one for one in entries if one.place), None) or Entry(best[0], 0.0, *best[1:])
    return Answer("" if odds > settings.null_score_diff_threshold else entry.text, entries, odds, entry)


def _entries(nbest: Sequence[_Found]) -> list[Entry]:
    """With their probabilities: the softmax of their scores."""
    totals = [start_logit + end_logit for _, start_logit, end_logit, _, _ in nbest]
    highest = max(totals)
    powers = [math.exp(total - highest) for total in totals]
    whole = sum(powers)
    return [
        Entry(text, power / whole, start_logit, end_logit, window, place)
        for (text, start_logit, end_logit, window, place), power in zip(nbest, powers, strict=True)
    ]
