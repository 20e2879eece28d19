"""`sentence-transformers`: batches of texts, sorted by length by the library itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sentence_transformers
import torch

from bertworks.benchmark.peers.encoding import BATCH_SIZES, DEFAULT_BATCH_SIZE, fastest, setting_name
from bertworks.benchmark.peers.inputs import unit_vectors
from bertworks.benchmark.peers.order import Order, Prepared


def prepare(order: Order) -> Prepared:
    """Prepare the encoding of the shared texts; at its best with the fastest of some batch sizes."""
    torch.set_num_threads(order.threads)
    options = {"dtype": torch.bfloat16} if order.precision == "bf16" else {}
    # Of a folder without modules of its own it takes the mean over a text's tokens.
    model = sentence_transformers.SentenceTransformer(str(order.model), device=order.device, model_kwargs=options)
    model.max_seq_length = order.max_seq_length
    texts, one_by_one = order.texts(), order.work == "latency"

    def encode(some: Sequence[str], size: int) -> Any:
        return model.encode(list(some), batch_size=size, show_progress_bar=False, convert_to_tensor=False)

    is_best = order.setting != "defaults"
    size = fastest(BATCH_SIZES, encode, texts) if is_best and not one_by_one else DEFAULT_BATCH_SIZE
    return Prepared(
        version=sentence_transformers.__version__,
        settings=setting_name(order) + ("" if one_by_one else f": batches of {size}"),
        one_pass=lambda number: encode([texts[number % len(texts)]] if one_by_one else texts, size),
        answers=lambda: unit_vectors(encode(texts, size)),
    )
