"""A server of embeddings as a contestant: it runs beside this process, which is its clients. It needs only numpy.

All servers answer OpenAI's `/v1/embeddings`, a text a request, for a model called "model".
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.benchmark.peers.http_load import Request, load, post
from bertworks.benchmark.peers.inputs import unit_vectors
from bertworks.benchmark.peers.memory import most_resident
from bertworks.benchmark.peers.order import Order, Prepared

MODEL = "model"

# What stands for the port in a command.
PORT = "PORT"

# How long a server may take to load and to answer, and to end.
_START_SECONDS, _END_SECONDS = 300.0, 10.0

# Texts whose vectors are compared.
_COMPARED = 50


def served(order: Order, command: Sequence[str], version: str, settings: str) -> Prepared:
    """Start a server and wait until it answers.

    Args:
        order: its options name the number of `clients`.
        command: PORT in it is replaced by a port that is free.
        version: of the library.
        settings: for the table.

    Raises:
        RuntimeError: it ended, or did not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([word.replace(PORT, str(port)) for word in command])
    try:
        _wait(server, port, time.monotonic() + _START_SECONDS)
    except BaseException:
        end(server)
        raise
    address = ("127.0.0.1", port)
    requests = [post("/v1/embeddings", model=MODEL, input=text) for text in order.texts()]
    clients = int(order.options["clients"])
    latencies: list[float] = []

    def one_pass(number: int) -> None:
        latencies[:] = asyncio.run(load(address, requests, clients, _check)).latencies

    return Prepared(
        version=version,
        settings=settings,
        one_pass=one_pass,
        answers=lambda: unit_vectors(_vectors(address, requests[:_COMPARED])),
        latencies=lambda: latencies,
        memory=lambda: memory(server.pid),
        close=lambda: end(server),
    )


def needed(*modules: str) -> None:
    """Check that this environment has modules that only the server imports.

    Raises:
        ModuleNotFoundError: it lacks one.
    """
    for name in modules:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"no module named {name}", name=name)


def end(server: subprocess.Popen[bytes]) -> None:
    """End a server, at once if it does not end by itself."""
    server.terminate()
    try:
        server.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def memory(process: int) -> int:
    """Return the most resident bytes of a process and of those that it started; 0 where the system does not tell."""
    started = [path.read_text().split() for path in Path(f"/proc/{process}/task").glob("*/children")]
    return (most_resident(process) or 0) + sum(memory(int(child)) for children in started for child in children)


def _wait(server: subprocess.Popen[bytes], port: int, until: float) -> None:
    """Wait until a server answers a request, whatever it answers: some take the port before they have loaded."""
    while True:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with {server.returncode} before it answered")
        if time.monotonic() > until:
            raise RuntimeError("the server does not answer")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)


def _check(number: int, status: int, body: bytes) -> None:
    if status != 200:
        raise RuntimeError(f"the server answered {status}: {body[:200].decode(errors='replace')}")


def _vectors(address: tuple[str, int], requests: Sequence[Request]) -> NDArray[Any]:
    """Return the vectors of texts, [N, H]."""
    found = []

    def keep(number: int, status: int, body: bytes) -> None:
        _check(number, status, body)
        found.append(json.loads(body)["data"][0]["embedding"])

    asyncio.run(load(address, requests, 1, keep))  # one client: in order
    return np.array(found)
