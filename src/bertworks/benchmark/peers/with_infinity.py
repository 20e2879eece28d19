"""infinity: its engine inside a program, which batches texts by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from infinity_emb import AsyncEmbeddingEngine, EngineArgs

from bertworks.benchmark.peers.encoding import BATCH_SIZES, DEFAULT_BATCH_SIZE, setting_name
from bertworks.benchmark.peers.inputs import unit_vectors
from bertworks.benchmark.peers.order import Order, Prepared


def prepare(order: Order) -> Prepared:
    """Prepare the encoding of the shared texts."""
    is_best = order.setting != "defaults"
    size = max(BATCH_SIZES) if is_best else DEFAULT_BATCH_SIZE
    types = {"fp32": "float32", "bf16": "bfloat16"}
    arguments: dict[str, Any] = {"dtype": types[order.precision], "compile": False} if is_best else {}
    loop = asyncio.new_event_loop()
    engine = AsyncEmbeddingEngine.from_args(
        EngineArgs(
            model_name_or_path=str(order.model),
            engine="torch",
            device=order.device.partition(":")[0],
            batch_size=size,
            **arguments,
        )
    )
    loop.run_until_complete(engine.astart())
    texts, one_by_one = order.texts(), order.work == "latency"

    def encode(some: Sequence[str]) -> Any:
        vectors, _ = loop.run_until_complete(engine.embed(sentences=list(some)))
        return np.stack(vectors)

    return Prepared(
        version=version("infinity_emb"),
        settings=f"{setting_name(order)}: engine torch, batches of {size}",
        one_pass=lambda number: encode([texts[number % len(texts)]] if one_by_one else texts),
        answers=lambda: unit_vectors(encode(texts)),
    )
