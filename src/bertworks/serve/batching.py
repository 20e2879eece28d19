"""Compute the requests of many clients together, in one thread, a batch at a time.

Items (sequences, mostly) wait in lanes. All items of a lane are computed alike, so a batch takes them from any number
of requests. A batch is cut fairly: among the requests of the lane, the next item comes from the one that has the fewest
tokens in the batch so far. So a request of a thousand texts slows a small one down by one batch at most.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from bertworks.serve.refusals import Refusal

# The weight of the last batch in the mean number of tokens computed in a second.
_NEW = 0.2


@dataclass(frozen=True, eq=False)
class Lane:
    """What can be computed in one batch.

    Attributes:
        run: items -> an output for each.
        tokens: the size of an item.
    """

    run: Callable[[Sequence[Any]], Sequence[Any]]
    tokens: Callable[[Any], int]


@dataclass(frozen=True)
class BatchReport:
    """One batch, for the metrics.

    Attributes:
        requests: how many requests had items in it.
        waited: the longest time that one of them waited since its last item was computed, in seconds.
    """

    items: int
    tokens: int
    requests: int
    waited: float
    seconds: float


class _Work:
    """The items of one request, and what was computed for them so far."""

    def __init__(self, lane: Lane, items: Sequence[Any]) -> None:
        self.lane = lane
        self.items = items
        self.sizes = [lane.tokens(item) for item in items]
        self.outputs: list[Any] = []
        self.taken = 0
        self.waiting_since = time.monotonic()
        self.future: Future[list[Any]] = Future()

    @property
    def waiting_tokens(self) -> int:
        return sum(self.sizes[self.taken :])


# A request and how many of its next items are in a batch.
_Share = tuple[_Work, int]


class Batcher:
    """The thread that computes, and the requests that wait for it."""

    def __init__(
        self,
        batch_tokens: int,
        max_wait: float,
        waiting_tokens: int,
        on_batch: Callable[[BatchReport], None] = lambda report: None,
    ) -> None:
        """Start the thread.

        Args:
            batch_tokens: the most tokens of a batch, unless one item has more.
            max_wait: how long a request waits for others, in seconds. It does not wait when the batch is full, nor when
                as many requests are there as the last batch had.
            waiting_tokens: more are refused.
            on_batch: called after each batch, in the thread.
        """
        self._batch_tokens = batch_tokens
        self._max_wait = max_wait
        self._most_waiting = waiting_tokens
        self._on_batch = on_batch
        self._works: list[_Work] = []
        self._waiting = 0
        self._tokens_a_second = 0.0
        self._last_requests = 1
        self._closed = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="bert-compute", daemon=True)
        self._thread.start()

    @property
    def waiting_tokens(self) -> int:
        """Tokens that wait."""
        return self._waiting

    @property
    def alive(self) -> bool:
        """Whether the thread computes."""
        return self._thread.is_alive() and not self._closed

    async def compute(self, lane: Lane, items: Sequence[Any]) -> list[Any]:
        """Return the outputs of items, in order. If the caller is cancelled, what is not computed yet never is.

        Raises:
            Refusal: too much waits already, or the server stops.
            Exception: what the lane raises for these items.
        """
        if not items:
            return []
        return await asyncio.wrap_future(self._submit(_Work(lane, items)).future)

    def _submit(self, work: _Work) -> _Work:
        tokens = sum(work.sizes)
        with self._condition:
            if self._closed:
                raise Refusal("unhealthy", "the server is stopping")
            if self._waiting and self._waiting + tokens > self._most_waiting:
                seconds = math.ceil(self._waiting / self._tokens_a_second) if self._tokens_a_second else 1
                raise Refusal("overloaded", "too many requests wait; try again later", retry_after=max(1, seconds))
            self._works.append(work)
            self._waiting += tokens
            self._condition.notify()
        return work

    def close(self) -> None:
        """Compute what waits, then end the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()

    def _loop(self) -> None:
        while self._next_batch():
            pass  # between batches nothing is held, so that a model that is unloaded meanwhile is free

    def _next_batch(self) -> bool:
        """Wait for a batch and compute it; return False when the server stops and nothing waits."""
        shares = self._next_shares()
        if not shares:
            return False
        began = time.monotonic()
        waited = began - min(work.waiting_since for work, _ in shares)
        self._compute(shares)
        seconds = max(time.monotonic() - began, 1e-6)
        tokens = sum(self._take(work, count) for work, count in shares)
        speed = tokens / seconds
        self._tokens_a_second += (speed - self._tokens_a_second) * (_NEW if self._tokens_a_second else 1)
        self._last_requests = len(shares)
        self._on_batch(BatchReport(sum(count for _, count in shares), tokens, len(shares), waited, seconds))
        return True

    def _next_shares(self) -> list[_Share]:
        """Wait for a batch; empty when the server stops and nothing waits."""
        with self._condition:
            while True:
                self._drop_cancelled()
                if not self._works and self._closed:
                    return []
                shares, due = self._choose()
                if shares:
                    return shares
                self._condition.wait(due)

    def _choose(self) -> tuple[list[_Share], float | None]:
        """Return a batch that is due, or none and the seconds until one is; None where nothing waits."""
        due = math.inf
        # The lane of the request that has waited longest comes first.
        for lane in dict.fromkeys(work.lane for work in sorted(self._works, key=lambda w: w.waiting_since)):
            works = [work for work in self._works if work.lane is lane]
            shares, full = self._cut(works)
            left = min(work.waiting_since for work in works) + self._max_wait - time.monotonic()
            if full or left <= 0 or len(works) >= self._last_requests or self._closed:
                return shares, None
            due = min(due, left)
        return [], None if due == math.inf else due

    def _cut(self, works: Sequence[_Work]) -> tuple[list[_Share], bool]:
        """Choose the items of a batch; return also whether more items wait than fit into it."""
        room, counts = self._batch_tokens, dict.fromkeys(works, 0)
        # (tokens in this batch, waiting since, number): the number keeps requests from being compared.
        queue = [(0, work.waiting_since, number) for number, work in enumerate(works)]
        heapq.heapify(queue)
        left_out = False
        while queue:
            tokens, since, number = heapq.heappop(queue)
            work = works[number]
            size = work.sizes[work.taken + counts[work]]
            if size > room and room < self._batch_tokens:
                left_out = True
                continue
            room -= size
            counts[work] += 1
            if work.taken + counts[work] < len(work.items):
                heapq.heappush(queue, (tokens + size, since, number))
            if room <= 0:
                return [(work, count) for work, count in counts.items() if count], True
        return [(work, count) for work, count in counts.items() if count], left_out

    def _compute(self, shares: Sequence[_Share]) -> None:
        """Compute a batch. If it fails, each request is computed alone, so that only the one at fault fails."""
        lane = shares[0][0].lane
        parts = [work.items[work.taken : work.taken + count] for work, count in shares]
        try:
            outputs = iter(lane.run([item for part in parts for item in part]))
            for (work, _), part in zip(shares, parts, strict=True):
                work.outputs += [next(outputs) for _ in part]
        except Exception as error:
            if len(shares) == 1:
                _finish(shares[0][0], error)
                return
            for work, count in shares:
                del work.outputs[work.taken :]
                self._compute([(work, count)])

    def _take(self, work: _Work, count: int) -> int:
        """Note that the next items of a request are computed; return how many tokens they have."""
        with self._condition:
            tokens = sum(work.sizes[work.taken : work.taken + count])
            work.taken += count
            work.waiting_since = time.monotonic()
            self._waiting -= tokens
            done = work.taken == len(work.items)
            if done or work.future.done():
                self._works.remove(work)
                self._waiting -= work.waiting_tokens
        if done:
            _finish(work, None)
        return tokens

    def _drop_cancelled(self) -> None:
        """Forget the requests whose clients left."""
        for work in [work for work in self._works if work.future.cancelled()]:
            self._works.remove(work)
            self._waiting -= work.waiting_tokens


def _finish(work: _Work, error: Exception | None) -> None:
    """Give a request its outputs or its error, unless its client left or it has failed already."""
    if work.future.done() or not work.future.set_running_or_notify_cancel():
        return
    if error is None:
        work.future.set_result(work.outputs)
    else:
        work.future.set_exception(error)
