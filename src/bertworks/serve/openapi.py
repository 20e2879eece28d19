"""The OpenAPI document, written from the table of routes that serves the requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bertworks import __version__
from bertworks.serve.endpoints import Endpoint
from bertworks.serve.refusals import STATUS, Reason

# Why any route may refuse.
_ALWAYS: tuple[Reason, ...] = ("forbidden", "failed")
_WITH_KEY: tuple[Reason, ...] = ("unauthorized",)
_WITH_BODY: tuple[Reason, ...] = (
    *("malformed", "empty", "unable", "not_found", "slow", "too_large"),
    *("media_type", "invalid", "overloaded", "unhealthy", "late"),
)

_MEANING: dict[Reason, str] = {
    "malformed": "The body is not JSON",
    "empty": "There are no texts",
    "unable": "The model cannot do this",
    "unauthorized": "The key is missing or wrong",
    "forbidden": "This is not allowed here",
    "not_found": "There is no such model",
    "slow": "The body came too slowly",
    "too_large": "The body, the texts or their tokens are too many",
    "media_type": "The body is not application/json",
    "invalid": "A field is wrong",
    "overloaded": "Too much waits; see the header Retry-After",
    "failed": "The server failed on this request",
    "unhealthy": "The server is stopping, or has no model",
    "late": "The answer took too long",
}


def document(endpoints: Sequence[Endpoint], *, with_key: bool) -> dict[str, Any]:
    """Return the document, OpenAPI 3.1."""
    shown = [endpoint for endpoint in endpoints if endpoint.answer is not None]
    types = [kind for e in shown for kind in (e.body, e.answer, e.protocol.error) if kind not in (None, bytes)]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in shown:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, by_type, with_key)
    protocols = {endpoint.protocol.name: endpoint.protocol.description for endpoint in shown}
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "bertworks", "version": __version__, "description": "BERT behind HTTP: bert serve."},
        "tags": [{"name": name, "description": text} for name, text in protocols.items()],
        "paths": paths,
        "components": {"schemas": components},
    }
    if with_key:
        found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return found


def _operation(endpoint: Endpoint, by_type: dict[int, Any], with_key: bool) -> dict[str, Any]:
    error = {"application/json": {"schema": by_type[id(endpoint.protocol.error)]}}
    good: dict[str, Any] = {"description": "The answer"}
    if endpoint.answer is bytes:
        good["content"] = {endpoint.media_type: {"schema": {"type": "string"}}}
    else:
        good["content"] = {endpoint.media_type: {"schema": by_type[id(endpoint.answer)]}}
    responses = {"200": good}
    for status, text in _refusals(endpoint, with_key).items():
        responses[str(status)] = {"description": text, "content": error}
    found: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": f"{endpoint.method.lower()} {endpoint.path}",
        "tags": [endpoint.protocol.name],
        "responses": responses,
    }
    if "{model}" in endpoint.path:
        name = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        found["parameters"] = [name]
    if endpoint.body is not None:
        content = {"application/json": {"schema": by_type[id(endpoint.body)]}}
        found["requestBody"] = {"required": True, "content": content}
    if with_key and not endpoint.public:
        found["security"] = [{"key": []}]
    return found


def _refusals(endpoint: Endpoint, with_key: bool) -> dict[int, str]:
    """Return the statuses of a route's refusals, with what they mean."""
    reasons = [*_ALWAYS, *endpoint.refusals]
    reasons += _WITH_BODY if endpoint.body is not None else ()
    reasons += _WITH_KEY if with_key and not endpoint.public else ()
    found: dict[int, list[str]] = {}
    for reason in dict.fromkeys(reasons):
        found.setdefault(STATUS[reason], []).append(_MEANING[reason])
    return {status: "; ".join(meanings) for status, meanings in sorted(found.items())}
