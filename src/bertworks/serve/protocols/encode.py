"""bert-as-service over HTTP: `/encode` and the two pages of its status.

Its documentation calls the vectors `results`, its server `result`; both are here, so every program finds them. Pairs
are written with ` ||| ` between the texts. A plain BERT gives the mean of its last layer but one, as there; a text that
is too long loses its end, as there, and the headers say how much.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

from msgspec import Meta, Struct

from bertworks import __version__
from bertworks.serve.abilities.embed import prepare_vectors
from bertworks.serve.endpoints import Endpoint, Protocol, Reply, reply_of
from bertworks.serve.engine import Engine
from bertworks.serve.models import ServedModel
from bertworks.serve.protocols.openai import reading_for
from bertworks.serve.reading import Given, check_texts
from bertworks.serve.refusals import Refusal
from bertworks.text.vocab_file import UNK

_PAIR = " ||| "


class EncodeError(Struct):
    """Why there is no answer."""

    description: str
    type: str
    status: int


def refuse(refusal: Refusal) -> EncodeError:
    """Return the body of a refusal."""
    where = f"{refusal.field}: " if refusal.field else ""
    return EncodeError(where + refusal.message, refusal.reason, refusal.status)


PROTOCOL = Protocol("bert-as-service", "The HTTP routes of bert-as-service 1.", EncodeError, refuse)


class EncodeBody(Struct, forbid_unknown_fields=True):
    """Texts, or lists of tokens."""

    texts: Annotated[list[str | list[str]], Meta(min_length=1)]
    id: Any = None
    is_tokenized: bool = False
    model: str | None = None


class EncodeAnswer(Struct):
    """A vector for each text, under both names."""

    id: Any
    result: list[list[float]]
    results: list[list[float]]
    status: int = 200


async def encode(engine: Engine, body: EncodeBody, part: str) -> Reply:
    """Answer `/encode`."""
    model = engine.registry.get(body.model, "embed")
    check_texts(body.texts, engine.limits.texts, "texts")
    texts = _given(model, body)
    reading = reading_for(engine, model, "truncate", "texts")
    prepared, vectors = await engine.run(lambda: prepare_vectors(model, texts, reading, second_to_last=True))
    rows = vectors.tolist()
    return reply_of(prepared, EncodeAnswer(body.id, rows, rows))


def _given(model: ServedModel, body: EncodeBody) -> list[Given]:
    """Return texts, pairs or ids.

    Raises:
        Refusal: lists of tokens without `is_tokenized`, or texts with it.
    """
    kind = list if body.is_tokenized else str
    for number, text in enumerate(body.texts):
        if not isinstance(text, kind):
            wanted = "a list of tokens" if body.is_tokenized else "a text"
            raise Refusal("invalid", f"must be {wanted}, as is_tokenized says", f"texts[{number}]")
    tokenizer = model.pretrained.tokenizer
    found: list[Given] = []
    for text in body.texts:
        if not isinstance(text, str):
            found.append([tokenizer.vocab.get(token, tokenizer.vocab[UNK]) for token in text])
        elif _PAIR in text:
            first, second = text.split(_PAIR, 1)
            found.append((first, second))
        else:
            found.append(text)
    return found


async def server_status(engine: Engine, body: None, part: str) -> Reply:
    """Answer `/status/server`."""
    model = engine.registry.first()
    content = {
        "status": 200,
        "server_version": __version__,
        "python_version": sys.version,
        "model_dir": model.name,
        "max_seq_len": model.max_seq_length,
        "max_batch_size": engine.limits.batch_tokens,
        "num_worker": 1,
        "pooling_layer": [-2],
        "pooling_strategy": "REDUCE_MEAN",
        "num_concurrent_socket": engine.limits.connections,
    }
    return Reply(content)


async def client_status(engine: Engine, body: None, part: str) -> Reply:
    """Answer `/status/client`: there are no clients inside, so this only says how much waits."""
    return Reply({"status": 200, "server_version": __version__, "waiting_tokens": engine.batcher.waiting_tokens})


ENDPOINTS = (
    Endpoint("POST", "/encode", "A vector for each text", PROTOCOL, encode, EncodeBody, EncodeAnswer, form=True),
    Endpoint(
        "GET", "/status/server", "The server", PROTOCOL, server_status, answer=dict[str, Any], refusals=("unhealthy",)
    ),
    Endpoint("GET", "/status/client", "What waits", PROTOCOL, client_status, answer=dict[str, Any]),
)
