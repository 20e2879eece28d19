"""The routes as an ASGI application: bytes to bodies, refusals to JSON, clients that leave, keys and times.

A body is read up to the limit and never logged. While an answer is computed the connection is watched: when the client
leaves, what is not computed yet never is.
"""

from __future__ import annotations

import asyncio
import difflib
import hmac
import sys
import time
import traceback
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bertworks.errors import InputError, one_line
from bertworks.serve.endpoints import Endpoint, Protocol, Reply
from bertworks.serve.engine import Engine
from bertworks.serve.protocols.openai import PROTOCOL as DEFAULT_PROTOCOL
from bertworks.serve.refusals import Reason, Refusal, invalid

_ENCODER = msgspec.json.Encoder()

# Bytes above the limit that are read and thrown away, because many clients read no answer before all is sent.
_DISCARDED = 1 << 25
_DISCARD_SECONDS = 1.0

# Nobody reads this answer; it stands in the metrics, as in nginx.
_LEFT = 499


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may ask.

    Attributes:
        api_key: that requests must have; empty for none.
        cors: the origins whose pages may ask; none by default.
        hosts: the names by which requests may call this server; empty for any. A server on loopback only answers to
            its own names, so that no page of another site reaches it through a name that it points here.
    """

    api_key: str = ""
    cors: Sequence[str] = ()
    hosts: Sequence[str] = ()


def make_app(engine: Engine, endpoints: Sequence[Endpoint], access: Access) -> ASGIApp:
    """Return the application."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    routes = [Route(path, _PathOf(engine, methods, access)) for path, methods in by_path.items()]
    middleware = []
    if access.cors:
        origins, methods = list(access.cors), ["GET", "POST"]
        middleware.append(Middleware(CORSMiddleware, allow_origins=origins, allow_methods=methods, allow_headers=["*"]))

    async def not_found(request: Request, error: Exception) -> Response:
        near = difflib.get_close_matches(request.url.path, by_path, 1, 0.6)
        meant = f"is {near[0]} meant? " if near else ""
        message = f"there is no {request.url.path}; {meant}/docs has all routes"
        return _refused(DEFAULT_PROTOCOL, Refusal("not_found", message))

    return _drained(Starlette(routes=routes, middleware=middleware, exception_handlers={404: not_found}))


def _drained(app: ASGIApp) -> ASGIApp:
    """Read what is left of a body before the answer: a connection that is closed on unread bytes loses the answer."""

    async def drained(scope: Scope, receive: Receive, send: Send) -> None:
        ended = False

        async def receiving() -> Message:
            nonlocal ended
            message = await receive()
            ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                size = 0
                with suppress(TimeoutError):
                    async with asyncio.timeout(_DISCARD_SECONDS):
                        while not ended and size < _DISCARDED:
                            size += len((await receiving()).get("body", b""))
            await send(message)

        await app(scope, receiving, sending)

    return drained


class _PathOf:
    """All methods of one path, as an ASGI application."""

    def __init__(self, engine: Engine, methods: dict[str, Endpoint], access: Access) -> None:
        self._engine, self._methods, self._access = engine, methods, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        request = Request(scope, receive)
        method = "GET" if request.method == "HEAD" else request.method
        endpoint = self._methods.get(method)
        protocol = next(iter(self._methods.values())).protocol
        began = time.monotonic()
        response: Response | None
        if endpoint is None:
            refusal = Refusal("method", f"{request.method} is not among {', '.join(self._methods)}")
            response = _refused(protocol, refusal)
            response.headers["allow"] = ", ".join(self._methods)
        else:
            response = await self._answer(endpoint, request)
        path = next(iter(self._methods.values())).path
        status = _LEFT if response is None else response.status_code
        self._engine.measures.add_answer(path, status, time.monotonic() - began)
        if response is None:
            self._engine.measures.add_left()
            return
        try:
            async with asyncio.timeout(self._engine.limits.request_seconds):
                await response(scope, receive, send)
        except TimeoutError:
            self._engine.measures.add_left()  # it does not read; the connection is closed

    async def _answer(self, endpoint: Endpoint, request: Request) -> Response | None:
        """Return the answer; None when the client has left."""
        try:
            self._check_access(endpoint, request)
            reply = await self._served(endpoint, request)
            return None if reply is None else _answered(reply)
        except Refusal as refusal:
            return _refused(endpoint.protocol, refusal)
        except ClientDisconnect:
            return None
        except InputError as error:
            return _refused(endpoint.protocol, Refusal("invalid", one_line(error)))
        except Exception as error:
            # The traceback has no text of a request: it names files and lines only.
            print("".join(traceback.format_tb(error.__traceback__)), type(error).__name__, file=sys.stderr, flush=True)
            return _refused(endpoint.protocol, Refusal("failed", "the server failed on this request"))

    async def _served(self, endpoint: Endpoint, request: Request) -> Reply | None:
        """Compute an answer; None when the client has left.

        Raises:
            Refusal: too many requests run, or the request is wrong.
        """
        engine = self._engine
        if engine.running >= engine.limits.connections and endpoint.body is not None:
            raise Refusal("overloaded", "too many requests run; try again later", retry_after=1)
        engine.running += 1
        try:
            body = await _read_body(endpoint, request, engine)
            part = str(request.path_params.get("model", ""))
            work = endpoint.handler(engine, body, part)
            seconds = engine.limits.request_seconds if endpoint.timed else None
            return await _while_connected(work, request, seconds)
        finally:
            engine.running -= 1

    def _check_access(self, endpoint: Endpoint, request: Request) -> None:
        """Check the name that the client calls the server by, the page that it asks from, and its key.

        Raises:
            Refusal: it must not ask.
        """
        access = self._access
        host = request.headers.get("host", "")
        name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
        if access.hosts and name.lower() not in access.hosts:
            raise Refusal("forbidden", "the server is not known by this name; see --allowed_hosts")
        # A browser lets a page of any origin send forms and requests without a body; it only hides the answer.
        origin = request.headers.get("origin")
        own = origin is None or origin.partition("://")[2].lower() == host.lower()
        if not own and origin not in access.cors and "*" not in access.cors:
            raise Refusal("forbidden", "pages of this origin may not ask; see --cors")
        if endpoint.public or not access.api_key:
            return
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        # A header is bytes, which are read as Latin-1 here. Programs write a key as UTF-8 or as Latin-1.
        given = (key.encode(), key.encode("latin-1"))
        if scheme.lower() != "bearer" or not any(hmac.compare_digest(one, access.api_key.encode()) for one in given):
            raise Refusal("unauthorized", "give the key in the header Authorization: Bearer KEY")


async def _read_body(endpoint: Endpoint, request: Request, engine: Engine) -> Any:
    """Return the decoded body, None where the route takes none.

    Raises:
        Refusal: it is too large, too slow, or not what the route takes.
    """
    if endpoint.body is None:
        return None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = endpoint.form and kind == "application/x-www-form-urlencoded"
    if kind != "application/json" and not form:
        raise Refusal("media_type", "give the header Content-Type: application/json")
    limits = engine.limits
    most = limits.body_bytes
    content = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                if len(content) + len(chunk) > most:
                    raise Refusal("too_large", f"the body has more than {most:,} bytes")
                content += chunk
    except TimeoutError:
        raise Refusal("slow", f"the body took longer than {limits.body_seconds:g} seconds") from None
    return _decoded(endpoint, bytes(content), form)


def _decoded(endpoint: Endpoint, content: bytes, form: bool) -> Any:
    """Return the body as the type that the route takes.

    Raises:
        Refusal: it is no JSON (malformed), or JSON of something else (invalid, with the field).
    """
    try:
        if not form:
            return msgspec.json.decode(content, type=endpoint.body)
        # An empty text is a text; another field that is left empty is none.
        several = parse_qs(content.decode(), keep_blank_values=True)
        fields: dict[str, Any] = {
            name: values if name == "texts" else values[0]
            for name, values in several.items()
            if name == "texts" or values[0]
        }
        return msgspec.convert(fields, endpoint.body, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error, [field.encode_name for field in msgspec.structs.fields(endpoint.body)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise Refusal("malformed", f"the body cannot be read: {one_line(error)}") from None
    except RecursionError:
        raise Refusal("malformed", "the body is nested too deeply") from None


async def _while_connected(work: Awaitable[Reply], request: Request, seconds: float | None) -> Reply | None:
    """Return the answer, or None if the client leaves before; then the work is cancelled. None is any time.

    Raises:
        Refusal: it takes too long, or what the work raises.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(gone())
    try:
        await asyncio.wait({answering, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        if leaving.done():
            return None
        raise Refusal("late", f"the answer took longer than {seconds:g} seconds")
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


def _answered(reply: Reply) -> Response:
    content = reply.content if isinstance(reply.content, bytes) else _ENCODER.encode(reply.content)
    return Response(content, 200, reply.headers, media_type=reply.media_type)


def _refused(protocol: Protocol, refusal: Refusal) -> Response:
    headers = {"retry-after": str(refusal.retry_after)} if refusal.retry_after else {}
    if refusal.reason == "unauthorized":
        headers["www-authenticate"] = "Bearer"
    if refusal.reason in _CLOSING:
        headers["connection"] = "close"  # the rest of the body is not read
    return Response(_ENCODER.encode(protocol.refuse(refusal)), refusal.status, headers, media_type="application/json")


_CLOSING: tuple[Reason, ...] = ("too_large", "slow", "media_type", "unauthorized", "forbidden")
