"""Vectors of texts and of tokens.

A folder of sentence-transformers says how a text becomes a vector; other models are pooled by the mean of their last
layer. A text in several windows gets the mean of the windows' vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.data.batch import PackedBatch
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import Prepared, grouped, lane_of
from bertworks.serve.reading import Given, HowToRead, TextCounts, read_texts
from bertworks.tasks.embed.features import Pooling, pooled
from bertworks.tasks.embed.sentences import POOLINGS, after_pooling

# bert-as-service takes the last layer but one.
_SECOND_TO_LAST = 2

Vectors = NDArray[np.float32]


def prepare_vectors(
    model: ServedModel, texts: Sequence[Given], reading: HowToRead, *, second_to_last: bool = False
) -> Prepared[Vectors]:
    """Prepare a vector for each text, [N, K].

    Args:
        second_to_last: pool the last layer but one of a model that has no rules of its own.

    Raises:
        Refusal: a text is too long.
    """
    model.check_pairs(texts, reading.field)
    rules = model.pretrained.checkpoint.sentences
    layers = model.pretrained.config.num_hidden_layers
    layer = max(1, layers - _SECOND_TO_LAST + 1) if second_to_last and not rules else layers
    poolings = rules.poolings if rules else ("mean",)
    sequences, counts = read_texts(model.tokenizer, _prompted(model, texts), reading)

    def finish(outputs: Sequence[Vectors]) -> Vectors:
        rows = []
        for parts, vectors in zip(sequences, grouped(outputs, sequences), strict=True):
            scaled = [_scaled(vector, poolings, one.length) for vector, one in zip(vectors, parts, strict=True)]
            rows.append(np.mean(scaled, 0) if len(scaled) > 1 else scaled[0])
        values = np.array(rows, np.float32)
        return after_pooling(values, rules, model.pretrained.checkpoint.path) if rules else values

    kinds = tuple(POOLINGS[name] for name in poolings)
    lane = lane_of(
        model,
        f"embed {layer}",
        "sequence",
        lambda: partial(_pooled, model, layer, kinds),
    )
    # [CLS] is the row that pooling by it reads.
    items = [one._replace(rows=(0,) if "cls" in kinds else ()) for part in sequences for one in part]
    return Prepared(model, lane, items, finish, counts)


def prepare_token_vectors(model: ServedModel, texts: Sequence[Given], reading: HowToRead) -> Prepared[list[Vectors]]:
    """Prepare a vector of the last layer for every token of each text, [T, H] each, special tokens included."""
    sequences, counts = read_texts(model.tokenizer, _prompted(model, texts), reading)

    def finish(outputs: Sequence[Vectors]) -> list[Vectors]:
        return [np.concatenate(part) for part in grouped(outputs, sequences)]

    last = model.pretrained.config.num_hidden_layers
    network, dtype = model.pretrained.model.bert, model.pretrained.dtype
    lane = lane_of(model, "embed all", "token", lambda: partial(pooled, network, [last], "none", dtype))
    return Prepared(model, lane, [one for part in sequences for one in part], finish, counts)


def total_numbers(model: ServedModel, counts: Sequence[TextCounts]) -> int:
    """Return how many numbers the vectors of all tokens have."""
    return sum(count.tokens + 2 * count.windows for count in counts) * model.pretrained.config.hidden_size


def _prompted(model: ServedModel, texts: Sequence[Given]) -> list[Given]:
    """Put the model's prompt before each text, and lower-case it where its folder says so."""
    rules = model.pretrained.checkpoint.sentences
    if not rules:
        return list(texts)
    prompted = [rules.prompt + text if isinstance(text, str) else text for text in texts]
    return [text.lower() if isinstance(text, str) and rules.do_lower_case else text for text in prompted]


def _pooled(model: ServedModel, layer: int, kinds: Sequence[Pooling], batch: PackedBatch) -> Tensor:
    """Return the vectors of each pooling, joined, [B, K]."""
    network, dtype = model.pretrained.model.bert, model.pretrained.dtype
    found = [pooled(network, [layer], kind, dtype, batch).float()[: len(batch)] for kind in kinds]
    return torch.cat(found, 1)


def _scaled(vector: Vectors, poolings: Sequence[str], length: int) -> Vectors:
    """Multiply the parts of a vector that come from the mean by the root of the length, where the folder wants it."""
    parts = np.split(vector, len(poolings))
    factors = [np.float32(length**0.5) if name == "mean_sqrt_len_tokens" else np.float32(1) for name in poolings]
    return np.concatenate([part * factor for part, factor in zip(parts, factors, strict=True)])
