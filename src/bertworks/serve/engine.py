"""From a prepared request to its answer: limits, threads, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from bertworks.serve.batching import Batcher
from bertworks.serve.limits import Limits
from bertworks.serve.measures import Measures
from bertworks.serve.models import Registry
from bertworks.serve.prepared import PreparedRequest
from bertworks.serve.refusals import Refusal

Result = TypeVar("Result")

# Threads that tokenize and that make answers. Python runs one at a time, so a long text only slows others down.
_THREADS = 4


class Engine:
    """The models, the thread that computes, and the threads around it."""

    def __init__(self, registry: Registry, limits: Limits) -> None:
        """Start the threads."""
        self.registry = registry
        self.limits = limits
        self.running = 0  # requests that are being read or answered
        self.measures = Measures(lambda: self.batcher.waiting_tokens)
        self.batcher = Batcher(
            limits.batch_tokens, limits.max_wait_ms / 1000, limits.waiting_tokens, self.measures.add_batch
        )
        self._threads = ThreadPoolExecutor(_THREADS, "bert-texts")

    async def run(
        self,
        prepare: Callable[[], PreparedRequest[Result]],
        check: Callable[[PreparedRequest[Result]], None] | None = None,
    ) -> tuple[PreparedRequest[Result], Result]:
        """Prepare a request in a thread, compute it with others, and finish it in a thread.

        Raises:
            Refusal: what `prepare` or `check` refuses; more tokens than a request may have; overload.
        """
        prepared = await self.in_thread(prepare)
        tokens, most = prepared.tokens, self.limits.request_tokens
        if tokens > most:
            raise Refusal("too_large", f"needs {tokens:,} tokens; a request may have {most:,}")
        if check:
            check(prepared)
        outputs = await self.batcher.compute(prepared.lane, prepared.items)
        result = await self.in_thread(partial(prepared.finish, outputs))
        self.measures.add_request(prepared.model.name, prepared.counts)
        return prepared, result

    async def in_thread(self, function: Callable[[], Result]) -> Result:
        """Run a function that computes nothing in one of the threads around it."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    def close(self) -> None:
        """Finish what runs, then end the threads."""
        self._threads.shutdown()
        self.batcher.close()
