"""The process of a server: its port, its signals, and its end."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from bertworks.errors import InputError, one_line
from bertworks.progress import say
from bertworks.serve.engine import Engine
from bertworks.serve.limits import Limits
from bertworks.serve.refusals import Refusal

# Seconds that a connection without requests stays open.
_KEEP_ALIVE = 20


def bind(host: str, port: int) -> socket.socket:
    """Take the port before anything is loaded.

    Raises:
        InputError: it is in use, or the machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends an answer's head and body at once only on sockets that say TCP; on others each answer waits 40 ms.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except (OSError, OverflowError) as error:
        found.close()
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is in use; give another, or --port=0 for any" if in_use else f"cannot be taken ({one_line(error)})"
        raise InputError(f"--host={host} --port={port}: {why}") from None
    return found


def own_names(host: str) -> tuple[str, ...]:
    """Return the names that a server on loopback answers to; none, which means any, for other addresses."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    return ("localhost", "127.0.0.1", "::1", host) if loopback else ()


def address_of(sock: socket.socket) -> str:
    """Return the address to open in a browser."""
    host, port = sock.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


class BertServer(uvicorn.Server):
    """Uvicorn, with signals left to `serve`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def make_server(app: ASGIApp, limits: Limits, drain_seconds: int) -> BertServer:
    """Return the server of an application, not running yet."""

    class Connection(H11Protocol):
        """A connection that is closed when the head of a request does not come, or when there are far too many."""

        waiting: asyncio.TimerHandle | None = None  # for the end of a head

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > 2 * limits.connections:
                transport.close()
            self.waiting = self.loop.call_later(limits.head_seconds, transport.close)

        def data_received(self, data: bytes) -> None:
            # The first byte ends uvicorn's own wait for the next request, so the rest of its head has a time, too.
            super().data_received(data)
            if self.cycle and not self.cycle.response_complete:
                self._wait_no_more()
            elif not self.waiting:
                self.waiting = self.loop.call_later(limits.head_seconds, self.transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            self._wait_no_more()
            super().connection_lost(exc)

        def _wait_no_more(self) -> None:
            if self.waiting:
                self.waiting.cancel()
                self.waiting = None

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=drain_seconds,
    )
    return BertServer(config)


def serve(server: BertServer, engine: Engine, sock: socket.socket) -> None:
    """Serve until SIGTERM or an interrupt; then answer what was asked before, and end. SIGHUP loads models again."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        reloads: set[asyncio.Task[None]] = set()

        def stop() -> None:
            if server.should_exit:
                server.force_exit = True
                return
            say("Stopping: answering what was asked before; once more to stop at once.")
            server.should_exit = True

        def reload() -> None:
            task = loop.create_task(_reload(engine))
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        handlers: Sequence[tuple[signal.Signals, Callable[[], None]]] = (
            (signal.SIGTERM, stop),
            (signal.SIGINT, stop),
            (signal.SIGHUP, reload),
        )
        for number, handler in handlers:
            loop.add_signal_handler(number, handler)
        # Who asks from now on waits a moment and is answered.
        sock.listen()
        say(f"Serving at {address_of(sock)} (routes: {address_of(sock)}/docs). Stop it with Ctrl-C.")
        await server.serve(sockets=[sock])

    try:
        asyncio.run(run())
    finally:
        engine.close()


async def _reload(engine: Engine) -> None:
    """Load every model again. Where that fails, the old one stays, and the others are loaded all the same."""
    for old in engine.registry:
        try:
            await engine.reload(old.name)
            say(f"{old.name}: loaded again from {old.source}")
        except Refusal as refusal:
            say(f"{old.name}: is not loaded again: {refusal.message}")
        except Exception as error:
            say(f"{old.name}: stays as it is, because it cannot be loaded again: {one_line(error)}")
