"""Every attention probability and every hidden state, computed plainly, for those who study a model.

One sequence at a time, nothing fused and nothing left out: what `Bert` computes with packed batches, written as in the
paper. The fast path never holds these numbers.

Shapes: T tokens, L layers, H hidden, A heads, D head size.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertworks.model.bert import AddNorm, Bert, Block, SelfAttention
from bertworks.model.functions import activate


@torch.no_grad()
def study(bert: Bert, input_ids: Tensor, segment_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Run one sequence through a model in float32, without dropout.

    Args:
        bert: the network.
        input_ids: [T] int64.
        segment_ids: [T] int64.

    Returns:
        hidden states [L + 1, T, H], the embeddings' output first; attention probabilities [L, A, T, T], row i of a
        layer and head being what token i looks at.
    """
    embeddings = bert.embeddings
    x = (
        embeddings.word_embeddings.weight[input_ids]
        + embeddings.position_embeddings.weight[: len(input_ids)]
        + embeddings.token_type_embeddings.weight[segment_ids]
    )
    hidden, attentions = [_norm(embeddings.LayerNorm, x)], []
    for block in bert.encoder.layer:
        assert isinstance(block, Block)
        x = hidden[-1]
        context, probabilities = _attention(block, x)
        x = _add_norm(block.attention.output, context, x)
        inner = activate(_dense(block.intermediate.dense, x), block.intermediate.activation)
        hidden.append(_add_norm(block.output, inner, x))
        attentions.append(probabilities)
    return torch.stack(hidden), torch.stack(attentions)


def _attention(block: Block, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer's attention gives [T, H], and its probabilities [A, T, T]."""
    layer = block.attention.self
    assert isinstance(layer, SelfAttention)

    def by_head(dense: nn.Linear) -> Tensor:
        projected: Tensor = _dense(dense, x).unflatten(1, (layer.heads, layer.head_size))
        return projected.transpose(0, 1)  # [A, T, D]

    query, key, value = by_head(layer.query), by_head(layer.key), by_head(layer.value)
    probabilities = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(layer.head_size), -1)
    context: Tensor = probabilities @ value
    return context.transpose(0, 1).flatten(1), probabilities


def _dense(layer: nn.Linear, x: Tensor) -> Tensor:
    result: Tensor = F.linear(x, layer.weight, layer.bias)
    return result


def _norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def _add_norm(layer: AddNorm, x: Tensor, residual: Tensor) -> Tensor:
    return _norm(layer.LayerNorm, residual + _dense(layer.dense, x))
