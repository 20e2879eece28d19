"""Small models of every kind, in folders, and a server of them in this process."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

import bertworks
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.model.heads import SequenceClassifier, TokenClassifier, initialise
from bertworks.pretrained import Pretrained
from bertworks.serve import run
from bertworks.serve.engine import Engine
from bertworks.serve.http import Access, make_app
from bertworks.serve.limits import Limits
from bertworks.serve.loading import Runtime, load_model
from bertworks.serve.models import Registry
from bertworks.serve.routes import all_endpoints

FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = FIXTURES / "google_tiny"

TEXTS = [
    "The river is near the old bridge.",
    "Kemi wrote that the harbour is the best.",
    "the man went to the market of the town and then he went home, because it was late " * 20,
    "no",
    "Paris is a town; the harbour near the bridge is old, said the man.",
]


def golden(name: str) -> Pretrained:
    """One of the golden models of the original."""
    return bertworks.load(TINY / name, vocab_file=FIXTURES / "vocab.txt", bert_config_file=TINY / "bert_config.json")


def make_models(folder: Path) -> dict[str, str]:
    """Write a model of every kind; returns name -> folder."""
    words = golden("trained.ckpt")
    words.save(folder / "words")
    golden("squad.ckpt").save(folder / "squad")
    _with_labels(golden("classifier.ckpt"), folder / "classifier", ["negative", "positive"])
    base = words.config
    one = SequenceClassifier(base, 1)
    _headed(words, one, folder / "ranker", ["score"], "BertForSequenceClassification")
    tags = ["O", "B-place", "I-place", "B-person", "I-person"]
    _headed(words, TokenClassifier(base, len(tags)), folder / "tagger", tags, "BertForTokenClassification")
    return {name: str(folder / name) for name in ("classifier", "words", "squad", "tagger", "ranker")}


def _headed(base: Pretrained, model: Any, folder: Path, labels: list[str], architecture: str) -> None:
    """Put a drawn head on the encoder of a model. Its weights are large, so that answers differ."""
    initialise(model, 0.5, 1, ["classifier.weight"])
    encoder = {name: value for name, value in base.model.state_dict().items() if name.startswith("bert.")}
    wanted = {name: encoder.get(name, value) for name, value in model.state_dict().items()}
    wanted["classifier.bias"] = torch.zeros(len(labels))
    _write(base, wanted, folder, labels, architecture)


def _with_labels(pretrained: Pretrained, folder: Path, labels: list[str]) -> None:
    _write(pretrained, pretrained.model.state_dict(), folder, labels, "BertForSequenceClassification")


def _write(base: Pretrained, weights: Any, folder: Path, labels: list[str], architecture: str) -> None:
    extra = {**base.config.extra, "id2label": {str(i): label for i, label in enumerate(labels)}}
    save_model_folder(folder, replace(base.config, extra=extra), weights, architecture)
    base.tokenizer.save(folder, base.config.longest_sequence)


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Running(NamedTuple):
    """A server that runs."""

    port: int
    engine: Engine
    server: run.BertServer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request; a body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if content is not None:
            sent.setdefault("content-type", "application/json")
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post(self, path: str, **body: Any) -> Answer:
        return self.ask("POST", path, body)


@contextmanager
def serving(
    sources: dict[str, str],
    access: Access | None = None,
    *,
    allow_changes: bool = False,
    runtime: Runtime = "torch",
    precision: str = "fp32",
    **limits: Any,
) -> Iterator[Running]:
    """Run a server on a free port in a thread."""
    registry = Registry(sources, partial(load_model, "cpu", precision, runtime))
    engine = Engine(registry, Limits(**limits))
    access = access or Access(hosts=run.own_names("127.0.0.1"))
    endpoints = all_endpoints(with_key=bool(access.api_key), allow_changes=allow_changes)
    server = run.make_server(make_app(engine, endpoints, access), engine.limits, 10)
    sock = run.bind("127.0.0.1", 0)
    sock.listen()
    thread = threading.Thread(target=server.run, args=([sock],))
    thread.start()
    try:
        yield Running(sock.getsockname()[1], engine, server)
    finally:
        server.should_exit = True
        thread.join()
        engine.close()
        sock.close()
