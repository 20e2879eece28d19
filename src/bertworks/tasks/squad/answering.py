"""Answer questions with a fine-tuned model: find the answer in one text or in several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypedDict, Unpack

import numpy as np
import torch

from bertworks.config import BertConfig
from bertworks.data.sequences import Sequences
from bertworks.errors import InputError
from bertworks.model.heads import SpanClassifier
from bertworks.tasks.result import Result
from bertworks.tasks.squad import nbest
from bertworks.tasks.squad.candidates import WindowLogits
from bertworks.tasks.squad.documents import Document, SquadExample
from bertworks.tasks.squad.final_text import characters
from bertworks.tasks.squad.task import logits_of
from bertworks.tasks.squad.windows import ExampleWindows, Windows, WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer


class FoundAnswer(Result):
    """A possible answer.

    Attributes:
        begin, end: in characters: document[begin:end] is `text`.
        document: the number of the document.
        score: the sum of the logits of its first and its last token.
        probability: the softmax of the scores of all answers in all documents and, if allowed, of no answer.
        window: begin and end, in characters, of the window of the document in which the model found it.
    """

    text: str
    begin: int
    end: int
    document: int
    score: float
    probability: float
    window: tuple[int, int]


class Answered(Result):
    """The answers to a question.

    Attributes:
        question: as it was asked.
        answers: the best first.
        no_answer_probability: that no document has the answer; None if the model always answers, as one of SQuAD 1.1.
        has_answer: False if no answer is allowed, and its score is above that of the best answer by more than the
            threshold that the training found, or 0; also if the question is empty.
        question_cut: whether the model saw only the beginning of the question.
    """

    question: str
    answers: list[FoundAnswer]
    no_answer_probability: float | None
    has_answer: bool
    question_cut: bool


class Texts:
    """Texts that questions are asked about, prepared once for many questions.

    Attributes:
        documents: those that have words.
        numbers: of each of these documents, among all that were given.
        spans: for each of them, begin and end of its tokens, in characters. Shape [T, 2].
    """

    def __init__(self, tokenizer: Tokenizer, texts: str | Sequence[str], names: Sequence[str] | None = None) -> None:
        """Tokenize one text or several, of which one must have words; `names` are for messages."""
        given: object = texts
        if not isinstance(given, Iterable) or isinstance(given, bytes):
            raise InputError(f"documents: must be a text or a list of texts, not {given!r:.60}")
        several: list[object] = [given] if isinstance(given, str) else list(given)
        if not several:
            raise InputError("documents: there are none; give at least one text")
        self.documents: list[Document] = []
        self.numbers: list[int] = []
        self.spans = []
        empty: list[str] = []
        for number, text in enumerate(several):
            name = names[number] if names else f"document {number}"
            if not isinstance(text, str):
                raise InputError(f"{name}: is not a text but {text!r:.60}")
            spans = tokenizer.encode_with_offsets(text).spans
            if not len(spans):
                # The tokenizer deletes more than blanks.
                empty.append(f"{name}: is empty" + ("" if not text.strip() else " after tokenization"))
                continue
            self.documents.append(Document(text, name))
            self.numbers.append(number)
            self.spans.append(spans)
        if not self.documents:
            raise InputError(empty[0])


class AnswerOptions(TypedDict, total=False):
    """The options of `answer`, each None or left out for its default."""

    max_seq_length: int | None
    doc_stride: int | None
    max_query_length: int | None
    n_best_size: int
    max_answer_length: int
    allow_none: bool | None
    allow_overlap: bool


class Asked(NamedTuple):
    """A question, ready for the network.

    Attributes:
        blocks: the windows of the documents, some thousand at a time; none of an empty question.
        top_k: the most answers.
        allow_none: whether no answer is possible.
        allow_overlap: whether an answer may share characters with a better one.
        threshold: how much higher the score of no answer must be than that of the best answer.
    """

    question: str
    texts: Texts
    blocks: Iterable[ExampleWindows]
    settings: nbest.AnswerSettings
    top_k: int
    allow_none: bool
    allow_overlap: bool
    threshold: float


def answer(
    model: SpanClassifier,
    tokenizer: Tokenizer,
    question: str,
    documents: str | Sequence[str] | Texts,
    *,
    top_k: int = 3,
    dtype: torch.dtype = torch.float32,
    **options: Unpack[AnswerOptions],
) -> Answered:
    """Find the best answers to a question in documents of any length; see `ask` for the arguments and errors.

    A long document is read through several windows that overlap. The score of no answer is the lowest score of [CLS]
    in the windows of all documents; the original does the same for the windows of one document.
    """
    asked = ask(model.config, tokenizer, question, documents, top_k=top_k, **options)
    return best_answers(asked, tokenizer, partial(logits_of, model, dtype=dtype))


def ask(
    config: BertConfig,
    tokenizer: Tokenizer,
    question: str,
    documents: str | Sequence[str] | Texts,
    *,
    top_k: int = 3,
    max_seq_length: int | None = None,
    doc_stride: int | None = None,
    max_query_length: int | None = None,
    n_best_size: int = 20,
    max_answer_length: int = 30,
    allow_none: bool | None = None,
    allow_overlap: bool = False,
) -> Asked:
    """Prepare a question.

    Args:
        question: cut to max_query_length; an empty one has no answers.
        documents: one or several, of which one has words. `Texts` are prepared once for many questions.
        top_k: the most answers. Their positions differ; their texts may be equal.
        max_seq_length, doc_stride, max_query_length: tokens of a window, between windows, of a question; by default as
            in the model's training, or 384, 128 and 64, or less if the model cannot read as much.
        n_best_size: how many starts and ends of a window are combined, at least `top_k`.
        max_answer_length: the longest answer, in tokens.
        allow_none: whether no answer is possible and has a probability; by default as in the model's training: not with
            SQuAD 1.1.
        allow_overlap: whether an answer may share characters with a better one.

    Raises:
        InputError: a question or a document is not a text; no document has words; a number is out of range.
    """
    if not isinstance(question, str):
        raise InputError(f"question: is not a text but {question!r:.60}")
    for name, number in (("top_k", top_k), ("n_best_size", n_best_size), ("max_answer_length", max_answer_length)):
        if not isinstance(number, int | np.integer) or number < 1:
            raise InputError(f"{name}={number}: must be a whole number of at least 1")
    texts = documents if isinstance(documents, Texts) else Texts(tokenizer, documents)
    if allow_none is None:
        allow_none = config.fine_tuned("version_2_with_negative", bool) is not False
    settings = nbest.AnswerSettings(
        n_best_size=max(n_best_size, top_k),
        max_answer_length=max_answer_length,
        do_lower_case=tokenizer.do_lower_case,
        strip_accents=tokenizer.strip_accents,
        version_2_with_negative=True,
        by_characters=True,
    )
    read = texts.documents if question.strip() else []
    examples = (SquadExample(str(number), question, document) for number, document in enumerate(read))
    settings_of_windows = window_settings(config, max_seq_length, doc_stride, max_query_length)
    blocks = make_windows(tokenizer, examples, settings_of_windows, training=False)
    threshold = config.fine_tuned("null_score_diff_threshold", float) or 0.0
    return Asked(question, texts, blocks, settings, top_k, allow_none, allow_overlap, threshold)


def best_answers(
    asked: Asked, tokenizer: Tokenizer, logits_of: Callable[[Sequences], Iterator[WindowLogits]]
) -> Answered:
    """Choose the best answers; `logits_of` gives the logits of each window of a block."""
    found: list[FoundAnswer] = []
    null, question_cut = math.inf, False
    texts = asked.texts
    if not asked.question.strip():
        none, empty = 1.0 if asked.allow_none else None, asked.question
        return Answered(question=empty, answers=[], no_answer_probability=none, has_answer=False, question_cut=False)
    for block, windows in asked.blocks:
        numbers = [int(example.id) for example in block]
        questions = [nbest.Question(str(n), (), texts.documents[n].text, texts.spans[n]) for n in numbers]
        tokens = nbest.window_tokens(tokenizer, windows)
        of_block = nbest.find_answers(questions, tokens, logits_of(windows.sequences), asked.settings)
        for number, answers in zip(numbers, of_block, strict=True):
            found += _found(number, texts, answers, windows)
            nulls = (entry.start_logit + entry.end_logit for entry in answers.nbest if entry.tokens is None)
            null = min([null, *nulls])
        question_cut = question_cut or windows.questions_cut > 0
    found.sort(key=lambda answer: -answer.score)
    scores = [answer.score for answer in found] + ([null] if asked.allow_none else [])
    highest = max(scores, default=0.0)
    whole = sum(math.exp(score - highest) for score in scores)
    for one in found:
        one["probability"] = math.exp(one.score - highest) / whole
    return Answered(
        question=asked.question,
        answers=found[: asked.top_k] if asked.allow_overlap else _apart(found, asked.top_k),
        no_answer_probability=math.exp(null - highest) / whole if asked.allow_none else None,
        has_answer=bool(found) and not (asked.allow_none and null - found[0].score > asked.threshold),
        question_cut=question_cut,
    )


def _apart(answers: Iterable[FoundAnswer], most: int) -> list[FoundAnswer]:
    """Return the first answers that share no character with one before them."""
    kept: list[FoundAnswer] = []
    for one in answers:
        if len(kept) == most:
            break
        if not any(one.document == k.document and one.begin < k.end and k.begin < one.end for k in kept):
            kept.append(one)
    return kept


def window_settings(
    config: BertConfig, max_seq_length: int | None, doc_stride: int | None, max_query_length: int | None
) -> WindowSettings:
    """Take what is given, else the values of the training, else the original's, as far as the model can read."""
    room, trained = config.max_position_embeddings, config.fine_tuned
    if max_seq_length is None:
        max_seq_length = min(trained("max_seq_length", int) or WindowSettings.max_seq_length, room)
    elif max_seq_length > room:
        raise InputError(f"--max_seq_length={max_seq_length}: the model can read no more than {room} tokens")
    if doc_stride is None:
        doc_stride = trained("doc_stride", int) or WindowSettings.doc_stride
    if max_query_length is None:
        wanted = trained("max_query_length", int)
        wanted = WindowSettings.max_query_length if wanted is None else wanted
        max_query_length = max(0, min(wanted, (max_seq_length - 3) // 2))
    return WindowSettings(
        max_seq_length=max_seq_length,
        doc_stride=min(doc_stride, max_seq_length),  # more makes no difference, because windows leave nothing out
        max_query_length=max_query_length,
    )


def _found(number: int, texts: Texts, answers: nbest.NbestAnswers, windows: Windows) -> Iterator[FoundAnswer]:
    """Turn the n best of one document into answers; their probabilities are not known yet."""
    text, spans = texts.documents[number].text, texts.spans[number]
    first_window = int(windows.examples.searchsorted(number))
    sequences = windows.sequences
    for _, _, start_logit, end_logit, window, tokens in answers.nbest:
        if tokens is not None:
            begin, end = characters(spans, *tokens)
            at = first_window + window
            # The tokens between [CLS] question [SEP] and the last [SEP].
            first = int(windows.doc_starts[at])
            seen = characters(spans, first, first + int(sequences.lengths[at] - sequences.first[at]) - 2)
            yield FoundAnswer(
                text=text[begin:end],
                begin=begin,
                end=end,
                document=texts.numbers[number],
                score=start_logit + end_logit,
                probability=0.0,
                window=seen,
            )
