"""POST `/` and `/models/{model}`: what text-embeddings-inference and Hugging Face's `InferenceClient` send there.

The body and what the model does best decide which route is meant: https://huggingface.co/docs/inference-providers.
`parameters` are those of Hugging Face's tasks; one that is not known here is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from bertworks.serve.endpoints import Endpoint, Reply
from bertworks.serve.engine import Engine
from bertworks.serve.models import ServedModel
from bertworks.serve.protocols import bodies, ours, tei
from bertworks.serve.protocols.root_parameters import (
    ClassParameters,
    EntityParameters,
    QuestionParameters,
    RankParameters,
    VectorParameters,
    WordParameters,
    given_of,
    parameters_as,
)
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
        fields = _fields(RerankBody, body, given_of(parameters_as(RankParameters, body.parameters)))
        return await tei.rerank(engine, _converted(RerankBody, **{**fields, "model": name}), "")
    return await _by_model(engine, body, engine.registry.named(name) if name else engine.registry.first())


async def _by_model(engine: Engine, body: RootBody, model: ServedModel) -> Reply:
    """Answer by what the model does best.

    Nearly every model has words for [MASK], so one whose best this is gives vectors of texts that have none, unless
    `parameters` say that Hugging Face's client asks for words.
    """
    best = model.abilities[0]
    if best == "tag":
        return await _entities(engine, body, model.name)
    texts = body.inputs if isinstance(body.inputs, list) else [body.inputs]
    masked = any(isinstance(text, str) and MASK in text for text in texts)
    if best == "fill_mask" and (masked or (body.parameters is not None and isinstance(body.inputs, str))):
        return await _words(engine, body, model.name)
    if best in ("classify", "rerank"):
        return await _classes(engine, body, model)
    fields = _fields(EmbedBody, body, given_of(parameters_as(VectorParameters, body.parameters)))
    return await tei.embed(engine, _converted(EmbedBody, **{**fields, "model": model.name}), "")


def _fields(kind: type[msgspec.Struct], body: RootBody, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a body of another kind; parameters count more than fields of their names."""
    return {**{name: getattr(body, name) for name in kind.__struct_fields__}, **parameters}


def _converted(kind: type[Body], **fields: Any) -> Body:
    """Return a body of another kind, checked.

    Raises:
        Refusal: it does not fit; with the field.
    """
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise invalid(error) from None


async def _classes(engine: Engine, body: RootBody, model: ServedModel) -> Reply:
    parameters = parameters_as(ClassParameters, body.parameters)
    given = given_of(parameters)
    top_k, function = given.pop("top_k", None), given.pop("function_to_apply", None)
    if function == "none":
        given["raw_scores"] = True
    elif function not in (None, own := tei.function_of(model)):
        raise Refusal("invalid", f"the model was trained with {own}; give it, or none", "parameters.function_to_apply")
    reply = await tei.predict(
        engine, _converted(PredictBody, **_fields(PredictBody, body, {**given, "model": model.name})), ""
    )
    several = isinstance(reply.content[0], list)
    found = [classes[:top_k] for classes in (reply.content if several else [reply.content])]
    # Hugging Face's client wants a list for its one text.
    nested = several or (body.parameters is not None and isinstance(body.inputs, str))
    return Reply(found if nested else found[0], reply.model, reply.counts)


async def _question(engine: Engine, body: RootBody, name: str | None) -> Reply:
    parameters = parameters_as(QuestionParameters, body.parameters)
    context = body.inputs.get("context")
    asked = _converted(
        bodies.AnswerBody,
        question=body.inputs["question"],
        texts=[context],
        model=name,
        top_k=parameters.top_k,
        allow_none=parameters.handle_impossible_answer,
        max_answer_length=parameters.max_answer_len,
    )
    reply = await ours.answer(engine, asked, "")
    found = [{"answer": a.text, "score": a.probability, "start": a.begin, "end": a.end} for a in reply.content.answers]
    if not reply.content.has_answer:
        found.insert(0, {"answer": "", "score": reply.content.no_answer_probability or 0.0, "start": 0, "end": 0})
    return Reply(found[0] if parameters.top_k == 1 else found[: parameters.top_k], reply.model, reply.counts)


async def _entities(engine: Engine, body: RootBody, name: str) -> Reply:
    parameters_as(EntityParameters, body.parameters)
    texts, single = _texts(body.inputs)
    with _of_inputs(single):
        reply = await ours.tag(engine, _converted(bodies.TagBody, texts=texts, model=name), "")
    found = [
        [
            {"entity_group": e.type, "score": e.score, "word": e.text, "start": e.begin, "end": e.end}
            for e in of_text.entities
        ]
        for of_text in reply.content.results
    ]
    return Reply(found[0] if single else found, reply.model, reply.counts)


async def _words(engine: Engine, body: RootBody, name: str) -> Reply:
    top_k = parameters_as(WordParameters, body.parameters).top_k
    texts, single = _texts(body.inputs)
    with _of_inputs(single):
        reply = await ours.fill_mask(engine, _converted(bodies.FillMaskBody, texts=texts, top_k=top_k, model=name), "")
    assert reply.model is not None
    vocab = reply.model.pretrained.tokenizer.vocab
    found = []
    for text, of_text in zip(texts, reply.content.results, strict=True):
        several = [
            [
                {
                    "score": word.probability,
                    "token": vocab[word.token],
                    "token_str": word.token,
                    "sequence": _filled(text, number, word.token),
                }
                for word in words
            ]
            for number, words in enumerate(of_text.masks)
        ]
        found.append(several[0] if len(several) == 1 else several)
    return Reply(found[0] if single else found, reply.model, reply.counts)


def _texts(inputs: Any) -> tuple[list[str], bool]:
    """Return the texts, and whether there is one that is not in a list.

    Raises:
        Refusal: they are none.
    """
    several = inputs if isinstance(inputs, list) else [inputs]
    for number, text in enumerate(several):
        if not isinstance(text, str):
            raise Refusal("invalid", "give a text", f"inputs[{number}]" if several is inputs else "inputs")
    return several, several is not inputs


@contextmanager
def _of_inputs(single: bool) -> Iterator[None]:
    """Name the field of a refusal as this route does: a text of ours is one of `inputs`, or all of it."""
    try:
        yield
    except Refusal as refusal:
        field = "inputs" if single else refusal.field.replace("texts", "inputs", 1)
        changed = field if refusal.field.startswith("texts") else refusal.field
        raise Refusal(refusal.reason, refusal.message, changed, refusal.retry_after) from None


def _filled(text: str, number: int, word: str) -> str:
    """Put a word in the place of the mask with this number."""
    parts = text.split(MASK)
    return MASK.join(parts[: number + 1]) + word + MASK.join(parts[number + 1 :])


ENDPOINTS = (
    Endpoint("POST", "/", "What the first model does best", tei.PROTOCOL, root, RootBody, Any),
    Endpoint("POST", "/models/{model}", "What this model does best", tei.PROTOCOL, root, RootBody, Any),
)
