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
from bertworks.data.batch import PackedBatch, pack
from bertworks.errors import InputError
from bertworks.model.heads import SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.names import listed
from bertworks.tasks.classification.trained_labels import kind_of
from bertworks.tasks.explain.entities import entity_decisions
from bertworks.tasks.explain.explanation import Decision, Explanation, explained, words_of_parts
from bertworks.tasks.explain.gradients import MOST_POINTS, Attribution, hidden, integrated_gradients, log_odds
from bertworks.tasks.labels import names_of_outputs
from bertworks.tasks.squad.answering import FoundAnswer, answer
from bertworks.tasks.texts import Text, check_texts, is_blank, sequence_length
from bertworks.text.offsets import Aligned
from bertworks.text.pairs import Pair, joined, truncated_lengths
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
    """Return the class of a text or a pair, or the class `label`.

    Raises:
        InputError: the text is empty, there is no such class, or the model cannot read this length.
    """
    check_texts([text], pairs=True)
    if is_blank(text if isinstance(text, str) else text[0]):
        raise InputError("the text is empty; there is nothing to explain")
    texts = [text] if isinstance(text, str) else [part for part in text if part]
    names = names_of_outputs(model.config, len(model.classifier.weight))
    kind = kind_of(model.config, len(names)) or "single"
    parts, cut = _parts(tokenizer, texts, sequence_length(model.config, max_seq_length))
    ids, segments = _sequence(tokenizer, parts)
    chosen = 0 if kind == "regression" else _class_of(model, names, ids, segments, label)

    def score(network: SequenceClassifier, batch: PackedBatch) -> Tensor:
        logits = network(batch)
        return log_odds(logits, chosen) if kind == "single" else logits[:, chosen]

    def explanation(most_points: int) -> Explanation:
        found = integrated_gradients(model, ids, segments, hidden(tokenizer, ids), score, most_points)
        regression = kind == "regression"
        decision, meaning = ("number", "the number") if regression else (f"class: {names[chosen]}", "log-odds")
        return _explanation(tokenizer, texts, parts, found, decision, meaning, cut)

    return Decision(len(ids), explanation)


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
    parts, cut = _window(model.config, tokenizer, question, document, best, max_seq_length)
    ids, segments = _sequence(tokenizer, parts)
    begins, ends = parts[1].spans.T
    before = len(parts[0].ids) + 2
    first = before + int(np.searchsorted(ends, best.begin, "right"))
    last = before + int(np.searchsorted(begins, best.end)) - 1
    score = partial(_answer_score, first, last)

    def explanation(most_points: int) -> Explanation:
        found = integrated_gradients(model, ids, segments, hidden(tokenizer, ids), score, most_points)
        decision, meaning = f"answer: {best.text}", "log-probability of its two ends"
        return _explanation(tokenizer, (question, document), parts, found, decision, meaning, cut)

    return Decision(len(ids), explanation)


def _answer_score(first: int, last: int, network: SpanClassifier, batch: PackedBatch) -> Tensor:
    """Return the log-probabilities of a start and an end, summed. Shape [P]."""
    logits: Tensor = network(batch).view(len(batch), -1, 2).log_softmax(1)
    return logits[:, first, 0] + logits[:, last, 1]


def _class_of(
    model: SequenceClassifier, names: Sequence[str], ids: Sequence[int], segments: Sequence[int], label: str | None
) -> int:
    """Return the number of a class, or of the one that the model decides for."""
    if label is not None:
        if label not in names:
            raise InputError(f"--label={label}: the classes are {listed(names)}")
        return names.index(label)
    batch = pack(np.array(ids), np.array(segments), np.array([len(ids)]))
    with torch.no_grad():
        return int(model(batch.to(model.classifier.weight.device))[0].argmax())


def _parts(tokenizer: Tokenizer, texts: Sequence[str], longest: int) -> tuple[list[Aligned], bool]:
    """Return the pieces of one text or two that a sequence has room for, and whether some were cut off."""
    whole = [tokenizer.encode_with_offsets(text) for text in texts]
    lengths = [len(part.ids) for part in whole]
    first, second = truncated_lengths(lengths[0], sum(lengths[1:]), longest - len(whole) - 1)
    kept = [_kept(part, 0, length) for part, length in zip(whole, (first, second), strict=False)]
    return kept, first + second < sum(lengths)


def _kept(part: Aligned, begin: int, end: int) -> Aligned:
    return Aligned(part.ids[begin:end], part.spans[begin:end], part.words[begin:end])


def _window(
    config: BertConfig,
    tokenizer: Tokenizer,
    question: str,
    document: str,
    best: FoundAnswer,
    max_seq_length: int | None,
) -> tuple[list[Aligned], bool]:
    """Return the pieces of the question and of the answer's window, and whether more was cut off."""
    asked, text = tokenizer.encode_with_offsets(question), tokenizer.encode_with_offsets(document)
    inside = np.flatnonzero((text.spans[:, 0] >= best.window[0]) & (text.spans[:, 1] <= best.window[1]))
    begin, end = int(inside[0]), int(inside[-1]) + 1
    room = (max_seq_length or config.longest_sequence) - 3 - (end - begin)
    kept = [_kept(asked, 0, max(0, room)), _kept(text, begin, end)]
    return kept, len(kept[0].ids) < len(asked.ids) or end - begin < len(text.ids)


def _sequence(tokenizer: Tokenizer, parts: Sequence[Aligned]) -> Pair:
    """Return the ids and segments of a sequence."""
    ids = [part.ids.tolist() for part in parts]
    return joined(ids[0], ids[1] if len(ids) > 1 else [], tokenizer.cls_id, tokenizer.sep_id)


def _explanation(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    parts: Sequence[Aligned],
    found: Attribution,
    decision: str,
    meaning: str,
    cut: bool,
) -> Explanation:
    values, first = [], 1
    for part in parts:
        values.append(found.contributions[first : first + len(part.ids)].tolist())
        first += len(part.ids) + 1
    tokens = [tokenizer.convert_ids_to_tokens(part.ids.tolist()) for part in parts]
    return explained(found, texts, words_of_parts(texts, parts, tokens, values), decision, meaning, cut)
