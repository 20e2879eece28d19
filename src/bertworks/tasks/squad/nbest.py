"""From the logits of windows to answers: the n best spans, their texts, and whether there is an answer at all.

The rules are those of `write_predictions` in the original's run_squad.py: in each window the n tokens that score best
as a start and the n that score best as an end make spans; a span must lie in the document, begin where its window is
the one with the most context, and be short enough. A question's best spans become texts as they stand in the document.
Of version 2, "" is one more answer, whose score is that of [CLS] in the window where that is lowest.

One thing is mended. The original fails on version 2 where the n best have no span at all; here the best span of any
start and end is found for such a question, and its odds and its answer follow from it as from any other.

And one thing may be chosen, `by_characters`: an answer's text is that of its tokens' own characters. The original looks
for its tokens in the words that they are of, and gives the whole words where it does not find them; a Chinese paragraph
is one word, so that it answers with all of it.

Shapes: T tokens of a document, L tokens of a window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.tasks.squad.candidates import (
    Candidate,
    WindowBatch,
    WindowLogits,
    WindowTokens,
    candidates,
    window_batches,
)
from bertworks.tasks.squad.documents import SquadExample
from bertworks.tasks.squad.final_text import characters, final_text, joined
from bertworks.tasks.squad.windows import Windows
from bertworks.text.basic import basic_tokenize
from bertworks.text.tokenizer import Tokenizer

# Words whose tokens are remembered: more than the distinct ones of a usual data set, and a few MB.
_WORDS = 1 << 16


class Question(NamedTuple):
    """A question.

    Attributes:
        id: unique in its file.
        words: the white-space words of its document.
        text: the document; by characters only.
        spans: [T, 2]; begin and end of each of the document's tokens, in characters; by characters only.
    """

    id: str
    words: Sequence[str]
    text: str = ""
    spans: NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True)
class AnswerSettings:
    """The original's flags, with its defaults; `strip_accents` is the tokenizer's.

    Attributes:
        by_characters: an answer is the characters of its tokens, and the n best are of different places; otherwise, as
            in the original, it is found in the words, and the n best are different texts.
    """

    n_best_size: int = 20
    max_answer_length: int = 30
    do_lower_case: bool = True
    strip_accents: bool | None = None
    version_2_with_negative: bool = False
    null_score_diff_threshold: float = 0.0
    by_characters: bool = False


class NbestEntry(NamedTuple):
    """One of the n best.

    Attributes:
        text: as it stands in the document, words joined by blanks unless by characters; "" for no answer.
        probability: its share among the n best.
        start_logit, end_logit: what it was scored by.
        window: which of the question's windows it was found in.
        tokens: its first and its last token, by their numbers in the document; None for no answer.
    """

    text: str
    probability: float
    start_logit: float
    end_logit: float
    window: int
    tokens: tuple[int, int] | None


class NbestAnswers(NamedTuple):
    """What is known of a question.

    Attributes:
        prediction: the answer; "" for none.
        nbest: the best first; of version 2, one of them is "".
        null_odds: of version 2, the score of no answer less that of the best answer; 0 otherwise.
        best: the best entry that is an answer; None where the document has no token.
    """

    prediction: str
    nbest: list[NbestEntry]
    null_odds: float
    best: NbestEntry | None


# An entry whose probability is not known yet: text, logits, window and tokens as in `NbestEntry`.
_Found = tuple[str, float, float, int, tuple[int, int] | None]


def window_tokens(tokenizer: Tokenizer, windows: Windows) -> Iterator[WindowTokens]:
    """The windows of a block of examples, made for prediction; examples are counted from the block's first."""
    texts = np.array(tokenizer.tokens, object)[windows.sequences.ids].tolist()
    examples = (windows.examples - windows.examples[:1]).tolist()
    shifts = (windows.doc_starts - windows.sequences.first).tolist()
    bounds = pairwise(windows.sequences.starts.tolist())
    for example, shift, (begin, end) in zip(examples, shifts, bounds, strict=True):
        yield WindowTokens(
            example, texts[begin:end], windows.words[begin:end], windows.is_max_context[begin:end], shift
        )


def questions_of(
    tokenizer: Tokenizer, examples: Iterable[SquadExample], settings: AnswerSettings
) -> Iterator[Question]:
    """The questions of a block of examples."""
    known, spans = None, None
    for example in examples:
        document = example.document
        if settings.by_characters and document is not known:
            known, spans = document, tokenizer.encode_with_offsets(document.text).spans
        yield Question(example.id, document.words, document.text, spans)


def find_answers(
    questions: Sequence[Question],
    windows: Iterable[WindowTokens],
    logits: Iterable[WindowLogits],
    settings: AnswerSettings,
) -> Iterator[NbestAnswers]:
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
    for block in window_batches(windows, logits, settings.n_best_size):
        first, last = block.examples[[0, -1]].tolist()
        if first < done or last >= len(questions) or (np.diff(block.examples) < 0).any():
            raise ValueError("the windows are not in the order of the questions")
        for question in questions[done:first]:
            yield _answer(question, [], [], [], settings, tokenized)
        yield from _answers(questions, block, settings, tokenized)
        done = last + 1
    for question in questions[done:]:
        yield _answer(question, [], [], [], settings, tokenized)


def _answers(
    questions: Sequence[Question], block: WindowBatch, settings: AnswerSettings, tokenized: Callable[[str], str]
) -> Iterator[NbestAnswers]:
    """The answers of the block's questions, from its first to its last."""
    broken = ~(np.isfinite(block.starts) & np.isfinite(block.ends)).all(1)
    if broken.any():
        name = questions[block.examples[broken.argmax()]].id
        raise InputError(f"question {name}: the model's logits are not finite numbers; was its training stable?")
    columns, of_candidate = candidates(
        block,
        settings.n_best_size,
        settings.max_answer_length,
        at_least_one=settings.version_2_with_negative,
    )
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
        of_question = zip(*(column[begin:end] for column in columns), strict=True)
        yield _answer(question, block.windows[mine], of_question, nulls[mine], settings, tokenized)


def _answer(
    question: Question,
    windows: Sequence[WindowTokens],
    candidates: Iterable[Candidate],
    nulls: Sequence[tuple[float, float]],
    settings: AnswerSettings,
    tokenized: Callable[[str], str],
) -> NbestAnswers:
    """The answer to one question: from its candidates, the best first, and the logits of [CLS] in its windows."""
    limit, null_score = settings.n_best_size, -math.inf
    null: _Found | None = None
    if settings.version_2_with_negative:
        null_score, number = min(((sum(pair), i) for i, pair in enumerate(nulls)), default=(0.0, 0))
        null = ("", *(nulls[number] if nulls else (0.0, 0.0)), number, None)
    nbest: list[_Found] = []
    seen: set[object] = set()
    best: _Found | None = None
    waiting = null
    for window, start, end, start_logit, end_logit, first, last, whole in candidates:
        # No answer stands after spans of its score.
        if waiting and start_logit + end_logit < null_score and len(nbest) < limit:
            nbest.append(waiting)
            waiting = None
        if best and len(nbest) >= limit:
            break
        shift = windows[window].shift
        tokens = shift + start, shift + end
        words = question.words[first : last + 1]
        place: object
        if settings.by_characters:
            assert question.spans is not None
            place = begin, stop = characters(question.spans, *tokens)
            text = question.text[begin:stop]
        else:
            # Whole words are a short way to what `final_text` gives, too.
            pieces = windows[window].tokens[start : end + 1]
            text = " ".join(words) if whole else final_text(joined(pieces), words, list(map(tokenized, words)))
            place = text
        if place in seen:
            continue
        seen.add(place)
        found = (text, start_logit, end_logit, window, tokens)
        best = best or found
        if len(nbest) < limit:
            nbest.append(found)
    if waiting:
        nbest.append(waiting)
    entries = _entries(nbest or [("empty", 0.0, 0.0, 0, None)])
    if null is None:
        return NbestAnswers(entries[0].text, entries, 0.0, best and entries[0])
    if best is None:
        return NbestAnswers("", entries, null_score, None)
    odds = null_score - best[1] - best[2]
    entry = next((one for one in entries if one.tokens), None) or NbestEntry(best[0], 0.0, *best[1:])
    return NbestAnswers("" if odds > settings.null_score_diff_threshold else entry.text, entries, odds, entry)


def _entries(nbest: Sequence[_Found]) -> list[NbestEntry]:
    """With their probabilities: the softmax of their scores."""
    totals = [start_logit + end_logit for _, start_logit, end_logit, _, _ in nbest]
    highest = max(totals)
    powers = [math.exp(total - highest) for total in totals]
    whole = sum(powers)
    return [
        NbestEntry(text, power / whole, start_logit, end_logit, window, tokens)
        for (text, start_logit, end_logit, window, tokens), power in zip(nbest, powers, strict=True)
    ]
