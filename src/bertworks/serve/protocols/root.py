"""POST `/` and `/models/{model}`: what text-embeddings-inference and Hugging Face's `InferenceClient` send there.

The body and the model's kind decide which route is meant. A body with `parameters` comes from the client, which wants
the answers of Hugging Face's tasks: https://huggingface.co/docs/inference-providers/tasks/index.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from bertworks.serve.abilities.fill_mask import MOST_WORDS
from bertworks.serve.endpoints import Endpoint, Reply
from bertworks.serve.engine import Engine
from bertworks.serve.models import ServedModel
from bertworks.serve.protocols import bodies, ours, tei
from bertworks.serve.protocols.tei_bodies import EmbedBody, PredictBody, RerankBody, RootBody, SimilarityBody
from bertworks.serve.refusals import Refusal, invalid
from bertworks.text.vocab_file import MASK

Body = TypeVar("Body")


async def root(engine: Engine, body: RootBody, part: str) -> Reply:
    """Answer by the body's shape, then by what the model does best."""
    name = part or body.model
    if isinstance(body.inputs, dict):
        if "question" in body.inputs:
            return await _question(engine, body, name)
        asked = _converted(SimilarityBody, inputs=body.inputs, parameters=body.parameters or None, model=name)
        return await tei.similarity(engine, asked, "")
    if body.query is not None or body.texts is not None:
        fields = {field: getattr(body, field) for field in RerankBody.__struct_fields__}
        return await tei.rerank(engine, _converted(RerankBody, **{**fields, "model": name}), "")
    return await _by_model(engine, body, engine.registry.named(name) if name else engine.registry.first())


async def _by_model(engine: Engine, body: RootBody, model: ServedModel) -> Reply:
    """Answer by what the model does best."""
    best = model.abilities[0]
    if body.parameters is not None and isinstance(body.inputs, str) and best in ("tag", "fill_mask"):
        return await (_entities if best == "tag" else _words)(engine, body, model.name)
    if best in ("classify", "rerank"):
        fields = {f: getattr(body, f) for f in ("inputs", "raw_scores", "truncate", "truncation_direction")}
        reply = await tei.predict(engine, _converted(PredictBody, **fields, model=model.name), "")
        if body.parameters is None or not isinstance(body.inputs, str):
            return reply
        top_k = _number(body.parameters, "top_k", len(model.labels))
        return Reply([reply.content[:top_k]], reply.model, reply.counts)
    fields = {field: getattr(body, field) for field in EmbedBody.__struct_fields__}
    return await tei.embed(engine, _converted(EmbedBody, **{**fields, "model": model.name}), "")


def _converted(kind: type[Body], **fields: Any) -> Body:
    """Return a body of another kind, checked.

    Raises:
        Refusal: it does not fit; with the field.
    """
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise invalid(error) from None


def _number(parameters: dict[str, Any], name: str, default: int, most: int = MOST_WORDS) -> int:
    """Return a whole number among the parameters.

    Raises:
        Refusal: it is none, or out of range.
    """
    value = parameters.get(name)
    if value is None:
        return default
    if type(value) is not int or not 1 <= value <= most:
        raise Refusal("invalid", f"give a whole number from 1 to {most}", f"parameters.{name}")
    return value


async def _question(engine: Engine, body: RootBody, name: str | None) -> Reply:
    parameters = body.parameters or {}
    top_k = _number(parameters, "top_k", 1)
    context = body.inputs.get("context")
    asked = _converted(
        bodies.AnswerBody,
        question=body.inputs["question"],
        texts=[context],
        model=name,
        top_k=top_k,
        allow_none=parameters.get("handle_impossible_answer"),
    )
    reply = await ours.answer(engine, asked, "")
    found = [{"answer": a.text, "score": a.probability, "start": a.begin, "end": a.end} for a in reply.content.answers]
    if not reply.content.has_answer:
        found.insert(0, {"answer": "", "score": reply.content.no_answer_probability or 0.0, "start": 0, "end": 0})
    return Reply(found[0] if top_k == 1 else found[:top_k], reply.model, reply.counts)


async def _entities(engine: Engine, body: RootBody, name: str) -> Reply:
    reply = await ours.tag(engine, _converted(bodies.TagBody, texts=[body.inputs], model=name), "")
    found = [
        {"entity_group": e.type, "score": e.score, "word": e.text, "start": e.begin, "end": e.end}
        for e in reply.content.results[0].entities
    ]
    return Reply(found, reply.model, reply.counts)


async def _words(engine: Engine, body: RootBody, name: str) -> Reply:
    top_k = _number(body.parameters or {}, "top_k", 5)
    asked = _converted(bodies.FillMaskBody, texts=[body.inputs], top_k=top_k, model=name)
    reply = await ours.fill_mask(engine, asked, "")
    assert reply.model is not None
    vocab = reply.model.pretrained.tokenizer.vocab
    several = [
        [
            {
                "score": word.probability,
                "token": vocab[word.token],
                "token_str": word.token,
                "sequence": _filled(body.inputs, number, word.token),
            }
            for word in words
        ]
        for number, words in enumerate(reply.content.results[0].masks)
    ]
    return Reply(several[0] if len(several) == 1 else several, reply.model, reply.counts)


def _filled(text: str, number: int, word: str) -> str:
    """Put a word in the place of the mask with this number."""
    parts = text.split(MASK)
    return MASK.join(parts[: number + 1]) + word + MASK.join(parts[number + 1 :])


ENDPOINTS = (
    Endpoint("POST", "/", "What the first model does best", tei.PROTOCOL, root, RootBody, Any),
    Endpoint("POST", "/models/{model}", "What this model does best", tei.PROTOCOL, root, RootBody, Any),
)
