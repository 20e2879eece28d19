"""Which words moved a decision: a class, the entities of a text, or an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

from bertworks.model.heads import SpanClassifier, TokenClassifier
from bertworks.serve.abilities.answer import prepare_answers
from bertworks.serve.abilities.tag import prepare_entities
from bertworks.serve.batching import Lane
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import PreparedRequest
from bertworks.serve.reading import HowToRead, TextCounts, read_texts
from bertworks.serve.refusals import Refusal, refusing
from bertworks.tasks.explain.decisions import decisions
from bertworks.tasks.explain.explanation import Decision, Explanation
from bertworks.tasks.explain.gradients import FIRST_POINTS
from bertworks.tasks.texts import Text

# The most tokens of a text that is explained. Each point of an integral takes a forward and a backward pass.
MOST_TOKENS = 512

# Sequences of texts that short have few tokens.
_ANY = 1 << 62

# The most points of an integral; an answer says how exact it is.
_MOST_POINTS = 64

# A backward pass takes twice the time of a forward pass.
_PASSES = 3


@dataclass(frozen=True)
class _Work:
    """What the compute thread does for a request, and how many tokens of a forward pass take as long."""

    run: Callable[[], Any]
    tokens: int


def _lane(model: ServedModel) -> Lane:
    lane = Lane(lambda items: [item.run() for item in items], lambda item: item.tokens)
    return model.lanes.setdefault("explain", lane)


def prepare_decisions(
    model: ServedModel, text: str, text_pair: str | None, label: str | None
) -> PreparedRequest[list[Decision]]:
    """Prepare what the model decides about a text or a pair: for a model that answers, a question and a text.

    Raises:
        Refusal: the text is none for the model, or has too many tokens.
    """
    given: Text = (text, text_pair) if text_pair is not None else text
    # Before the text is read, because one of a million tokens may have as many windows.
    of_text = [] if isinstance(model.pretrained.model, SpanClassifier) else [text]
    _check_length(len(model.tokenizer.encode_batch([*of_text, text_pair or ""])[0]))
    counts = _counts(model, text, text_pair)
    tokens = sum(of.tokens for of in counts)
    _check_length(tokens)

    def decide() -> list[Decision]:
        with refusing("label" if label is not None else "text"):
            return decisions(model.pretrained.model, model.tokenizer, given, label, model.max_seq_length)

    return PreparedRequest(model, _lane(model), [_Work(decide, tokens)], lambda outputs: outputs[0], counts)


def _check_length(tokens: int) -> None:
    if tokens > MOST_TOKENS:
        raise Refusal("invalid", f"has {tokens:,} tokens; up to {MOST_TOKENS} are explained", "text")


def affordable(found: Sequence[Decision], most: int, most_tokens: int) -> Sequence[Decision]:
    """Return the first decisions, `most` at most, whose explanations take no more than a request may; at least one."""
    taken = list(accumulate(_tokens(of) for of in found[:most]))
    return found[: max(1, sum(tokens <= most_tokens for tokens in taken))]


def _tokens(decision: Decision) -> int:
    """Return how many tokens of a forward pass take as long as an explanation that needs no more points."""
    return decision.tokens * FIRST_POINTS * _PASSES


def prepare_explanations(model: ServedModel, found: Sequence[Decision]) -> PreparedRequest[list[Explanation]]:
    """Prepare the explanations of decisions, each of which is computed for itself, with other requests in between.

    Their texts were counted when they were decided.
    """
    items = [_Work(partial(of.explain, _MOST_POINTS), _tokens(of)) for of in found]
    return PreparedRequest(model, _lane(model), items, list, [])


def _counts(model: ServedModel, text: str, text_pair: str | None) -> Sequence[TextCounts]:
    """Return what is read of the text, or of the two of a pair; check that they are texts for this model."""
    network = model.pretrained.model
    if isinstance(network, SpanClassifier):
        if text_pair is None:
            raise Refusal("invalid", "give the text that has the answer", "text_pair")
        return prepare_answers(model, text, [text_pair], _ANY, field="text_pair").counts
    if isinstance(network, TokenClassifier):
        if text_pair is not None:
            raise Refusal("invalid", "a model that tags reads one text", "text_pair")
        return prepare_entities(model, [text], "window", model.max_seq_length, _ANY).counts
    given = (text, text_pair) if text_pair is not None else text
    model.check_pairs([given], "text_pair")
    reading = HowToRead(model.max_seq_length, model.long_text, model.stride, _ANY, "text")
    return read_texts(model.tokenizer, [given], reading)[1]
