"""Routes that change which models are loaded. They are served only with `--allow_changes`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from bertworks.errors import InputError, one_line
from bertworks.serve.endpoints import Endpoint, Reply
from bertworks.serve.engine import Engine
from bertworks.serve.protocols.openai import PROTOCOL, ModelCard, card_of
from bertworks.serve.refusals import Refusal


class ModelDeleted(Struct):
    """A model that is served no more; its files are untouched."""

    id: str
    deleted: bool = True
    object: Literal["model"] = "model"


async def unload(engine: Engine, body: None, part: str) -> Reply:
    """Answer DELETE `/v1/models/{model}`."""
    engine.registry.remove(part)
    return Reply(ModelDeleted(part))


async def reload(engine: Engine, body: None, part: str) -> Reply:
    """Answer POST `/v1/models/{model}/reload`: read the model's files again; on failure the old one stays."""
    try:
        new = await engine.reload(part)
    except InputError as error:
        raise Refusal("unable", f"cannot be loaded, so the old one stays: {one_line(error)}", "model") from None
    return Reply(card_of(new), new)


ENDPOINTS = (
    Endpoint(
        "DELETE",
        "/v1/models/{model}",
        "Unload a model",
        PROTOCOL,
        unload,
        answer=ModelDeleted,
        refusals=("not_found",),
    ),
    Endpoint(
        "POST",
        "/v1/models/{model}/reload",
        "Load a model again",
        PROTOCOL,
        reload,
        answer=ModelCard,
        refusals=("not_found", "unable"),
        timed=False,
    ),
)
