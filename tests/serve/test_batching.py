"""The batcher: fair cuts, budgets, waiting, cancellation, and errors that stay with their request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.serve.batching import Batcher, BatchReport, Lane
from bertworks.serve.refusals import Refusal


class Recorder:
    """A lane of numbers whose size is their value. It holds the first batch until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.held = threading.Event()
        self.go = threading.Event()
        self.lane = Lane(self.run, abs)

    def run(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.held.set()
        assert self.go.wait(10)
        if 13 in items:
            raise ValueError("thirteen")
        return [10 * item for item in items]


@contextmanager
def batching(**options: Any) -> Iterator[Batcher]:
    settings: dict[str, Any] = {"batch_tokens": 10, "max_wait": 0.0, "waiting_tokens": 1000}
    batcher = Batcher(**{**settings, **options})
    try:
        yield batcher
    finally:
        batcher.close()


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), 20))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_a_small_request_is_not_stuck_behind_a_large_one() -> None:
    recorder = Recorder()

    async def work() -> list[Any]:
        with batching() as batcher:
            large = asyncio.ensure_future(batcher.compute(recorder.lane, [2] * 40))
            await until(recorder.held.is_set)
            small = asyncio.ensure_future(batcher.compute(recorder.lane, [1, 1, 1]))
            await until(lambda: batcher.waiting_tokens == 83)
            recorder.go.set()
            return [await small, await large]

    small, large = run(work)
    assert small == [10, 10, 10]
    # One batch ran when it came; the next has all of it, beside some of the large one.
    assert 1 in recorder.batches[1]
    assert recorder.batches[1].count(1) == 3
    assert recorder.batches[1].count(2) >= 3
    assert large == [20] * 40
    assert all(sum(batch) <= 10 for batch in recorder.batches)


def test_an_item_above_the_budget_is_computed_alone() -> None:
    recorder = Recorder()
    recorder.go.set()

    async def work() -> list[Any]:
        with batching() as batcher:
            return await asyncio.gather(*(batcher.compute(recorder.lane, items) for items in ([25, 1], [3])))

    assert run(work) == [[250, 10], [30]]
    assert [25] in recorder.batches


def test_lanes_take_turns() -> None:
    first, second = Recorder(), Recorder()
    second.batches = first.batches
    second.go.set()

    async def work() -> None:
        with batching() as batcher:
            large = asyncio.ensure_future(batcher.compute(first.lane, [5] * 20))
            await until(first.held.is_set)
            other = asyncio.ensure_future(batcher.compute(second.lane, [4]))
            await until(lambda: batcher.waiting_tokens == 104)
            first.go.set()
            assert await other == [40]
            await large

    run(work)
    # 4 belongs to the second lane. It comes after the batch that ran, not after all of the first lane.
    assert first.batches[1] == [4]


def test_what_a_client_that_left_asked_for_is_not_computed() -> None:
    recorder = Recorder()

    async def work() -> None:
        with batching() as batcher:
            large = asyncio.ensure_future(batcher.compute(recorder.lane, [5] * 100))
            await until(recorder.held.is_set)
            large.cancel()
            with pytest.raises(asyncio.CancelledError):
                await large
            recorder.go.set()
            assert await batcher.compute(recorder.lane, [1]) == [10]
            assert batcher.waiting_tokens == 0

    run(work)
    assert len(recorder.batches) <= 3


def test_an_error_stays_with_its_request() -> None:
    recorder = Recorder()

    async def work() -> list[Any]:
        with batching(batch_tokens=100) as batcher:
            first = asyncio.ensure_future(batcher.compute(recorder.lane, [1]))
            await until(recorder.held.is_set)
            others = [asyncio.ensure_future(batcher.compute(recorder.lane, items)) for items in ([2, 3], [13], [4])]
            await until(lambda: batcher.waiting_tokens == 23)
            recorder.go.set()
            return [await first, *await asyncio.gather(*others, return_exceptions=True)]

    first, good, bad, other = run(work)
    assert (first, good, other) == ([10], [20, 30], [40])
    assert str(bad) == "thirteen"


def test_too_much_waiting_is_refused_with_the_time_to_wait() -> None:
    recorder = Recorder()

    async def work() -> None:
        with batching(waiting_tokens=30) as batcher:
            first = asyncio.ensure_future(batcher.compute(recorder.lane, [5, 5, 5, 5, 5]))
            await until(recorder.held.is_set)
            with pytest.raises(Refusal) as refused:
                await batcher.compute(recorder.lane, [6])
            assert refused.value.status == 429
            assert refused.value.retry_after >= 1
            recorder.go.set()
            await first
            # A single request may be larger than what may wait.
            assert await batcher.compute(recorder.lane, [40]) == [400]

    run(work)


def test_requests_wait_for_as_many_as_shared_the_last_batch() -> None:
    recorder, reports = Recorder(), list[BatchReport]()

    async def work() -> None:
        with batching(max_wait=30.0, on_batch=reports.append) as batcher:
            alone = asyncio.ensure_future(batcher.compute(recorder.lane, [1]))
            await until(recorder.held.is_set)
            three = [asyncio.ensure_future(batcher.compute(recorder.lane, [4])) for _ in range(3)]
            await until(lambda: batcher.waiting_tokens == 13)
            recorder.go.set()
            # The first was computed at once. Two of the others fit into a batch; the third waits for one more.
            assert [await alone, await three[0], await three[1]] == [[10], [40], [40]]
            fourth = asyncio.ensure_future(batcher.compute(recorder.lane, [3]))
            assert [await three[2], await fourth] == [[40], [30]]
            # The end of the batcher starts what waits.
            last = asyncio.ensure_future(batcher.compute(recorder.lane, [2]))
            await until(lambda: batcher.waiting_tokens == 2)
            await asyncio.to_thread(batcher.close)
            assert await last == [20]

    run(work)
    assert recorder.batches == [[1], [4, 4], [4, 3], [2]]
    assert [(report.items, report.tokens, report.requests) for report in reports] == [
        (1, 1, 1),
        (2, 8, 2),
        (2, 7, 2),
        (1, 2, 1),
    ]


def test_a_batcher_that_is_closed_refuses() -> None:
    recorder = Recorder()

    async def work() -> None:
        with batching() as batcher:
            assert batcher.alive
        assert not batcher.alive
        with pytest.raises(Refusal, match="stopping"):
            await batcher.compute(recorder.lane, [1])

    run(work)


@given(
    requests=st.lists(st.lists(st.integers(1, 12), max_size=12), min_size=1, max_size=8),
    budget=st.integers(1, 20),
    max_wait=st.sampled_from([0.0, 0.001]),
)
@settings(max_examples=30)
def test_every_request_gets_its_outputs_in_order(requests: list[list[int]], budget: int, max_wait: float) -> None:
    recorder = Recorder()
    recorder.go.set()

    async def work() -> list[Any]:
        with batching(batch_tokens=budget, max_wait=max_wait) as batcher:
            return await asyncio.gather(*(batcher.compute(recorder.lane, items) for items in requests))

    assert run(work) == [[10 * item for item in items] for items in requests]
    assert all(sum(batch) <= budget or len(batch) == 1 for batch in recorder.batches)
    assert sorted(chain.from_iterable(recorder.batches)) == sorted(chain.from_iterable(requests))
