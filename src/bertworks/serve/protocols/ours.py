"""Our own routes: classes, entities, answers, words at [MASK], attention. Every answer says what was read."""

from __future__ import annotations

from typing import Any

from bertworks.serve.abilities.answer import prepare_answers
from bertworks.serve.abilities.attend import prepare_attention
from bertworks.serve.abilities.classify import prepare_logits
from bertworks.serve.abilities.explain import affordable, prepare_decisions, prepare_explanations
from bertworks.serve.abilities.fill_mask import prepare_fill_mask
from bertworks.serve.abilities.tag import prepare_entities
from bertworks.serve.endpoints import Endpoint, Protocol, Reply, check_size, reply_of
from bertworks.serve.engine import Engine
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import PreparedRequest
from bertworks.serve.protocols import openai
from bertworks.serve.protocols.bodies import (
    AnswerAnswer,
    AnswerBody,
    AttentionAnswer,
    AttentionBody,
    ClassifiedText,
    ClassifyAnswer,
    ClassifyBody,
    ExplainAnswer,
    ExplainBody,
    ExplainedDecision,
    FilledText,
    FillMaskAnswer,
    FillMaskBody,
    FoundEntity,
    PossibleAnswer,
    PossibleWord,
    TagAnswer,
    TagBody,
    TaggedText,
    TextRead,
    WordShare,
)
from bertworks.serve.reading import HowToRead, TextCounts, check_texts
from bertworks.serve.refusals import Refusal
from bertworks.tasks.classification.classify import classified

PROTOCOL = Protocol(
    "bertworks",
    "Classes, entities, answers and words. Every answer has the model's version, and for each text the number of its "
    "tokens, how many of them were cut, and how many windows were read.",
    openai.ApiErrorBody,
    openai.refuse,
)


def _length(model: ServedModel, asked: int | None) -> int:
    """Return the most tokens of a sequence.

    Raises:
        Refusal: the model has fewer positions.
    """
    positions = model.pretrained.config.max_position_embeddings
    if asked is not None and asked > positions:
        raise Refusal("invalid", f"the model has {positions} positions", "max_seq_length")
    return asked or model.max_seq_length


def _read(counts: TextCounts) -> dict[str, int]:
    return {"tokens": counts.tokens, "tokens_cut": counts.tokens_cut, "windows": counts.windows}


async def classify(engine: Engine, body: ClassifyBody, part: str) -> Reply:
    """Answer `/v1/classify`."""
    model = engine.registry.get(body.model, "classify")
    check_texts(body.texts, engine.limits.texts, "texts")
    length, how = _length(model, body.max_seq_length), body.long_text or model.long_text
    reading = HowToRead(length, how, min(model.stride, length), engine.limits.request_tokens)
    prepared, logits = await engine.run(lambda: prepare_logits(model, body.texts, reading))
    results = []
    for one, counts in zip(classified(model.kind, model.labels, logits), prepared.counts, strict=True):
        label: Any = list(one.label) if isinstance(one.label, tuple) else one.label
        results.append(ClassifiedText(label, one.probabilities, **_read(counts)))
    return reply_of(prepared, ClassifyAnswer(model.name, model.version, how, results))


async def tag(engine: Engine, body: TagBody, part: str) -> Reply:
    """Answer `/v1/tag`."""
    model = engine.registry.get(body.model, "tag")
    check_texts(body.texts, engine.limits.texts, "texts")
    length = _length(model, body.max_seq_length)
    most = engine.limits.request_tokens
    prepared, found = await engine.run(lambda: prepare_entities(model, body.texts, body.long_text, length, most))
    results = [
        TaggedText([FoundEntity(**entity) for entity in one], **_read(counts))
        for one, counts in zip(found, prepared.counts, strict=True)
    ]
    return reply_of(prepared, TagAnswer(model.name, model.version, body.long_text, results))


async def answer(engine: Engine, body: AnswerBody, part: str) -> Reply:
    """Answer `/v1/answer`."""
    model = engine.registry.get(body.model, "answer")
    check_texts(body.texts, engine.limits.texts, "texts")
    options = {"top_k": body.top_k, "allow_none": body.allow_none, "max_answer_length": body.max_answer_length}
    most = engine.limits.request_tokens
    prepared, found = await engine.run(
        lambda: prepare_answers(model, body.question, body.texts, most, body.long_text, "texts", **options)
    )
    answers = [PossibleAnswer(a.text, a.begin, a.end, a.document, a.probability) for a in found.answers]
    content = AnswerAnswer(
        model.name,
        model.version,
        body.long_text,
        answers,
        found.has_answer,
        found.no_answer_probability,
        found.question_cut,
        [TextRead(**_read(counts)) for counts in prepared.counts],
    )
    return reply_of(prepared, content)


async def fill_mask(engine: Engine, body: FillMaskBody, part: str) -> Reply:
    """Answer `/v1/fill_mask`."""
    model = engine.registry.get(body.model, "fill_mask")
    check_texts(body.texts, engine.limits.texts, "texts")

    def check(prepared: PreparedRequest[Any]) -> None:
        values = 2 * body.top_k * sum(len(item.rows) for item in prepared.items)
        check_size(values, "words and probabilities", engine.limits.numbers)

    prepared, found = await engine.run(lambda: prepare_fill_mask(model, body.texts, body.top_k), check)
    results = [
        FilledText([[PossibleWord(*guess) for guess in mask] for mask in masks], **_read(counts))
        for masks, counts in zip(found, prepared.counts, strict=True)
    ]
    return reply_of(prepared, FillMaskAnswer(model.name, model.version, results))


async def attention(engine: Engine, body: AttentionBody, part: str) -> Reply:
    """Answer `/v1/attention`."""
    model = engine.registry.get(body.model, "attend")
    prepared, (tokens, heads) = await engine.run(
        lambda: prepare_attention(model, body.text, body.text_pair, body.layer)
    )
    rounded = heads.round(4).tolist()
    return reply_of(prepared, AttentionAnswer(model.name, model.version, body.layer, tokens, rounded))


async def explain(engine: Engine, body: ExplainBody, part: str) -> Reply:
    """Answer `/v1/explain`."""
    model = engine.registry.get(body.model, "explain")
    decided, decisions = await engine.run(lambda: prepare_decisions(model, body.text, body.text_pair, body.label))
    chosen = affordable(decisions, body.most_decisions, engine.limits.request_tokens)
    _, found = await engine.run(lambda: prepare_explanations(model, chosen))
    results = [
        ExplainedDecision(
            of.decision,
            of.meaning,
            of.score,
            of.baseline,
            of.error,
            not of.cut,
            [WordShare(word.text, word.part, word.begin, word.end, word.value) for word in of.contributions],
        )
        for of in found
    ]
    left_out, read = len(decisions) - len(chosen), _read(TextCounts.total(decided.counts))
    return reply_of(decided, ExplainAnswer(model.name, model.version, results, left_out, **read))


def _ours(path: str, summary: str, handler: Any, body: type, answer_type: type) -> Endpoint:
    return Endpoint("POST", path, summary, PROTOCOL, handler, body, answer_type)


ENDPOINTS = (
    _ours("/v1/classify", "The class of each text or pair of texts", classify, ClassifyBody, ClassifyAnswer),
    _ours("/v1/tag", "The entities of each text", tag, TagBody, TagAnswer),
    _ours("/v1/answer", "The answers to a question in texts of any length", answer, AnswerBody, AnswerAnswer),
    _ours("/v1/fill_mask", "The words at each [MASK]", fill_mask, FillMaskBody, FillMaskAnswer),
    _ours("/v1/explain", "Which words moved each decision about a text", explain, ExplainBody, ExplainAnswer),
    _ours("/v1/attention", "The attention of one layer", attention, AttentionBody, AttentionAnswer),
)
