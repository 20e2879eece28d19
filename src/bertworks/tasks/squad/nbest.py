"""From the logits of windows to answers: the n best spans, their texts, and whether there is an answer at all.

The rules are those of `write_predictions` in the original's run_squad.py. In each window the n best starts and the n
best ends make spans. A span must lie in the document, begin where its window has the maximum context, and be short
enough. A question's best spans become texts of the document. In SQuAD 2.0, "" is one more answer; its score is that of
[CLS] in the window where that is lowest.

We fix one thing. The original fails in SQuAD 2.0 if the n best starts and ends make no span. We take the question's
best span of any start and end, and derive its odds and its answer from it as from any other.

With `by_characters`, an answer's text is that of its tokens' own characters. The original looks for the tokens in their
words, and answers with the whole words if it does not find them. A Chinese paragraph is one word, so that the original
answers with the whole paragraph.

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
from bertworks.tasks.squad.candidates import Candidate, WindowLogits, WindowTokens, candidates, window_batches
from bertworks.tasks.squad.documents import SquadExample
from bertworks.tasks.squad.final_text import characters, final_text, joined
from bertworks.tasks.squad.windows import Windows
from bertworks.text.basic import basic_tokenize
from bertworks.text.tokenizer import Tokenizer

# How many words with their tokens are cached: more than the distinct words of a usual data set, a few MB.
_WORDS = 1 << 16


class Question(NamedTuple):
    """A question.

    Attributes:
        id: unique in its file.
        text: the document; only used by characters.
        spans: [T, 2]; begin and end of each of the document's tokens, in characters; only used by characters.
    """

    id: str
    words: Sequence[str]
    text: str = ""
    spans: NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True)
class AnswerSettings:
    """The original's flags, with its defaults; `strip_accents` is the tokenizer's.

    Attributes:
        by_characters: an answer is the characters of its tokens, and the n best have different positions; otherwise, as
            in the original, an answer is looked for in the words, and the n best have different texts.
    """

    n_best_size: int = 20
    max_answer_length: int = 30
    do_lower_case: bool = True
    strip_accents: bool | None = None
    version_2_with_negative: bool = False
    null_score_diff_threshold: float = 0.0
    by_characters: bool = False


class NbestEntry(NamedTuple):
    """One of the n best answers.

    Attributes:
        text: of the document; words are joined by blanks unless by characters; "" for no answer.
        probability: its share among the n best.
        start_logit, end_logit: of its first and its last token.
        window: the number of its window among those of the question.
        tokens: the numbers of its first and its last token in the document; None for no answer.
    """

    text: str
    probability: float
    start_logit: float
    end_logit: float
    window: int
    tokens: tuple[int, int] | None


class NbestAnswers(NamedTuple):
    """The answers to a question.

    Attributes:
        prediction: the answer; "" for none.
        nbest: the best first; in SQuAD 2.0 one of them is "".
        null_odds: in SQuAD 2.0, the score of no answer less that of the best answer; 0 otherwise.
        best: the best entry that is an answer; None if the document has no token.
    """

    prediction: str
    nbest: list[NbestEntry]
    null_odds: float
    best: NbestEntry | None


# The fields of `NbestEntry` without its probability.
_Scored = tuple[str, float, float, int, tuple[int, int] | None]


def window_tokens(tokenizer: Tokenizer, windows: Windows) -> Iterator[WindowTokens]:
    """Take apart the windows of a block of examples, made for prediction; count examples from the block's first."""
    texts = np.array(tokenizer.tokens, object)[windows.sequences.ids].tolist()
    examples = (windows.examples - windows.examples[:1]).tolist()
    shifts = (windows.doc_starts - windows.sequences.first).tolist()
    bounds = pairwise(windows.sequences.starts.tolist())
    for example, shift, (begin, end) in zip(examples, shifts, bounds, strict=True):
        words, is_max_context = windows.words[begin:end], windows.is_max_context[begin:end]
        yield WindowTokens(example, texts[begin:end], words, is_max_context, shift)


def questions_of(
    tokenizer: Tokenizer, examples: Iterable[SquadExample], settings: AnswerSettings
) -> Iterator[Question]:
    """Turn a block of examples into questions."""
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
    """Find the answers of each question, in order, some hundred windows at a time.

    Args:
        windows: in the order of their questions. A question without windows has no answer ("empty" in SQuAD 1.1).
        logits: for each window those of its tokens, and any number of padding. Padding takes ranks among the n best, as
            in the original, but is never part of an answer.

    Raises:
        InputError: a logit is not a finite number; names the question.
    """
    tokenized = lru_cache(_WORDS)(
        lambda word: " ".join(basic_tokenize(word, settings.do_lower_case, settings.strip_accents))
    )
    done = 0
    for batch in window_batches(windows, logits, settings.n_best_size):
        first, last = batch.examples[[0, -1]].tolist()
        if first < done or last >= len(questions) or (np.diff(batch.examples) < 0).any():
            raise ValueError("the windows are not in the order of the questions")
        broken = ~(np.isfinite(batch.starts) & np.isfinite(batch.ends)).all(1)
        if broken.any():
            name = questions[batch.examples[broken.argmax()]].id
            raise InputError(f"question {name}: the model's logits are not finite numbers; was its training stable?")
        columns, of_candidates = candidates(
            batch, settings.n_best_size, settings.max_answer_length, at_least_one=settings.version_2_with_negative
        )
        nulls = list(zip(batch.starts[:, 0].tolist(), batch.ends[:, 0].tolist(), strict=True))
        # Questions before the batch's first get no window and no candidate.
        numbers = np.arange(done, last + 2)
        for question, (begin, end), (first_window, end_window) in zip(
            questions[done : last + 1],
            pairwise(np.searchsorted(of_candidates, numbers).tolist()),
            pairwise(np.searchsorted(batch.examples, numbers).tolist()),
            strict=True,
        ):
            own = slice(first_window, end_window)
            of_question = zip(*(column[begin:end] for column in columns), strict=True)
            yield _answers(question, batch.windows[own], of_question, nulls[own], settings, tokenized)
        done = last + 1
    for question in questions[done:]:
        yield _answers(question, [], [], [], settings, tokenized)


def _answers(
    question: Question,
    windows: Sequence[WindowTokens],
    candidates: Iterable[Candidate],
    nulls: Sequence[tuple[float, float]],
    settings: AnswerSettings,
    tokenized: Callable[[str], str],
) -> NbestAnswers:
    """Choose a question's answers from its candidates, the best first, and the logits of [CLS] in its windows."""
    limit, null_score = settings.n_best_size, -math.inf
    null: _Scored | None = None
    if settings.version_2_with_negative:
        null_score, number = min(((sum(pair), i) for i, pair in enumerate(nulls)), default=(0.0, 0))
        null = ("", *(nulls[number] if nulls else (0.0, 0.0)), number, None)
    nbest: list[_Scored] = []
    seen: set[object] = set()
    best: _Scored | None = None
    waiting = null
    for window, start, end, start_logit, end_logit, first, last, whole in candidates:
        # No answer comes after spans with the same score.
        if waiting and start_logit + end_logit < null_score and len(nbest) < limit:
            nbest.append(waiting)
            waiting = None
        if best and len(nbest) >= limit:
            break
        shift = windows[window].shift
        tokens = shift + start, shift + end
        identity: object
        if settings.by_characters:
            assert question.spans is not None
            identity = begin, stop = characters(question.spans, *tokens)
            text = question.text[begin:stop]
        else:
            words = question.words[first : last + 1]
            pieces = windows[window].tokens[start : end + 1]
            # For whole words `final_text` gives the same, more slowly.
            text = " ".join(words) if whole else final_text(joined(pieces), words, list(map(tokenized, words)))
            identity = text
        if identity in seen:
            continue
        seen.add(identity)
        scored = (text, start_logit, end_logit, window, tokens)
        best = best or scored
        if len(nbest) < limit:
            nbest.append(scored)
    if waiting:
        nbest.append(waiting)
    entries = _entries(nbest or [("empty", 0.0, 0.0, 0, None)])
    if null is None:
        return NbestAnswers(entries[0].text, entries, 0.0, best and entries[0])
    if best is None:
        return NbestAnswers("", entries, null_score, None)
    odds = null_score - best[1] - best[2]
    entry = next((entry for entry in entries if entry.tokens), None) or NbestEntry(best[0], 0.0, *best[1:])
    return NbestAnswers("" if odds > settings.null_score_diff_threshold else entry.text, entries, odds, entry)


def _entries(nbest: Sequence[_Scored]) -> list[NbestEntry]:
    """Add the probabilities: the softmax of the scores."""
    totals = [start_logit + end_logit for _, start_logit, end_logit, _, _ in nbest]
    highest = max(totals)
    powers = [math.exp(total - highest) for total in totals]
    whole = sum(powers)
    return [
        NbestEntry(text, power / whole, start_logit, end_logit, window, tokens)
        for (text, start_logit, end_logit, window, tokens), power in zip(nbest, powers, strict=True)
    ]
