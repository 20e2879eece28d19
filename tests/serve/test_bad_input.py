"""Bad requests: each gets one JSON error, with the field where there is one, and the next request is answered."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from bertworks.serve.batching import Lane
from bertworks.serve.http import Access
from tests.serve.models import TEXTS, Running, serving

GOOD = {"texts": ["the old bridge"]}


@pytest.fixture(scope="module")
def strict(sources: dict[str, str]) -> Iterator[Running]:
    """A server with low limits, a key, and a page elsewhere that may ask."""
    access = Access(api_key="secret", cors=["https://page.example"], hosts=["127.0.0.1"])
    with serving(
        {name: sources[name] for name in ("classifier", "words")},
        access,
        body_bytes=5000,
        texts=4,
        request_tokens=400,
        body_seconds=0.3,
        head_seconds=0.3,
        numbers=2000,
    ) as running:
        yield running


def ask(server: Running, body: Any, path: str = "/v1/classify", **headers: str) -> tuple[int, dict[str, Any]]:
    answer = server.ask("POST", path, body, **headers)
    assert answer.headers["content-type"] == "application/json"
    return answer.status, answer.json


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"texts": []}, 422, "texts"),
        ({"texts": ["a", ""]}, 422, "texts[1]"),
        ({"texts": ["\u200b"]}, 422, "texts[0]"),
        ({"texts": "a"}, 422, "texts"),
        ({"texts": [1]}, 422, "texts[0]"),
        ({"texts": [["a", "b", "c"]]}, 422, "texts[0]"),
        ({}, 422, "texts"),
        ({**GOOD, "nonsense": 1}, 422, "nonsense"),
        ({**GOOD, "long_text": "cut"}, 422, "long_text"),
        ({**GOOD, "max_seq_length": 3}, 422, "max_seq_length"),
        ({**GOOD, "max_seq_length": 1000}, 422, "max_seq_length"),
        ({**GOOD, "model": "nobody"}, 404, "model"),
        ({**GOOD, "model": "words"}, 400, "model"),
        ({"texts": ["a"] * 10_000}, 413, "texts"),
        ({"texts": [TEXTS[2]] * 1000, "long_text": "window"}, 413, None),
        (b"", 400, None),
        (b"{", 400, None),
        (b"\xff\xfe", 400, None),
        (b'{"texts": ["\xff"]}', 400, None),
        (b"[" * 100_000, 422, None),
        (b'{"texts": ' + b"[" * 100_000, 422, None),
        (b'{"texts": ["a"], "x": ' + b'{"a":' * 100_000, 422, None),
        (b'{"texts": ["a" * 10_000_000]}', 400, None),
        (b'{"texts": ["' + b"a " * 5_000_000 + b'"]}', 413, None),
    ],
    ids=range(24),
)
def test_a_bad_body_is_told_where(server: Running, body: Any, status: int, field: str | None) -> None:
    found, answer = ask(server, body)
    assert (found, set(answer), set(answer["error"])) == (status, {"error"}, {"message", "type", "param", "code"})
    if field:
        assert answer["error"]["param"] == field
    assert ask(server, GOOD)[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/embed", {"inputs": []}, 400, "Empty"),
        ("/embed", {"inputs": [1, "a"]}, 422, "Validation"),
        ("/embed", {"inputs": ["a", [1]]}, 422, "Validation"),
        ("/embed", {"inputs": [[1], [10**9]]}, 422, "Validation"),
        ("/embed", {"inputs": ["a"], "prompt_name": "query"}, 422, "Validation"),
        ("/embed", {"inputs": ["a"], "dimensions": 1000}, 422, "Validation"),
        ("/embed", {"inputs": [TEXTS[2]]}, 422, "Validation"),
        ("/embed", {"inputs": ["a"] * 2000}, 413, "Validation"),
        ("/embed", {"input": ["a"]}, 422, "Validation"),
        ("/embed_all", {"inputs": ["a"], "model": "nobody"}, 404, "Validation"),
        ("/predict", {"inputs": ["a", "b", "c"]}, 422, "Validation"),
        ("/predict", {"inputs": ["a"], "model": "words"}, 400, "Backend"),
        ("/rerank", {"query": "a", "texts": []}, 400, "Empty"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 400, "Empty"),
        ("/decode", {"ids": []}, 400, "Empty"),
        ("/decode", {"ids": [-1]}, 422, "Validation"),
        ("/tokenize", {"inputs": []}, 400, "Empty"),
        ("/", {"inputs": {"question": "a"}}, 422, "Validation"),
        ("/", {"inputs": "a", "parameters": {"top_k": "b"}}, 422, "Validation"),
        ("/models/nobody", {"inputs": "a"}, 404, "Validation"),
    ],
)
def test_text_embeddings_inferences_errors_have_its_shape(
    server: Running, path: str, body: Any, status: int, kind: str
) -> None:
    found, answer = ask(server, body, path)
    assert (found, answer["error_type"], set(answer)) == (status, kind, {"error", "error_type"})
    assert answer["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": 1, "texts": [["a"]]}, 422),
        ({"id": 1, "texts": ["a"], "is_tokenized": True}, 422),
        ({"id": 1, "texts": []}, 422),
    ],
)
def test_bert_as_services_errors_have_its_shape(server: Running, body: Any, status: int) -> None:
    found, answer = ask(server, body, "/encode")
    assert (found, answer["status"], set(answer)) == (status, status, {"description", "type", "status"})


def test_an_unknown_field_or_path_is_told_the_known_ones(server: Running) -> None:
    message = ask(server, {"text": "a"})[1]["error"]["message"]
    assert "unknown field `text`; the fields are " in message
    assert "texts" in message
    status, answer = ask(server, GOOD, "/v1/classifi")
    assert status == 404
    assert answer["error"]["message"] == "there is no /v1/classifi; is /v1/classify meant? /docs has all routes"


@pytest.mark.parametrize("query", ["", "\u200b"])
def test_an_empty_query_is_not_a_wrong_text(server: Running, query: str) -> None:
    found, answer = ask(server, {"query": query, "texts": ["the man"]}, "/rerank")
    assert (found, answer["error"]) == (422, "`query`: the query is empty")


def test_other_ways_to_ask_wrongly(server: Running) -> None:
    assert ask(server, b"{}", content_type="text/plain")[0] == 415
    assert ask(server, b"texts=a", content_type="application/x-www-form-urlencoded")[0] == 415
    assert server.ask("POST", "/nowhere", {}).json["error"]["code"] == "not_found"
    refused = server.ask("PUT", "/v1/classify", {})
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    # A page of another site may point a name of its own at this machine.
    assert server.ask("GET", "/v1/models", host="evil.example").status == 403
    assert server.ask("GET", "/v1/models", host="localhost:1").status == 200


def test_a_key_is_needed_where_there_is_one(strict: Running) -> None:
    for headers in ({}, {"authorization": "secret"}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer é"}):
        answer = strict.ask("POST", "/v1/classify", GOOD, **headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert strict.ask("POST", "/v1/classify", GOOD, authorization="Bearer secret").status == 200
    assert [strict.ask("GET", path).status for path in ("/", "/docs", "/health", "/openapi.json")] == [200] * 4
    assert [strict.ask("GET", path).status for path in ("/metrics", "/v1/models", "/info")] == [401] * 3


def test_pages_elsewhere_may_ask_only_if_named(strict: Running, server: Running) -> None:
    headers = {"authorization": "Bearer secret", "origin": "https://page.example"}
    answer = strict.ask("POST", "/v1/classify", GOOD, **headers)
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    other = strict.ask("POST", "/v1/classify", GOOD, **{**headers, "origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-origin" not in server.ask("POST", "/v1/classify", GOOD, **headers).headers


def test_too_much_is_refused(strict: Running) -> None:
    def refused(path: str, **body: Any) -> tuple[int, str]:
        answer = strict.ask("POST", path, body, authorization="Bearer secret")
        return answer.status, answer.body.decode()

    assert refused("/v1/classify", texts=["a" * 6000])[0] == 413
    assert refused("/v1/classify", texts=["a"] * 5)[0] == 413
    status, text = refused("/v1/classify", texts=["the man " * 200] * 2, long_text="window")
    assert (status, "a request may have 400" in text) == (413, True)
    status, text = refused("/embed_all", inputs=["the man " * 40])
    assert (status, "numbers" in text) == (413, True)


def test_slow_and_cut_off_clients_cost_nothing(strict: Running) -> None:
    head = b"POST /v1/classify HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    head += b"authorization: Bearer secret\r\ncontent-length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as slow:
        slow.sendall(head + b'{"texts"')
        answer = slow.recv(1000)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2] or slow.recv(1000))["error"]["code"] == "slow"
    # Half a head, or none: the connection ends.
    for start in (b"", b"POST /v1/cl"):
        with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as silent:
            silent.sendall(start)
            assert silent.recv(1000) in (b"",)
    with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as cut:
        cut.sendall(head + b'{"texts": [')
    assert strict.ask("POST", "/v1/classify", GOOD, authorization="Bearer secret").status == 200


def test_half_a_head_after_a_request_holds_no_connection(strict: Running) -> None:
    whole = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as client:
        for start in (b"", b"GE"):
            client.sendall(whole[len(start) :])
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
            client.sendall(b"GE")  # the first time, the rest comes
        assert client.recv(1000) == b""


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_client_that_leaves_is_noticed(server: Running) -> None:
    """What it waits for never ends, so only its leaving ends the request."""
    model = server.engine.registry.named("words")
    lane = Lane(lambda items: time.sleep(0.2) or items, lambda item: 50)
    body = json.dumps({"texts": ["a [MASK]"] * 1000}).encode()
    kept = model.lanes.get("fill_mask")
    model.lanes["fill_mask"] = lane
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            head = "POST /v1/fill_mask HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            head += f"content-length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            wait_until(lambda: server.engine.batcher.waiting_tokens > 0)
        wait_until(lambda: server.engine.batcher.waiting_tokens == 0)
    finally:
        if kept:
            model.lanes["fill_mask"] = kept
        else:
            del model.lanes["fill_mask"]
    assert b"bert_clients_left_total 1.0" in server.ask("GET", "/metrics").body


def test_a_failure_is_one_json_error_without_the_text(server: Running, capfd: pytest.CaptureFixture[str]) -> None:
    model = server.engine.registry.named("tagger")

    def fail(items: Any) -> Any:
        raise RuntimeError(TEXTS[1])

    kept = dict(model.lanes)
    model.lanes["tag"] = Lane(fail, lambda item: item.length)
    try:
        answer = server.post("/v1/tag", texts=[TEXTS[1]])
    finally:
        model.lanes.clear()
        model.lanes.update(kept)
    assert (answer.status, answer.json["error"]["type"]) == (500, "server_error")
    shown = capfd.readouterr().err
    assert "RuntimeError" in shown
    assert "harbour" not in shown
    assert server.post("/v1/tag", texts=[TEXTS[1]]).status == 200


def test_too_many_requests_at_a_time_are_429(sources: dict[str, str]) -> None:
    go, held = threading.Event(), threading.Event()

    def hold(items: Any) -> Any:
        held.set()
        assert go.wait(10)
        return [np.zeros((1, 5, 2), np.float32) for _ in items]

    with serving({"words": sources["words"]}, connections=1) as running, ThreadPoolExecutor(1) as pool:
        running.engine.registry.named("words").lanes["fill_mask"] = Lane(hold, lambda item: 1)
        first = pool.submit(running.post, "/v1/fill_mask", texts=["a [MASK]"])
        assert held.wait(10)
        refused = running.post("/v1/fill_mask", texts=["a [MASK]"])
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert running.ask("GET", "/health").status == 200
        go.set()
        assert first.result().status == 200


def test_overload_is_429_with_the_time_to_wait_and_late_is_504(sources: dict[str, str]) -> None:
    go, held = threading.Event(), threading.Event()

    def hold(items: Any) -> Any:
        held.set()
        assert go.wait(10)
        return [np.zeros((1, 5, 2), np.float32) for _ in items]

    with serving({"words": sources["words"]}, waiting_tokens=1, request_seconds=0.5) as running:
        running.engine.registry.named("words").lanes["fill_mask"] = Lane(hold, lambda item: 1)
        with ThreadPoolExecutor(1) as pool:
            late = pool.submit(running.post, "/v1/fill_mask", texts=["a [MASK]"])
            assert held.wait(10)
            refused = running.post("/v1/fill_mask", texts=["a [MASK]"])
            assert (refused.status, refused.json["error"]["code"]) == (429, "overloaded")
            assert int(refused.headers["retry-after"]) >= 1
            assert (late.result().status, late.result().json["error"]["code"]) == (504, "late")
        go.set()
