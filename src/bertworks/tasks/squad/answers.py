"""From the logits of windows to answers: the n best spans, their texts, and whether there is an answer at all.

The rules are those of `write_predictions` in the original's run_squad.py: in each window the n tokens that score best
as a start and the n that score best as an end make spans; a span must lie in the document, begin where its window is
the one with the most context, and be short enough. A question's best spans become texts as they stand in the document.
Of version 2, "" is one more answer, whose score is that of [CLS] in the window where that is lowest.

One thing is mended. The original fails on version 2 where the n best have no span at all; here the best span of any
start and end is found for such a question, and its odds and its answer follow from it as from any other.

Shapes: L tokens of a window, S spans.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.tasks.squad.final_text import Place, final_text
from bertworks.text.basic import basic_tokenize

# Words whose tokens are remembered: more than the distinct ones of a usual data set, and a few MB.
_WORDS = 1 << 16

Logits = tuple[NDArray[np.floating], NDArray[np.floating]]


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


class _Spans(NamedTuple):
    """Possible answers. All [S]: the window of the question, first and last token, their logits in double precision."""

    window: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    start_logit: NDArray[np.float64]
    end_logit: NDArray[np.float64]


class _Null(NamedTuple):
    """No answer: the window in which it is least likely, and its logits there."""

    window: int
    start_logit: float
    end_logit: float


def answers(
    questions: Sequence[Question], windows: Iterable[Window], logits: Iterable[Logits], settings: Settings
) -> Iterator[Answer]:
    """The answer of each question, in order, as its windows come in.

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
    groups = groupby(zip(windows, logits, strict=True), lambda pair: pair[0].example)
    number, group = next(groups, (len(questions), iter(())))
    words: Sequence[str] = ()
    of_words: list[str] = []
    for i, question in enumerate(questions):
        mine: list[tuple[Window, Logits]] = []
        if number == i:
            mine = list(group)
            number, group = next(groups, (len(questions), iter(())))
        if question.words is not words:  # those about one document follow each other
            words, of_words = question.words, list(map(tokenized, question.words))
        yield _answer(question, [window for window, _ in mine], [scores for _, scores in mine], settings, of_words)
    if number != len(questions):
        raise ValueError("the windows are not in the order of the questions")


def _answer(
    question: Question,
    windows: Sequence[Window],
    logits: Sequence[Logits],
    settings: Settings,
    tokenized: Sequence[str],
) -> Answer:
    """The answer to one question from its windows."""
    if not all(np.isfinite(scores).all() for pair in logits for scores in pair):
        raise InputError(f"question {question.id}: the model's logits are not finite numbers; was its training stable?")
    null = _null(logits) if settings.version_2_with_negative else None
    spans = _joined([_spans(i, *one, settings) for i, one in enumerate(zip(windows, logits, strict=True))])
    if null and not len(spans.window):
        spans = _joined([_best_of_all(i, *one, settings) for i, one in enumerate(zip(windows, logits, strict=True))])
    totals = spans.start_logit + spans.end_logit
    order = np.argsort(-totals, kind="stable")
    # No answer stands after spans of its score.
    before_null = int((totals >= null.start_logit + null.end_logit).sum()) if null else -1
    nbest: list[Entry] = []
    seen: set[str] = set()
    best: Entry | None = None
    for i, span in enumerate(zip(*(array[order].tolist() for array in spans), strict=True)):
        if null and i == before_null and len(nbest) < settings.n_best_size:
            nbest.append(_null_entry(null))
        if len(nbest) >= settings.n_best_size and best:
            break
        entry = _entry(question, windows[span[0]], span, tokenized)
        if entry.text in seen:
            continue
        seen.add(entry.text)
        best = best or entry
        if len(nbest) < settings.n_best_size:
            nbest.append(entry)
    if null and all(entry.place for entry in nbest):
        nbest.append(_null_entry(null))
    if not nbest:
        nbest.append(Entry("empty", 0.0, 0.0, 0.0, 0, None))
    nbest = _with_probabilities(nbest)
    if null is None:
        return Answer(nbest[0].text, nbest, 0.0, best and nbest[0])
    if best is None:
        return Answer("", nbest, null.start_logit + null.end_logit, None)
    odds = null.start_logit + null.end_logit - best.start_logit - best.end_logit
    best = next((entry for entry in nbest if entry.place), best)
    return Answer("" if odds > settings.null_score_diff_threshold else best.text, nbest, odds, best)


def _null(logits: Sequence[Logits]) -> _Null:
    """No answer, from the logits of [CLS]; 0 where there is no window."""
    found = [_Null(i, float(start[0]), float(end[0])) for i, (start, end) in enumerate(logits)]
    return min(found, key=lambda one: one.start_logit + one.end_logit, default=_Null(0, 0.0, 0.0))


def _null_entry(null: _Null) -> Entry:
    return Entry("", 0.0, null.start_logit, null.end_logit, null.window, None)


def _spans(number: int, window: Window, logits: Logits, settings: Settings) -> _Spans:
    """The spans of a window of its best starts and ends, in the order of starts, then of ends, the best first."""
    starts, ends = (_best(scores, settings.n_best_size) for scores in logits)
    starts, ends = starts[starts < len(window.words)], ends[ends < len(window.words)]
    starts, ends = starts[window.is_max_context[starts]], ends[window.words[ends] >= 0]
    longer = ends - starts[:, None]  # [starts, ends]
    of_start, of_end = np.nonzero((longer >= 0) & (longer < settings.max_answer_length))
    return _made(number, starts[of_start], ends[of_end], logits)


def _best_of_all(number: int, window: Window, logits: Logits, settings: Settings) -> _Spans:
    """The one best span of a window, of any start and any end."""
    starts, ends = np.flatnonzero(window.is_max_context), np.flatnonzero(window.words >= 0)
    longer = ends - starts[:, None]  # [starts, ends]
    allowed = (longer >= 0) & (longer < settings.max_answer_length)
    if not allowed.any():
        return _made(number, starts[:0], ends[:0], logits)
    totals = logits[0][starts].astype(np.float64)[:, None] + logits[1][ends].astype(np.float64)
    row, column = np.unravel_index([np.where(allowed, totals, -np.inf).argmax()], totals.shape)
    return _made(number, starts[row], ends[column], logits)


def _made(number: int, starts: NDArray[np.int64], ends: NDArray[np.int64], logits: Logits) -> _Spans:
    of_start, of_end = (scores.astype(np.float64) for scores in (logits[0][starts], logits[1][ends]))
    return _Spans(np.full(len(starts), number), starts, ends, of_start, of_end)


def _joined(parts: Sequence[_Spans]) -> _Spans:
    if not parts:
        none, no_scores = np.zeros(0, np.int64), np.zeros(0, np.float64)
        return _Spans(none, none, none, no_scores, no_scores)
    return parts[0] if len(parts) == 1 else _Spans(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _best(scores: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Where the highest scores are, the highest first; of equal ones the earlier comes first, and stays."""
    if count >= len(scores):
        return np.argsort(-scores, kind="stable")
    # What is not below the last of them, in order of place; then the excess of equal ones is cut off.
    lowest = np.partition(scores, len(scores) - count)[len(scores) - count]
    candidates = np.flatnonzero(scores >= lowest)
    return candidates[np.argsort(-scores[candidates], kind="stable")[:count]]


def _entry(
    question: Question,
    window: Window,
    span: tuple[int, int, int, float, float],
    tokenized: Sequence[str],
) -> Entry:
    """A span with its text; its probability is not known yet."""
    number, start, end, start_logit, end_logit = span
    predicted = " ".join(window.tokens[start : end + 1]).replace(" ##", "").replace("##", "")
    first, last = int(window.words[start]), int(window.words[end])
    words = question.words[first : last + 1]
    text, place = final_text(" ".join(predicted.split()), words, tokenized[first : last + 1], first)
    return Entry(text, 0.0, start_logit, end_logit, number, place)


def _with_probabilities(entries: Sequence[Entry]) -> list[Entry]:
    """The softmax of their scores."""
    totals = [entry.start_logit + entry.end_logit for entry in entries]
    highest = max(totals)
    powers = [math.exp(one - highest) for one in totals]
    whole = sum(powers)
    return [Entry(one.text, power / whole, *one[2:]) for one, power in zip(entries, powers, strict=True)]
