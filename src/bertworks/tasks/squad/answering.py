"""Questions to answers with a model that has been fine-tuned: where in a text, or in several, the answer stands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.model.heads import SpanClassifier
from bertworks.tasks.squad import answers, examples
from bertworks.tasks.squad.examples import Windows
from bertworks.tasks.squad.reading import Document, Example
from bertworks.tasks.squad.spans import predict_answers
from bertworks.text.tokenizer import Tokenizer

# The original's, where neither the caller nor the model's folder says.
_MAX_SEQ_LENGTH, _DOC_STRIDE, _MAX_QUERY_LENGTH = 384, 128, 64


class Found(NamedTuple):
    """A possible answer.

    Attributes:
        text: as it stands in the document.
        begin, end: where, in characters: document[begin:end] is `text`.
        document: the number of the document.
        score: the sum of the logits of its first and its last token.
        probability: the softmax of that among all that was found in all documents and, if allowed, no answer.
        window: the part of the document that the model saw at a time and found it in, in characters: whole words.
    """

    text: str
    begin: int
    end: int
    document: int
    score: float
    probability: float
    window: tuple[int, int]


class Answered(NamedTuple):
    """What is known of a question.

    Attributes:
        answers: the best first.
        no_answer_probability: of no document having the answer; 0 where that is not allowed.
    """

    answers: list[Found]
    no_answer_probability: float


def answer(
    model: SpanClassifier,
    tokenizer: Tokenizer,
    question: str,
    documents: str | Sequence[str],
    *,
    top_k: int = 3,
    max_seq_length: int | None = None,
    doc_stride: int | None = None,
    max_query_length: int | None = None,
    n_best_size: int = 20,
    max_answer_length: int = 30,
    allow_none: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Answered:
    """The best answers to a question in a document, or in several, which may be of any length.

    A document longer than a window is read through several that overlap. No answer scores what [CLS] scores in the
    window, of any document, where that is lowest, as the original does for the windows of one document.

    Args:
        model: on its device.
        tokenizer: over its vocabulary.
        question: at least a word. What is longer than max_query_length is cut.
        documents: one, or several; each at least a word.
        top_k: how many answers at most. Of equal texts in one document, the best is given.
        max_seq_length, doc_stride, max_query_length: tokens of a window, between windows, of a question; None is as in
            the model's training, or 384, 128 and 64, or less where the model cannot read as much.
        n_best_size: how many starts and ends of a window are looked at; `top_k` if that is more.
        max_answer_length: the longest answer, in tokens.
        allow_none: whether no answer takes part in the probabilities.
        dtype: what to compute in.

    Raises:
        InputError: a question or a document is empty, there is no document, or a number makes no sense.
    """
    texts = [documents] if isinstance(documents, str) else list(documents)
    if not question.strip():
        raise InputError("question: is empty")
    if not texts:
        raise InputError("documents: there are none; give at least one text")
    for name, number in (("top_k", top_k), ("n_best_size", n_best_size), ("max_answer_length", max_answer_length)):
        if number < 1:
            raise InputError(f"{name}={number}: must be at least 1")
    read = [Document(text, f"document {number}") for number, text in enumerate(texts)]
    for document in read:
        if not document.words:
            raise InputError(f"{document.place}: is empty")
    chosen = answers.Settings(
        n_best_size=max(n_best_size, top_k),
        max_answer_length=max_answer_length,
        do_lower_case=tokenizer.do_lower_case,
        strip_accents=tokenizer.strip_accents,
        version_2_with_negative=True,
    )
    found: list[Found] = []
    null = math.inf
    asked = (Example(str(number), question, document) for number, document in enumerate(read))
    of_windows = _settings(model.config, max_seq_length, doc_stride, max_query_length)
    for block, windows in examples.windows(tokenizer, asked, of_windows, training=False):
        for example, one in predict_answers(model, tokenizer, [(block, windows)], chosen, dtype=dtype):
            number = int(example.id)
            found += _found(number, example.document, one, windows)
            null = min([null, *(entry.start_logit + entry.end_logit for entry in one.nbest if entry.place is None)])
    found.sort(key=lambda one: -one.score)
    scores = [one.score for one in found] + ([null] if allow_none else [])
    highest = max(scores, default=0.0)
    whole = sum(math.exp(score - highest) for score in scores)
    return Answered(
        [one._replace(probability=math.exp(one.score - highest) / whole) for one in found[:top_k]],
        math.exp(null - highest) / whole if allow_none else 0.0,
    )


def _settings(
    config: BertConfig, max_seq_length: int | None, doc_stride: int | None, max_query_length: int | None
) -> examples.Settings:
    """What windows are: as told, as in training, or as the original has it and the model can read."""
    room, trained = config.max_position_embeddings, config.fine_tuning
    if max_seq_length is None:
        max_seq_length = min(int(trained.get("max_seq_length", _MAX_SEQ_LENGTH)), room)
    elif max_seq_length > room:
        raise InputError(f"--max_seq_length={max_seq_length}: the model can read no more than {room} tokens")
    if doc_stride is None:
        doc_stride = int(trained.get("doc_stride", _DOC_STRIDE))
    if max_query_length is None:
        wanted = int(trained.get("max_query_length", _MAX_QUERY_LENGTH))
        max_query_length = max(0, min(wanted, (max_seq_length - 3) // 2))
    return examples.Settings(max_seq_length=max_seq_length, doc_stride=doc_stride, max_query_length=max_query_length)


def _found(number: int, document: Document, answer: answers.Answer, windows: Windows) -> Iterator[Found]:
    """The possible answers in one document; their probabilities are not known yet."""
    spans = document.word_spans
    first_window = int(windows.examples.searchsorted(number))
    for entry in answer.nbest:
        if entry.place is None:
            continue
        begin = int(spans[entry.place.first_word, 0]) + entry.place.first_character
        end = int(spans[entry.place.last_word, 0]) + entry.place.end_character
        at = first_window + entry.window
        words = windows.words[windows.sequences.starts[at] : windows.sequences.starts[at + 1]]
        seen = words[words >= 0]
        window = int(spans[seen[0], 0]), int(spans[seen[-1], 1])
        score = entry.start_logit + entry.end_logit
        yield Found(document.text[begin:end], begin, end, number, score, 0.0, window)
