"""What there is to explain in each head: a class, the tags of an entity, an answer.

Scores are log-odds or log-probabilities, which say how sure the model is: probabilities hardly move near 0 and 1.

Shapes: P sequences of a batch, T tokens of a sequence, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch
from bertworks.data.sequences import kept_tokens
from bertworks.errors import InputError
from bertworks.model.heads import SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.names import listed
from bertworks.tasks.classification.trained_labels import kind_of
from bertworks.tasks.explain.entities import entity_decisions
from bertworks.tasks.explain.explanation import Decision, Explanation
from bertworks.tasks.explain.gradients import MOST_POINTS, integrated_gradients, log_odds
from bertworks.tasks.explain.reading import ReadTexts, read_texts
from bertworks.tasks.labels import names_of_outputs
from bertworks.tasks.squad.answering import FoundAnswer, answer, window_settings
from bertworks.tasks.texts import Text, checked_texts, how_long_texts_are_read, is_blank, sequence_length
from bertworks.text.tokenizer import Tokenizer


def explain(
    model: nn.Module, tokenizer: Tokenizer, text: Text, label: str | None = None, max_seq_length: int | None = None
) -> list[Explanation]:
    """Explain what a fine-tuned model decides about a text: its class, each of its entities, or an answer.

    The arguments and errors are those of `decisions`.
    """
    return [one.explain(MOST_POINTS) for one in decisions(model, tokenizer, text, label, max_seq_length)]


def decisions(
    model: nn.Module, tokenizer: Tokenizer, text: Text, label: str | None = None, max_seq_length: int | None = None
) -> list[Decision]:
    """Return what a fine-tuned model decides about a text: its class, each of its entities in order, or an answer.

    Args:
        text: a text or a pair; for a model that answers, the question and the document.
        label: the class to explain, of a classifier; None is the one that the model decides for.
        max_seq_length: None is that of the training, or all positions of the model.

    Raises:
        InputError: the model decides nothing, the text is none for it, or the label is none of its classes.
    """
    if label is not None and not isinstance(model, SequenceClassifier):
        raise InputError(f"--label={label}: is for models that classify texts; leave it out")
    match model:
        case SequenceClassifier():
            return [_class(model, tokenizer, text, label, max_seq_length)]
        case TokenClassifier() if isinstance(text, str):
            return entity_decisions(model, tokenizer, text, max_seq_length)
        case SpanClassifier() if not isinstance(text, str):
            return [_answer(model, tokenizer, text[0], text[1], max_seq_length)]
        case TokenClassifier():
            raise InputError("text: give one text to a model that tags")
        case SpanClassifier():
            raise InputError("text: give a question and a document to a model that answers")
    raise InputError("this model decides nothing that can be explained; fine-tune it first")


def _class(
    model: SequenceClassifier, tokenizer: Tokenizer, text: Text, label: str | None, max_seq_length: int | None
) -> Decision:
    """Return the class of a text or a pair, or the class `label`; long texts are read as in training.

    Raises:
        InputError: the text is empty, there is no such class, or the model cannot read this length.
    """
    checked_texts([text], pairs=True)
    if is_blank(text if isinstance(text, str) else text[0]):
        raise InputError("the text is empty; there is nothing to explain")
    texts = [text] if isinstance(text, str) else [part for part in text if part]
    names = names_of_outputs(model.config, len(model.classifier.weight))
    kind = kind_of(model.config, len(names)) or "single"
    longest = sequence_length(model.config, max_seq_length)
    long_text, stride = how_long_texts_are_read(model.config, longest)
    pieces = [tokenizer.encode_with_offsets(part) for part in texts]
    lengths = [len(part.ids) for part in pieces]
    read = read_texts(tokenizer, texts, pieces, kept_tokens(long_text, longest, stride, lengths[0], sum(lengths[1:])))
    windows = len(read.lengths)
    chosen = 0 if kind == "regression" else _class_of(model, names, read, label)

    def score(network: SequenceClassifier, batch: PackedBatch) -> Tensor:
        logits = network(batch)
        logits = logits.view(-1, windows, logits.shape[1]).mean(1)
        return log_odds(logits, chosen) if kind == "single" else logits[:, chosen]

    def explanation(most_points: int) -> Explanation:
        found = integrated_gradients(model, tokenizer, read.ids, read.segment_ids, read.lengths, score, most_points)
        regression = kind == "regression"
        decision, meaning = ("number", "the number") if regression else (f"class: {names[chosen]}", "log-odds")
        return read.explained(tokenizer, found, decision, meaning)

    return Decision(len(read.ids), explanation)


def _answer(
    model: SpanClassifier, tokenizer: Tokenizer, question: str, document: str, max_seq_length: int | None
) -> Decision:
    """Return the best answer to a question. Its score is the log-probability of its first and of its last token.

    Raises:
        InputError: the question or the document is empty, nothing in it can be an answer, or the model cannot read this
            length.
    """
    best = next(
        iter(answer(model, tokenizer, question, document, top_k=1, max_seq_length=max_seq_length).answers), None
    )
    if best is None:
        raise InputError(f"the document has no answer to {question!r:.60}")
    read = _window(model.config, tokenizer, question, document, best, max_seq_length)
    answers = read.origins >= len(read.pieces[0].ids)
    begins, ends = read.pieces[1].spans[read.origins[answers] - len(read.pieces[0].ids)].T
    before = int(answers.argmax())
    first = before + int(np.searchsorted(ends, best.begin, "right"))
    last = before + int(np.searchsorted(begins, best.end)) - 1
    score = partial(_answer_score, first, last)

    def explanation(most_points: int) -> Explanation:
        found = integrated_gradients(model, tokenizer, read.ids, read.segment_ids, read.lengths, score, most_points)
        return read.explained(tokenizer, found, f"answer: {best.text}", "log-probability of its two ends")

    return Decision(len(read.ids), explanation)


def _answer_score(first: int, last: int, network: SpanClassifier, batch: PackedBatch) -> Tensor:
    """Return the log-probabilities of a start and an end, summed. Shape [P]."""
    logits: Tensor = network(batch).view(len(batch), -1, 2).log_softmax(1)
    return logits[:, first, 0] + logits[:, last, 1]


def _class_of(model: SequenceClassifier, names: Sequence[str], read: ReadTexts, label: str | None) -> int:
    """Return the number of a class, or of the one that the model decides for."""
    if label is not None:
        if label not in names:
            raise InputError(f"--label={label}: the classes are {listed(names)}")
        return names.index(label)
    with torch.no_grad():
        return int(model(read.batch().to(model.classifier.weight.device)).mean(0).argmax())


def _window(
    config: BertConfig,
    tokenizer: Tokenizer,
    question: str,
    document: str,
    best: FoundAnswer,
    max_seq_length: int | None,
) -> ReadTexts:
    """Return the question, cut as for the answer, and the answer's window of the document."""
    asked, text = tokenizer.encode_with_offsets(question), tokenizer.encode_with_offsets(document)
    inside = np.flatnonzero((text.spans[:, 0] >= best.window[0]) & (text.spans[:, 1] <= best.window[1]))
    begin, end = int(inside[0]), int(inside[-1]) + 1
    longest_question = window_settings(config, max_seq_length, None, None).max_query_length
    kept = ([slice(0, longest_question)], [slice(begin, end)])
    return read_texts(tokenizer, (question, document), (asked, text), [kept])
