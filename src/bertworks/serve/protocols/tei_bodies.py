"""The bodies of text-embeddings-inference, from its OpenAPI document, and of their answers.

`model` is an addition: it chooses among several models. https://huggingface.github.io/text-embeddings-inference/
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Direction = Literal["left", "right", "Left", "Right"]

# Texts, or ids of tokens.
Inputs = str | list[str | int | list[int]]


class TeiError(Struct):
    """Why there is no answer."""

    error: str
    error_type: Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"]


class EmbedBody(Struct, forbid_unknown_fields=True):
    """What `/embed` takes."""

    inputs: Inputs
    normalize: bool = True
    truncate: bool | None = None
    truncation_direction: Direction = "right"
    prompt_name: str | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    model: str | None = None
    # Of Hugging Face's client, which sends what a person asks for.
    encoding_format: Literal["float"] | None = None


class EmbedAllBody(Struct, forbid_unknown_fields=True):
    """What `/embed_all` takes."""

    inputs: Inputs
    truncate: bool | None = None
    truncation_direction: Direction = "right"
    prompt_name: str | None = None
    model: str | None = None


class PredictBody(Struct, forbid_unknown_fields=True):
    """What `/predict` takes: a text, a pair, or a list of lists of one or two texts."""

    inputs: str | Annotated[list[str | Annotated[list[str], Meta(min_length=1, max_length=2)]], Meta(min_length=1)]
    raw_scores: bool = False
    truncate: bool | None = None
    truncation_direction: Direction = "right"
    model: str | None = None


class Prediction(Struct):
    """A class and its score."""

    score: float
    label: str


class RerankBody(Struct, forbid_unknown_fields=True):
    """What `/rerank` takes."""

    query: str
    texts: list[str]
    raw_scores: bool = False
    return_text: bool = False
    truncate: bool | None = None
    truncation_direction: Direction = "right"
    model: str | None = None


class Rank(Struct, omit_defaults=True):
    """A text by its number, and how well it fits the query."""

    index: int
    score: float
    text: str | None = None


class SimilarityInputs(Struct, forbid_unknown_fields=True):
    """A sentence and those to compare it with."""

    source_sentence: str
    sentences: list[str]


class SimilarityParameters(Struct, forbid_unknown_fields=True):
    """How sentences are read."""

    truncate: bool | None = None
    truncation_direction: Direction = "right"
    prompt_name: str | None = None


class SimilarityBody(Struct, forbid_unknown_fields=True):
    """What `/similarity` takes."""

    inputs: SimilarityInputs
    parameters: SimilarityParameters | None = None
    model: str | None = None


class TokenizeBody(Struct, forbid_unknown_fields=True):
    """What `/tokenize` takes."""

    inputs: str | list[str]
    add_special_tokens: bool = True
    prompt_name: str | None = None
    model: str | None = None


class SimpleToken(Struct):
    """A token; start and stop count the bytes of the text, None where no text is behind it."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class DecodeBody(Struct, forbid_unknown_fields=True):
    """What `/decode` takes: ids of tokens, or lists of them."""

    ids: list[int | list[int]]
    skip_special_tokens: bool = True
    model: str | None = None


class ServerInfo(Struct):
    """What `/info` says, of the first model."""

    model_id: str
    model_sha: str
    model_dtype: str
    served_model_name: str
    model_type: dict[str, Any]
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str


class RootBody(Struct, forbid_unknown_fields=True):
    """What POST `/` takes: what the route of the model's kind takes, or what Hugging Face's client sends."""

    inputs: Any = None
    parameters: dict[str, Any] | None = None
    query: str | None = None
    texts: list[str] | None = None
    raw_scores: bool = False
    return_text: bool = False
    normalize: bool = True
    truncate: bool | None = None
    truncation_direction: Direction = "right"
    prompt_name: str | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    encoding_format: Literal["float"] | None = None
    model: str | None = None
