"""What `/metrics` shows: counts and times, never texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bertworks.serve.batching import BatchReport
from bertworks.serve.reading import TextCounts

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
_FEW = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Measures:
    """The metrics of one server."""

    def __init__(self, waiting_tokens: Callable[[], int]) -> None:
        """Start at zero; `waiting_tokens` is asked when the metrics are read."""
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("bert_requests", "Answers by path and status.", ("path", "status"), registry=registry)
        self._seconds = Histogram(
            "bert_request_seconds", "Time to an answer.", ("path",), buckets=_SECONDS, registry=registry
        )
        self._left = Counter("bert_clients_left", "Clients that left before their answer.", registry=registry)
        self._texts = Counter("bert_texts", "Texts read.", ("model",), registry=registry)
        self._tokens = Counter("bert_tokens", "Tokens of texts.", ("model",), registry=registry)
        self._cut = Counter("bert_tokens_cut", "Tokens that no sequence had room for.", ("model",), registry=registry)
        self._windows = Counter("bert_windows", "Sequences read.", ("model",), registry=registry)
        self._batch_seconds = Histogram("bert_batch_seconds", "Time of a batch.", buckets=_SECONDS, registry=registry)
        self._batch_tokens = Histogram("bert_batch_tokens", "Tokens of a batch.", buckets=_TOKENS, registry=registry)
        self._batch_requests = Histogram("bert_batch_requests", "Requests in a batch.", buckets=_FEW, registry=registry)
        self._waited = Histogram(
            "bert_wait_seconds", "Longest wait of a request in a batch.", buckets=_SECONDS, registry=registry
        )
        Gauge("bert_waiting_tokens", "Tokens that wait.", registry=registry).set_function(waiting_tokens)

    def add_batch(self, report: BatchReport) -> None:
        """Count a batch."""
        self._batch_seconds.observe(report.seconds)
        self._batch_tokens.observe(report.tokens)
        self._batch_requests.observe(report.requests)
        self._waited.observe(report.waited)

    def add_request(self, model: str, counts: Sequence[TextCounts]) -> None:
        """Count the texts of a request that was computed."""
        total = TextCounts.total(counts)
        self._texts.labels(model).inc(len(counts))
        self._tokens.labels(model).inc(total.tokens)
        self._cut.labels(model).inc(total.tokens_cut)
        self._windows.labels(model).inc(total.windows)

    def add_answer(self, path: str, status: int, seconds: float) -> None:
        """Count an answer; `path` is the route's, not the client's."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def add_left(self) -> None:
        """Count a client that left before its answer."""
        self._left.inc()

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self._registry)
