"""Servers as contestants: they are asked over HTTP by several clients, and end with the contestant."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bertworks
from bertworks.benchmark import inputs
from bertworks.benchmark.peers import ours_serving, serving
from bertworks.benchmark.peers.http_load import Load, Request, load, post
from bertworks.benchmark.peers.order import Order
from bertworks.benchmark.plans import subfolder
from tests.commands.runs import FIXTURES

TEXTS = ["a short text .", "another text , which is longer than the first one .", "the last"]

# A server that answers as a person's first attempt would.
ECHO = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self): self.send_error(404)
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps({"data": [{"embedding": [3.0, float(len(asked["input"]))]}]}).encode()
        self.send_response(200 if asked["input"] != "bad" else 500)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def order(tmp_path: Path) -> Order:
    (tmp_path / "model").mkdir()
    text = inputs.read_corpus(str(FIXTURES / "corpus.txt"), tmp_path)
    vocab = str(FIXTURES / "vocab.txt")
    model = inputs.make_model(tmp_path / "model", "encode", text, size="2/32", model=None, vocab_file=vocab, lower=True)
    folder = subfolder(tmp_path, "served", model)
    inputs.write_texts(folder, TEXTS)
    return Order(
        module="",
        work="serve",
        folder=str(folder),
        setting="torch",
        precision="fp32",
        device="cpu",
        threads=1,
        max_seq_length=64,
        options={"clients": "2"},
    )


def test_our_server_gives_the_vectors_of_the_model(order: Order) -> None:
    made = ours_serving.prepare(order)
    try:
        made.one_pass(0)
        assert len(made.latencies()) == len(TEXTS)
        assert made.memory is not None
        assert made.memory() > 50e6
        vectors = bertworks.load(order.model, device="cpu").embed(TEXTS)
        np.testing.assert_allclose(made.answers(), vectors / np.linalg.norm(vectors, axis=1)[:, None], atol=2e-6)
    finally:
        made.close()


def test_a_library_that_only_the_server_needs_is_missed_first(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError) as missing:
        ours_serving.prepare(replace(order, setting="openvino"))
    assert missing.value.name == "openvino"


def test_what_a_server_answers_and_how_it_ends(order: Order) -> None:
    made = serving.served(order, [sys.executable, "-c", ECHO, serving.PORT], "1", "echo")
    lengths = np.array([len(text) for text in TEXTS])
    np.testing.assert_allclose(made.answers()[:, 1] / made.answers()[:, 0], lengths / 3)
    made.one_pass(0)
    assert made.latencies()
    made.close()
    with pytest.raises(OSError, match=r"."):
        made.one_pass(1)


def test_a_bad_answer_and_a_server_that_ends_are_told(order: Order) -> None:
    inputs.write_texts(Path(order.folder), ["good", "bad"])
    made = serving.served(order, [sys.executable, "-c", ECHO, serving.PORT], "1", "echo")
    try:
        with pytest.raises(RuntimeError, match="the server answered 500"):
            made.one_pass(0)
    finally:
        made.close()
    with pytest.raises(RuntimeError, match="the server ended with 3 before it answered"):
        serving.served(order, [sys.executable, "-c", "raise SystemExit(3)"], "1", "")


def test_a_server_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_END_SECONDS", 0.1)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        serving.end(server)
    assert server.returncode == -9


def test_the_memory_of_a_server_is_the_most_that_it_had() -> None:
    code = "import sys; sys.stdout.write(str(len(bytearray(b'1' * 200_000_000)))); sys.stdout.flush(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.read(9)
        assert serving.memory(server.pid) > 200_000_000


def test_a_system_that_tells_no_memory() -> None:
    assert serving.memory(1 << 30) == 0


def test_clients_ask_at_once_and_every_request_is_timed() -> None:
    at_once, most = 0, 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        while head := await reader.read(1 << 16):
            body = head.partition(b"\r\n\r\n")[2]
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.02)
            at_once -= 1
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    async def run() -> tuple[Load, list[tuple[int, int, bytes]]]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        answers: list[tuple[int, int, bytes]] = []
        requests = [post("/", number=number) for number in range(7)]
        address = ("127.0.0.1", server.sockets[0].getsockname()[1])
        found = await load(address, requests, 3, lambda *words: answers.append(words))
        server.close()
        return found, answers

    found, answers = asyncio.run(run())
    assert most == 3
    assert sorted(answers) == [(number, 200, Request("/", b'{"number": %d}' % number).body) for number in range(7)]
    assert all(seconds >= 0.02 for seconds in found.latencies)
    assert len(found.latencies) == 7
    assert max(found.latencies) <= found.seconds
