"""The limits of a server, which keep one client from taking everything."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server accepts, and how long it waits.

    Attributes:
        body_bytes: the most bytes of a body.
        texts: the most texts of a request.
        request_tokens: the most tokens of a request, all its windows counted.
        waiting_tokens: the most tokens of all requests that wait; more are refused as overload.
        batch_tokens: the most tokens of a batch, unless one sequence has more.
        max_wait_ms: how long a request waits for others to share its batch.
        connections: the most requests at a time; twice as many connections may be open.
        head_seconds: how long a client may take to send the head of a request.
        body_seconds: how long a client may take to send a body.
        request_seconds: how long an answer may take.
        numbers: the most numbers in an answer that has one for each token or pair of tokens, or the most words and
            probabilities in one that has them for each [MASK].
    """

    body_bytes: int = 2_000_000
    texts: int = 1024
    request_tokens: int = 1 << 16
    waiting_tokens: int = 1 << 18
    batch_tokens: int = 1024
    max_wait_ms: float = 2.0
    connections: int = 512
    head_seconds: float = 10.0
    body_seconds: float = 20.0
    request_seconds: float = 60.0
    numbers: int = 1 << 21
