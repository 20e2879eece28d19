"""Every attention probability and every hidden state of a model for one text, for those who study the model.

`Bert` computes packed batches and never holds these numbers. Here one sequence is computed plainly, as the BERT paper
describes it.

Shapes: T tokens, L layers, A heads, D head size, H hidden.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertworks.errors import InputError
from bertworks.model.bert import Bert, SelfAttention, TransformerBlock
from bertworks.model.kernels import activate
from bertworks.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Attentions:
    """What a model computes for one text.

    Attributes:
        tokens: with [CLS] and [SEP].
        hidden_states: float32 [L + 1, T, H]; the embeddings' output, then the output of every layer.
        attentions: float32 [L, A, T, T]; row i is how much token i attends to each token, and sums to 1.
    """

    tokens: list[str]
    hidden_states: NDArray[np.float32]
    attentions: NDArray[np.float32]


def compute_attentions(bert: Bert, tokenizer: Tokenizer, text: str, text_pair: str | None = None) -> Attentions:
    """Compute the attention probabilities and hidden states of one text, or a pair.

    Raises:
        InputError: the text is longer than the model's positions.
    """
    pair = tokenizer.encode_pair(text, text_pair)
    positions = bert.config.max_position_embeddings
    if len(pair.ids) > positions:
        raise InputError(f"{len(pair.ids)} tokens, but the model has {positions} positions: {text[:40]!r}...")
    device = bert.embeddings.word_embeddings.weight.device
    ids, segments = (torch.tensor(numbers, device=device) for numbers in (pair.ids, pair.segment_ids))
    hidden, attentions = plain_forward(bert, ids, segments)
    return Attentions(tokenizer.convert_ids_to_tokens(pair.ids), hidden.cpu().numpy(), attentions.cpu().numpy())


@torch.no_grad()
def plain_forward(bert: Bert, input_ids: Tensor, segment_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Run one sequence, [T] int64 ids and segments, through a model in float32, without dropout.

    Returns:
        hidden states [L + 1, T, H] and attention probabilities [L, A, T, T]; see `Attentions`.
    """
    embeddings = bert.embeddings
    x = (
        embeddings.word_embeddings.weight[input_ids]
        + embeddings.position_embeddings.weight[: len(input_ids)]
        + embeddings.token_type_embeddings.weight[segment_ids]
    )
    hidden, attentions = [embeddings.LayerNorm(x)], []
    for block in bert.encoder.layer:
        assert isinstance(block, TransformerBlock)
        x = hidden[-1]
        context, probabilities = _attention(block, x)
        output = block.attention.output
        x = output.LayerNorm(x + output.dense(context))
        inner = activate(block.intermediate.dense(x), block.intermediate.activation)
        hidden.append(block.output.LayerNorm(x + block.output.dense(inner)))
        attentions.append(probabilities)
    return torch.stack(hidden), torch.stack(attentions)


def _attention(block: TransformerBlock, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output of a layer's attention [T, H], and its probabilities [A, T, T]."""
    layer = block.attention.self
    assert isinstance(layer, SelfAttention)

    def by_head(dense: nn.Linear) -> Tensor:
        projected: Tensor = dense(x).unflatten(1, (layer.heads, layer.head_size))
        return projected.transpose(0, 1)  # [A, T, D]

    query, key, value = by_head(layer.query), by_head(layer.key), by_head(layer.value)
    probabilities = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(layer.head_size), -1)
    context: Tensor = probabilities @ value
    return context.transpose(0, 1).flatten(1), probabilities
