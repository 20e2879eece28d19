"""OpenAI's `/v1/embeddings` and `/v1/models`, and the shape of errors of everything below `/v1/`.

The fields are those of https://platform.openai.com/docs/api-reference/embeddings. Vectors have length 1, as theirs do.
`long_text` is an addition; without it a text that is too long is refused, as theirs is.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct

from bertworks.serve.abilities.embed import Vectors, prepare_vectors
from bertworks.serve.endpoints import Endpoint, Protocol, Reply, reply_of
from bertworks.serve.engine import Engine
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import PreparedRequest
from bertworks.serve.reading import Given, HowToRead, LongTextChoice, TextCounts, check_texts
from bertworks.serve.refusals import Refusal

# OpenAI's names of the kinds of errors.
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

# Vectors are divided by no less.
_LEAST_LENGTH = 1e-12


class ApiError(Struct):
    """Why there is no answer: a sentence, the kind, and the field to change."""

    message: str
    type: str
    param: str | None
    code: str


class ApiErrorBody(Struct):
    """The body of a refusal."""

    error: ApiError


def refuse(refusal: Refusal) -> ApiErrorBody:
    """Return the body of a refusal."""
    kind = _TYPES.get(refusal.status, "server_error" if refusal.status >= 500 else "invalid_request_error")
    return ApiErrorBody(ApiError(refusal.message, kind, refusal.field or None, refusal.reason))


PROTOCOL = Protocol("OpenAI", "OpenAI's routes for embeddings and models.", ApiErrorBody, refuse)


class EmbeddingsBody(Struct, forbid_unknown_fields=True):
    """What `/v1/embeddings` takes: texts, or ids of tokens of this model's vocabulary."""

    input: str | Annotated[list[str | int | list[int]], Meta(min_length=1)]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None
    long_text: LongTextChoice = "error"


class EmbeddingItem(Struct):
    """One vector."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class Usage(Struct):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Struct):
    """The vectors, in the order of the texts."""

    data: list[EmbeddingItem]
    model: str
    usage: Usage
    object: Literal["list"] = "list"


class ModelCard(Struct):
    """A model, with what it can do."""

    id: str
    created: int
    version: str
    abilities: list[str]
    max_tokens: int
    dimensions: int
    layers: int
    heads: int
    labels: list[str]
    object: Literal["model"] = "model"
    owned_by: str = "bertworks"


class ModelList(Struct):
    """The models, in the order of the command line."""

    data: list[ModelCard]
    object: Literal["list"] = "list"


def given_inputs(inputs: str | list[Any], model: ServedModel, most: int, field: str) -> list[Given]:
    """Return the texts of a field that is a text, ids of tokens, or a list of either.

    Raises:
        Refusal: none or too many; texts and ids in one list; an id that the vocabulary has not.
    """
    several: list[Any] = [inputs] if isinstance(inputs, str) or (inputs and isinstance(inputs[0], int)) else inputs
    check_texts(several, most, field)
    kinds = {type(one) for one in several}
    if len(kinds) > 1 or (several[0] is inputs and not all(isinstance(i, int | str) for i in inputs)):
        raise Refusal("invalid", "has texts and ids of tokens; give one of them", field)
    if kinds == {str}:
        return list(several)
    words = model.pretrained.tokenizer.vocab_size
    for number, ids in enumerate(several):
        if any(not isinstance(i, int) or not 0 <= i < words for i in ids):
            raise Refusal("invalid", f"an id of a token is from 0 to {words - 1}", f"{field}[{number}]")
    return list(several)


def shortened(vectors: Vectors, dimensions: int | None, normalize: bool, field: str = "dimensions") -> Vectors:
    """Return the first numbers of each vector, divided by its length where that is asked for.

    Raises:
        Refusal: a vector has fewer numbers.
    """
    if dimensions is not None:
        if not 1 <= dimensions <= vectors.shape[1]:
            raise Refusal("invalid", f"the model's vectors have {vectors.shape[1]} numbers", field)
        vectors = vectors[:, :dimensions]
    if not normalize:
        return vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.maximum(lengths, _LEAST_LENGTH)
    return unit


def reading_for(
    engine: Engine, model: ServedModel, long_text: LongTextChoice, field: str, *, from_left: bool = False
) -> HowToRead:
    """Return how a model reads the texts of a request."""
    most = engine.limits.request_tokens
    return HowToRead(model.max_seq_length, long_text, model.stride, most, field, from_left)


async def embeddings(engine: Engine, body: EmbeddingsBody, part: str) -> Reply:
    """Answer `/v1/embeddings`."""
    model = engine.registry.get(body.model, "embed")
    texts = given_inputs(body.input, model, engine.limits.texts, "input")

    def prepare() -> PreparedRequest[Vectors]:
        return prepare_vectors(model, texts, reading_for(engine, model, body.long_text, "input"))

    prepared, vectors = await engine.run(prepare)
    vectors = shortened(vectors, body.dimensions, normalize=True)
    encoded: list[Any] = (
        [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
        if body.encoding_format == "base64"
        else vectors.tolist()
    )
    tokens = _tokens_read(prepared.counts)
    data = [EmbeddingItem(number, vector) for number, vector in enumerate(encoded)]
    return reply_of(prepared, EmbeddingsAnswer(data, model.name, Usage(tokens, tokens)))


def _tokens_read(counts: Any) -> int:
    """Return the tokens that the model read, with the two special ones of each sequence."""
    total = TextCounts.total(counts)
    return total.tokens - total.tokens_cut + 2 * total.windows


def card_of(model: ServedModel) -> ModelCard:
    """Describe a model."""
    config = model.pretrained.config
    return ModelCard(
        id=model.name,
        created=model.loaded_at,
        version=model.version,
        abilities=list(model.abilities),
        max_tokens=model.max_seq_length,
        dimensions=model.dimensions,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        labels=list(model.labels),
    )


async def list_models(engine: Engine, body: None, part: str) -> Reply:
    """Answer `/v1/models`."""
    return Reply(ModelList([card_of(model) for model in engine.registry]))


async def one_model(engine: Engine, body: None, part: str) -> Reply:
    """Answer `/v1/models/{model}`."""
    return Reply(card_of(engine.registry.named(part)))


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/embeddings",
        "A vector for each text",
        PROTOCOL,
        embeddings,
        EmbeddingsBody,
        EmbeddingsAnswer,
    ),
    Endpoint("GET", "/v1/models", "The models and what they can do", PROTOCOL, list_models, answer=ModelList),
    Endpoint("GET", "/v1/models/{model}", "One model", PROTOCOL, one_model, answer=ModelCard, refusals=("not_found",)),
)
