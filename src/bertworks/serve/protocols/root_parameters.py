"""The `parameters` of Hugging Face's tasks that a model here has; others are refused by their name.

Their names are those of https://huggingface.co/docs/inference-providers/tasks/index, and of the routes of
text-embeddings-inference.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from bertworks.serve.abilities.fill_mask import MOST_WORDS
from bertworks.serve.protocols.tei_bodies import Direction
from bertworks.serve.refusals import Refusal, invalid

_Count = Annotated[int, Meta(ge=1)]
_Few = Annotated[int, Meta(ge=1, le=MOST_WORDS)]


class QuestionParameters(Struct, forbid_unknown_fields=True):
    """How questions are answered."""

    top_k: _Few = 1
    handle_impossible_answer: bool | None = None
    max_answer_len: Annotated[int, Meta(ge=1, le=512)] = 30


class EntityParameters(Struct, forbid_unknown_fields=True):
    """How pieces become entities: by the tag of the first piece of each word, which is the only way here."""

    aggregation_strategy: Literal["simple", "first"] = "first"


class WordParameters(Struct, forbid_unknown_fields=True):
    """How many words stand at [MASK]."""

    top_k: _Few = 5


class ClassParameters(Struct, forbid_unknown_fields=True):
    """How texts are read, how many classes are told, and how."""

    top_k: _Count | None = None
    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = None
    raw_scores: bool | None = None
    truncate: bool | None = None
    truncation_direction: Direction | None = None


class RankParameters(Struct, forbid_unknown_fields=True):
    """How texts are read, and what is told of them."""

    raw_scores: bool | None = None
    return_text: bool | None = None
    truncate: bool | None = None
    truncation_direction: Direction | None = None


class VectorParameters(Struct, forbid_unknown_fields=True):
    """How texts are read, and what is done to their vectors."""

    normalize: bool | None = None
    truncate: bool | None = None
    truncation_direction: Direction | None = None
    prompt_name: str | None = None
    dimensions: _Count | None = None


Parameters = TypeVar("Parameters", bound=Struct)


def parameters_as(kind: type[Parameters], given: dict[str, Any] | None) -> Parameters:
    """Return the parameters of a body; those that are null are not given.

    Raises:
        Refusal: one is unknown for what the model does, or out of range; the field is `parameters.NAME`.
    """
    try:
        return msgspec.convert({name: value for name, value in (given or {}).items() if value is not None}, kind)
    except msgspec.ValidationError as error:
        refusal = invalid(error, kind.__struct_fields__)
        raise Refusal("invalid", refusal.message, f"parameters.{refusal.field}") from None


def given_of(parameters: Struct) -> dict[str, Any]:
    """Return name -> value of the parameters that were given."""
    return {name: value for name, value in msgspec.structs.asdict(parameters).items() if value is not None}
