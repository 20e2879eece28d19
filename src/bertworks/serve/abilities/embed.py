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
from bertworks.serve.prepared import PreparedRequest, grouped, lane_of
from bertworks.serve.reading import Given, HowToRead, read_texts
from bertworks.serve.refusals import Refusal
from bertworks.tasks.embed import features
from bertworks.tasks.embed.sentences import after_pooling, pooled, with_prompt

# bert-as-service takes the last layer but one.
_SECOND_TO_LAST = 2

Vectors = NDArray[np.float32]


def prepare_vectors(
    model: ServedModel, texts: Sequence[Given], reading: HowToRead, *, second_to_last: bool = False
) -> PreparedRequest[Vectors]:
    """Prepare a vector for each text, [N, K].

    Args:
        second_to_last: pool the last layer but one of a model that has no rules of its own.

    Raises:
        Refusal: a text is too long; an exported model has no such layer.
    """
    model.check_pairs(texts, reading.field)
    rules = model.pretrained.checkpoint.sentences
    layers = model.pretrained.config.num_hidden_layers
    layer = max(1, layers - _SECOND_TO_LAST + 1) if second_to_last and not rules else layers
    if model.exported and layer != layers:
        raise Refusal("unable", "an exported model gives its last layer; this route pools the one before", "model")
    poolings = rules.poolings if rules else ("mean",)
    sequences, counts = read_texts(model.tokenizer, _prompted(model, texts), reading)

    def finish(outputs: Sequence[Vectors]) -> Vectors:
        of_texts = grouped(outputs, sequences)
        values = np.array([np.mean(vectors, 0) if len(vectors) > 1 else vectors[0] for vectors in of_texts], np.float32)
        path = model.pretrained.checkpoint.path
        return after_pooling(torch.from_numpy(values), rules, path).numpy() if rules else values

    lane = lane_of(
        model,
        f"embed {layer}",
        "sequence",
        lambda: partial(_pooled, model, layer, poolings),
    )
    return PreparedRequest(model, lane, [one for part in sequences for one in part], finish, counts)


def prepare_token_vectors(
    model: ServedModel, texts: Sequence[Given], reading: HowToRead
) -> PreparedRequest[list[Vectors]]:
    """Prepare a vector of the last layer for every token of each text, [T, H] each, special tokens included."""
    sequences, counts = read_texts(model.tokenizer, _prompted(model, texts), reading)

    def finish(outputs: Sequence[Vectors]) -> list[Vectors]:
        return [np.concatenate(part) for part in grouped(outputs, sequences)]

    last = model.pretrained.config.num_hidden_layers
    network, dtype = model.pretrained.model.bert, model.pretrained.dtype
    lane = lane_of(model, "embed all", "token", lambda: partial(features.pooled, network, [last], "none", dtype))
    return PreparedRequest(model, lane, [one for part in sequences for one in part], finish, counts)


def _prompted(model: ServedModel, texts: Sequence[Given]) -> list[Given]:
    """Put the model's prompt before each text, and lower-case it where its folder says so."""
    rules = model.pretrained.checkpoint.sentences
    return [with_prompt(rules, text) if rules and isinstance(text, str) else text for text in texts]


def _pooled(model: ServedModel, layer: int, poolings: Sequence[str], batch: PackedBatch) -> Tensor:
    """Return the vectors of each pooling, joined, [B, K]."""
    network, dtype = model.pretrained.model.bert, model.pretrained.dtype
    starts = batch.starts[: len(batch) + 1]
    if tuple(poolings) == ("cls",):
        return network.hidden_states(batch, [layer], dtype=dtype, read=starts[:-1].long())[0].float()
    hidden = network.hidden_states(batch, [layer], dtype=dtype)[0][: batch.tokens].float()
    return torch.cat([pooled(hidden, starts, name) for name in poolings], 1)
