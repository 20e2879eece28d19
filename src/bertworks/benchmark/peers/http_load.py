"""A small loader: many clients ask an HTTP server at once, over connections that stay open.

It is one event loop on plain sockets. That is quick enough to keep a server of BERT busy, and has no
settings of its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# A server that takes longer for an answer hangs.
HANGING_SECONDS = 120.0


@dataclass(frozen=True)
class Request:
    """What is sent: a path and a JSON body."""

    path: str
    body: bytes

    def head(self, host: str) -> bytes:
        """Return the head of the request."""
        return (
            f"POST {self.path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(self.body)}\r\n\r\n"
        ).encode()


def post(path: str, **body: Any) -> Request:
    """Return a request with a JSON body."""
    return Request(path, json.dumps(body).encode())


@dataclass(frozen=True)
class Load:
    """What a run of requests took, in seconds."""

    seconds: float
    latencies: list[float]


class ClientConnection:
    """One client's connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Request) -> tuple[int, bytes]:
        """Send a request; return the status and the body. The connection is opened again where the server closed it.

        Raises:
            TimeoutError: no answer came; the server hangs.
        """
        async with asyncio.timeout(HANGING_SECONDS):
            return await self._ask(request)

    async def _ask(self, request: Request) -> tuple[int, bytes]:
        reader, writer = self.streams = self.streams or await asyncio.open_connection(
            self.host, self.port, limit=1 << 26
        )
        writer.write(request.head(self.host) + request.body)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            self.close()
            raise
        status = int(head.split(b" ", 2)[1])
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        if fields.get(b"connection") == b"close":
            self.close()
        return status, body

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self.streams:
            self.streams[1].close()
        self.streams = None


async def load(
    address: tuple[str, int],
    requests: Sequence[Request],
    clients: int,
    check: Callable[[int, int, bytes], None] = lambda number, status, body: None,
) -> Load:
    """Send every request, `clients` at a time; `check` gets the number of the request, the status and the body."""
    numbers = iter(range(len(requests)))
    latencies = [0.0] * len(requests)

    async def client() -> None:
        connection = ClientConnection(*address)
        try:
            for number in numbers:
                began = time.perf_counter()
                status, body = await connection.ask(requests[number])
                latencies[number] = time.perf_counter() - began
                check(number, status, body)
        finally:
            connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return Load(time.perf_counter() - began, latencies)
