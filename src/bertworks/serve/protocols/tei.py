"""text-embeddings-inference: `/embed`, `/predict`, `/rerank` and the others, with its shapes of answers and errors.

Its router is https://github.com/huggingface/text-embeddings-inference/blob/main/router/src/http/server.rs. As there,
a text that is too long is refused unless `truncate` is true, and a number that several classes share is a softmax.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from bertworks import __version__
from bertworks.serve.abilities.classify import prepare_logits
from bertworks.serve.abilities.embed import Vectors, prepare_token_vectors, prepare_vectors
from bertworks.serve.endpoints import Endpoint, Protocol, Reply, check_size, reply_of
from bertworks.serve.engine import Engine
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import PreparedRequest
from bertworks.serve.protocols.openai import given_inputs, reading_for, shortened
from bertworks.serve.protocols.tei_bodies import (
    EmbedAllBody,
    EmbedBody,
    PredictBody,
    Prediction,
    Rank,
    RerankBody,
    ServerInfo,
    SimilarityBody,
    TeiError,
)
from bertworks.serve.reading import Given, HowToRead, LongTextChoice, check_texts
from bertworks.serve.refusals import Reason, Refusal
from bertworks.tasks.classification.task import probabilities
from bertworks.tasks.texts import is_blank

# Why it refuses -> its name of that; others are "Validation".
_TYPES: dict[Reason, Any] = {
    "empty": "Empty",
    "unable": "Backend",
    "failed": "Backend",
    "late": "Backend",
    "overloaded": "Overloaded",
    "unhealthy": "Unhealthy",
}


# Our names of what a model computes in -> its names.
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}


def refuse(refusal: Refusal) -> TeiError:
    """Return the body of a refusal."""
    where = f"`{refusal.field}`: " if refusal.field else ""
    return TeiError(where + refusal.message, _TYPES.get(refusal.reason, "Validation"))


PROTOCOL = Protocol(
    "text-embeddings-inference",
    "The routes of Hugging Face's text-embeddings-inference. What was read stands in the headers x-tokens, "
    "x-tokens-cut and x-windows.",
    TeiError,
    refuse,
)


def _reading(
    engine: Engine, model: ServedModel, truncate: bool | None, direction: str, field: str = "inputs"
) -> HowToRead:
    how: LongTextChoice = "truncate" if truncate else "error"
    return reading_for(engine, model, how, field, from_left=direction.lower() == "left")


def check_prompt(model: ServedModel, prompt_name: str | None) -> None:
    """Refuse the name of a prompt: a model here has one prompt at most, which is always used.

    Raises:
        Refusal: a name is given.
    """
    if prompt_name is not None:
        has = "uses the prompt of its folder" if model.pretrained.checkpoint.sentences else "has no prompts"
        raise Refusal("invalid", f"{model.name} {has}; leave prompt_name out", "prompt_name")


async def embed(engine: Engine, body: EmbedBody, part: str) -> Reply:
    """Answer `/embed`."""
    model = engine.registry.get(body.model, "embed")
    check_prompt(model, body.prompt_name)
    texts = given_inputs(body.inputs, model, engine.limits.texts, "inputs")
    reading = _reading(engine, model, body.truncate, body.truncation_direction)
    prepared, vectors = await engine.run(lambda: prepare_vectors(model, texts, reading))
    return reply_of(prepared, shortened(vectors, body.dimensions, body.normalize).tolist())


async def embed_all(engine: Engine, body: EmbedAllBody, part: str) -> Reply:
    """Answer `/embed_all`."""
    model = engine.registry.get(body.model, "embed")
    check_prompt(model, body.prompt_name)
    texts = given_inputs(body.inputs, model, engine.limits.texts, "inputs")
    reading = _reading(engine, model, body.truncate, body.truncation_direction)

    def check(prepared: PreparedRequest[Any]) -> None:
        check_size(prepared.tokens * model.pretrained.config.hidden_size, "numbers", engine.limits.numbers)

    prepared, vectors = await engine.run(lambda: prepare_token_vectors(model, texts, reading), check)
    return reply_of(prepared, [one.tolist() for one in vectors])


async def predict(engine: Engine, body: PredictBody, part: str) -> Reply:
    """Answer `/predict`."""
    model = engine.registry.get(body.model, "classify")
    texts, single = _sequences(body.inputs)
    check_texts(texts, engine.limits.texts, "inputs")
    reading = _reading(engine, model, body.truncate, body.truncation_direction)
    prepared, logits = await engine.run(lambda: prepare_logits(model, texts, reading))
    scores = logits if body.raw_scores else _probabilities(model, logits)
    found = [
        sorted(
            (Prediction(score, label) for label, score in zip(model.labels, row, strict=True)), key=lambda p: -p.score
        )
        for row in scores.tolist()
    ]
    return reply_of(prepared, found[0] if single else found)


def _sequences(inputs: str | list[Any]) -> tuple[list[Given], bool]:
    """Return texts and pairs, and whether there is one that is not in a list.

    Raises:
        Refusal: a list has texts and lists, or more than two texts.
    """
    if isinstance(inputs, str):
        return [inputs], True
    kinds = {type(one) for one in inputs}
    if kinds == {list}:
        return [one[0] if len(one) == 1 else (one[0], one[1]) for one in inputs], False
    if kinds == {str} and len(inputs) <= 2:
        return [inputs[0] if len(inputs) == 1 else (inputs[0], inputs[1])], True
    raise Refusal("invalid", "give a text, a pair of texts, or a list of lists of one or two texts", "inputs")


def function_of(model: ServedModel) -> Literal["sigmoid", "softmax"]:
    """Return what the reference applies to scores: a sigmoid to one output or to classes that go together."""
    return "sigmoid" if len(model.labels) == 1 or model.kind == "multi" else "softmax"


def _probabilities(model: ServedModel, logits: Vectors) -> Vectors:
    return probabilities("multi" if len(model.labels) == 1 else model.kind, logits)


async def rerank(engine: Engine, body: RerankBody, part: str) -> Reply:
    """Answer `/rerank`."""
    model = engine.registry.get(body.model, "rerank")
    check_texts(body.texts, engine.limits.texts, "texts")
    if is_blank(body.query):
        raise Refusal("invalid", "the query is empty", "query")
    pairs: list[Given] = [(body.query, text) for text in body.texts]
    reading = _reading(engine, model, body.truncate, body.truncation_direction, "texts")
    prepared, logits = await engine.run(lambda: prepare_logits(model, pairs, reading))
    scores = (logits if body.raw_scores else _probabilities(model, logits))[:, 0]
    order = np.argsort(-scores, kind="stable").tolist()
    ranks = [Rank(i, float(scores[i]), body.texts[i] if body.return_text else None) for i in order]
    return reply_of(prepared, ranks)


async def similarity(engine: Engine, body: SimilarityBody, part: str) -> Reply:
    """Answer `/similarity`."""
    model = engine.registry.get(body.model, "embed")
    check_texts(body.inputs.sentences, engine.limits.texts - 1, "inputs.sentences")
    parameters = body.parameters
    check_prompt(model, parameters.prompt_name if parameters else None)
    texts = [body.inputs.source_sentence, *body.inputs.sentences]
    truncate, direction = (parameters.truncate, parameters.truncation_direction) if parameters else (None, "right")
    reading = _reading(engine, model, truncate, direction)
    prepared, vectors = await engine.run(lambda: prepare_vectors(model, texts, reading))
    unit = shortened(vectors, None, normalize=True)
    return reply_of(prepared, (unit[1:] @ unit[0]).tolist())


async def info(engine: Engine, body: None, part: str) -> Reply:
    """Answer `/info`."""
    model = engine.registry.first()
    limits = engine.limits
    content = ServerInfo(
        model_id=model.source if "/" not in model.source else model.name,
        model_sha=model.version,
        model_dtype=_DTYPES[model.precision],
        served_model_name=model.name,
        model_type=_model_type(model),
        max_concurrent_requests=limits.connections,
        max_input_length=model.max_seq_length,
        max_batch_tokens=limits.batch_tokens,
        max_batch_requests=None,
        max_client_batch_size=limits.texts,
        auto_truncate=False,
        tokenization_workers=1,
        version=__version__,
    )
    return Reply(content, model)


def _model_type(model: ServedModel) -> dict[str, Any]:
    if "classify" in model.abilities:
        labels = {
            "id2label": {str(i): label for i, label in enumerate(model.labels)},
            "label2id": {label: i for i, label in enumerate(model.labels)},
        }
        return {"reranker" if "rerank" in model.abilities else "classifier": labels}
    rules = model.pretrained.checkpoint.sentences
    return {"embedding": {"pooling": "+".join(rules.poolings) if rules else "mean"}}


async def health(engine: Engine, body: None, part: str) -> Reply:
    """Answer `/health`: an empty page, or a refusal when nothing can be computed."""
    if not engine.batcher.alive:
        raise Refusal("unhealthy", "unhealthy")
    return Reply(b"", media_type="text/plain")


async def metrics(engine: Engine, body: None, part: str) -> Reply:
    """Answer `/metrics`."""
    return Reply(engine.measures.text(), media_type="text/plain; version=0.0.4")


_VECTORS = list[list[float]]

ENDPOINTS = (
    Endpoint("POST", "/embed", "A vector for each text", PROTOCOL, embed, EmbedBody, _VECTORS),
    Endpoint(
        "POST", "/embed_all", "A vector for each token", PROTOCOL, embed_all, EmbedAllBody, list[list[list[float]]]
    ),
    Endpoint(
        "POST",
        "/predict",
        "The classes of texts, the best first",
        PROTOCOL,
        predict,
        PredictBody,
        list[Prediction | list[Prediction]],
    ),
    Endpoint("POST", "/rerank", "Texts by how well they fit a query", PROTOCOL, rerank, RerankBody, list[Rank]),
    Endpoint(
        "POST", "/similarity", "The cosine of a sentence with others", PROTOCOL, similarity, SimilarityBody, list[float]
    ),
    Endpoint(
        "GET", "/info", "The first model and the limits", PROTOCOL, info, answer=ServerInfo, refusals=("unhealthy",)
    ),
    Endpoint(
        "GET",
        "/health",
        "Whether the server computes",
        PROTOCOL,
        health,
        public=True,
        media_type="text/plain",
        refusals=("unhealthy",),
    ),
    Endpoint(
        "GET", "/metrics", "Counts and times, for Prometheus", PROTOCOL, metrics, media_type="text/plain; version=0.0.4"
    ),
)
