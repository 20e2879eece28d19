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
from bertworks.serve.models import Registry, ServedModel
from bertworks.serve.prepared import PreparedRequest
from bertworks.serve.reading import check_tokens

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
        self._loading = asyncio.Lock()
        self._load: asyncio.Task[ServedModel] | None = None

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
        check_tokens(prepared.tokens, self.limits.request_tokens)
        if check:
            check(prepared)
        outputs = await self.batcher.compute(prepared.lane, prepared.items)
        result = await self.in_thread(partial(prepared.finish, outputs))
        self.measures.add_request(prepared.model.name, prepared.counts)
        return prepared, result

    async def in_thread(self, function: Callable[[], Result]) -> Result:
        """Run a function that computes nothing in one of the threads around it."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    async def reload(self, name: str) -> ServedModel:
        """Read a model's files again and serve what they have now; return it. On failure the old one stays.

        One model is loaded at a time, because each takes memory beside the old one. A load that has begun ends and
        counts, even if nobody waits for it any more.

        Raises:
            Refusal: there is no such model, or it was unloaded meanwhile.
            InputError: it cannot be loaded.
        """
        await self._loading.acquire()
        self._load = asyncio.ensure_future(self._reload(name))
        return await asyncio.shield(self._load)

    async def _reload(self, name: str) -> ServedModel:
        try:
            old = self.registry.named(name)
            new = await asyncio.to_thread(self.registry.load, old.name, old.source)
            self.registry.replace(old, new)
            return new
        finally:
            self._load = None  # it would keep the model in memory
            self._loading.release()

    def close(self) -> None:
        """Finish what runs, then end the threads."""
        self._threads.shutdown()
        self.batcher.close()
