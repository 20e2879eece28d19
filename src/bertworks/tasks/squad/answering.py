"""Questions to answers with a model that has been fine-tuned: where in a text, or in several, the answer stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.model.heads import SpanClassifier
from bertworks.tasks.squad import nbest
from bertworks.tasks.squad.documents import Document, SquadExample
from bertworks.tasks.squad.final_text import characters
from bertworks.tasks.squad.task import logits_of
from bertworks.tasks.squad.windows import Windows, WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer

# The original's, where neither the caller nor the model's folder says.
_MAX_SEQ_LENGTH, _DOC_STRIDE, _MAX_QUERY_LENGTH = 384, 128, 64


class FoundAnswer(NamedTuple):
    """A possible answer.

    Attributes:
        text: as it stands in the document.
        begin, end: where, in characters: document[begin:end] is `text`.
        document: the number of the document.
        score: the sum of the logits of its first and its last token.
        probability: the softmax of that among all that was found in all documents and, if allowed, no answer.
        window: the part of the document that the model saw at a time and found it in, in characters.
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
        has_answer: whether the best answer is one: False where no answer is allowed, and its score is above that of the
            best answer by more than the threshold that the training found, or 0.
        question_cut: whether the model saw only the beginning of the question.
    """

    answers: list[FoundAnswer]
    no_answer_probability: float
    has_answer: bool
    question_cut: bool


class Texts:
    """Texts that questions are asked about, prepared once for any number of questions.

    Attributes:
        documents: the texts.
        spans: for each document, begin and end of each of its tokens, in characters. Shape [T, 2].
    """

    def __init__(self, tokenizer: Tokenizer, texts: str | Sequence[str], names: Sequence[str] | None = None) -> None:
        """One text, or several; `names` are what messages call them, or their numbers.

        Raises:
            InputError: there is none, or one is no text, or empty.
        """
        given: object = texts
        if not isinstance(given, Iterable) or isinstance(given, bytes):
            raise InputError(f"documents: are not a text or a list of texts but {given!r:.60}")
        several: list[object] = [given] if isinstance(given, str) else list(given)
        if not several:
            raise InputError("documents: there are none; give at least one text")
        self.documents: list[Document] = []
        self.spans = []
        for number, text in enumerate(several):
            name = names[number] if names else f"document {number}"
            if not isinstance(text, str):
                raise InputError(f"{name}: is not a text but {text!r:.60}")
            spans = tokenizer.encode_with_offsets(text).spans
            if not len(spans):
                # What the tokenizer deletes is no blank in all cases.
                raise InputError(f"{name}: is empty" + ("" if not text.strip() else " once it is tokenized"))
            self.documents.append(Document(text, name))
            self.spans.append(spans)


def answer(
    model: SpanClassifier,
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
    dtype: torch.dtype = torch.float32,
) -> Answered:
    """The best answers to a question in a document, or in several, which may be of any length.

    A document longer than a window is read through several that overlap. No answer scores what [CLS] scores in the
    window, of any document, where that is lowest, as the original does for the windows of one document.

    Args:
        model: on its device.
        tokenizer: over its vocabulary.
        question: at least a word. What is longer than max_query_length is cut.
        documents: one, or several; each at least a word. `Texts` are prepared once for many questions.
        top_k: how many answers at most. Each stands in another place; their texts may be equal.
        max_seq_length, doc_stride, max_query_length: tokens of a window, between windows, of a question; None is as in
            the model's training, or 384, 128 and 64, or less where the model cannot read as much.
        n_best_size: how many starts and ends of a window are looked at; `top_k` if that is more.
        max_answer_length: the longest answer, in tokens.
        allow_none: whether no answer is possible, and takes part in the probabilities; None is as in the model's
            training: not with SQuAD 1.1.
        dtype: what to compute in.

    Raises:
        InputError: a question or a document is no text, or empty; there is no document; a number makes no sense.
    """
    if not isinstance(question, str):
        raise InputError(f"question: is not a text but {question!r:.60}")
    if not question.strip():
        raise InputError("question: is empty")
    for name, number in (("top_k", top_k), ("n_best_size", n_best_size), ("max_answer_length", max_answer_length)):
        if not isinstance(number, int | np.integer) or number < 1:
            raise InputError(f"{name}={number}: must be a whole number of at least 1")
    texts = documents if isinstance(documents, Texts) else Texts(tokenizer, documents)
    trained = model.config.fine_tuned
    if allow_none is None:
        allow_none = trained("version_2_with_negative", bool) is not False
    chosen = nbest.AnswerSettings(
        n_best_size=max(n_best_size, top_k),
        max_answer_length=max_answer_length,
        do_lower_case=tokenizer.do_lower_case,
        strip_accents=tokenizer.strip_accents,
        version_2_with_negative=True,
        by_characters=True,
    )
    found: list[FoundAnswer] = []
    null, question_cut = math.inf, False
    asked = (SquadExample(str(number), question, document) for number, document in enumerate(texts.documents))
    of_windows = _settings(model.config, max_seq_length, doc_stride, max_query_length)
    for block, windows in make_windows(tokenizer, asked, of_windows, training=False):
        numbers = [int(example.id) for example in block]
        questions = [nbest.Question(one.id, (), one.document.text, texts.spans[int(one.id)]) for one in block]
        logits = logits_of(model, windows.sequences, dtype=dtype)
        of_block = nbest.find_answers(questions, nbest.window_tokens(tokenizer, windows), logits, chosen)
        for number, one in zip(numbers, of_block, strict=True):
            found += _found(number, texts, one, windows)
            null = min([null, *(entry.start_logit + entry.end_logit for entry in one.nbest if entry.tokens is None)])
        question_cut = question_cut or windows.questions_cut > 0
    found.sort(key=lambda one: -one.score)
    scores = [one.score for one in found] + ([null] if allow_none else [])
    highest = max(scores, default=0.0)
    whole = sum(math.exp(score - highest) for score in scores)
    threshold = trained("null_score_diff_threshold", float) or 0.0
    return Answered(
        [one._replace(probability=math.exp(one.score - highest) / whole) for one in found[:top_k]],
        math.exp(null - highest) / whole if allow_none else 0.0,
        bool(found) and not (allow_none and null - found[0].score > threshold),
        question_cut,
    )


def _settings(
    config: BertConfig, max_seq_length: int | None, doc_stride: int | None, max_query_length: int | None
) -> WindowSettings:
    """What windows are: as told, as in training, or as the original has it and the model can read."""
    room, trained = config.max_position_embeddings, config.fine_tuned
    if max_seq_length is None:
        max_seq_length = min(trained("max_seq_length", int) or _MAX_SEQ_LENGTH, room)
    elif max_seq_length > room:
        raise InputError(f"--max_seq_length={max_seq_length}: the model can read no more than {room} tokens")
    if doc_stride is None:
        doc_stride = trained("doc_stride", int) or _DOC_STRIDE
    if max_query_length is None:
        wanted = trained("max_query_length", int)
        max_query_length = max(0, min(_MAX_QUERY_LENGTH if wanted is None else wanted, (max_seq_length - 3) // 2))
    return WindowSettings(
        max_seq_length=max_seq_length,
        doc_stride=min(doc_stride, max_seq_length),  # more is no more, windows leave nothing out
        max_query_length=max_query_length,
    )


def _found(number: int, texts: Texts, answer: nbest.NbestAnswers, windows: Windows) -> Iterator[FoundAnswer]:
    """The possible answers in one document; their probabilities are not known yet."""
    text, spans = texts.documents[number].text, texts.spans[number]
    first_window = int(windows.examples.searchsorted(number))
    sequences = windows.sequences
    for entry in answer.nbest:
        if entry.tokens is None:
            continue
        begin, end = characters(spans, *entry.tokens)
        at = first_window + entry.window
        # Behind [CLS] question [SEP], and before the last [SEP].
        first = int(windows.doc_starts[at])
        last = first + int(sequences.lengths[at]) - int(sequences.first[at]) - 2
        score = entry.start_logit + entry.end_logit
        yield FoundAnswer(text[begin:end], begin, end, number, score, 0.0, characters(spans, first, last))
