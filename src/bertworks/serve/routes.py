"""All routes of a server."""

from __future__ import annotations

import msgspec

from bertworks.serve.endpoints import Endpoint, Reply
from bertworks.serve.engine import Engine
from bertworks.serve.openapi import document
from bertworks.serve.page import page
from bertworks.serve.protocols import changes, encode, openai, ours, root, tei, tei_tokens


def all_endpoints(*, with_key: bool, allow_changes: bool = False) -> list[Endpoint]:
    """Return every route; those that change models only where that is allowed."""
    endpoints = [
        _page("/", "index.html", "The page that shows what the models answer"),
        _page("/docs", "docs.html", "The page of the routes"),
        *ours.ENDPOINTS,
        *openai.ENDPOINTS,
        *tei.ENDPOINTS,
        *tei_tokens.ENDPOINTS,
        *root.ENDPOINTS,
        *encode.ENDPOINTS,
        *(changes.ENDPOINTS if allow_changes else ()),
    ]
    described = msgspec.json.encode(document(endpoints, with_key=with_key))

    async def openapi(engine: Engine, body: None, part: str) -> Reply:
        return Reply(described)

    return [
        *endpoints,
        Endpoint("GET", "/openapi.json", "This document", ours.PROTOCOL, openapi, answer=None, public=True),
    ]


def _page(path: str, name: str, summary: str) -> Endpoint:
    """Return the route of a page, which needs no key: it asks for it."""

    async def show(engine: Engine, body: None, part: str) -> Reply:
        found = page(name)
        headers = {"content-security-policy": found.policy, "x-content-type-options": "nosniff"}
        return Reply(found.html, media_type="text/html; charset=utf-8", more_headers=headers)

    return Endpoint("GET", path, summary, ours.PROTOCOL, show, media_type="text/html; charset=utf-8", public=True)
