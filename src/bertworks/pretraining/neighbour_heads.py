"""First weights with which heads attend to neighbouring words from the first step on.

With random weights a BERT stays for a long time at what the commonest words alone explain: before words can tell of
their neighbours, heads must find out which of hundreds of learned positions are next to each other. Here the first
dimensions hold the position, as sinusoids (A. Vaswani et al., "Attention is all you need", 2017, section 3.5), and
words begin without them. Four heads of the first layer begin with queries and keys that find the words before and
after. All of it is trained like any other weight, and the model is an ordinary BERT.

A key is a position's sinusoids as they are, a query those of the position at the head's offset. Their product is a sum
of cosines, largest where the key's position is that one.

Shapes: P positions, H hidden, D head size, n frequencies.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bertworks.model.bert import Bert

# The word that each of the first heads attends to, from the word that asks.
OFFSETS = (-1, 1, -2, 2)

# How much larger the score of the word that a head looks for is than those of the words beside it.
_SHARPNESS = 2.5
# The frequencies, in radians a position. Lower ones hardly tell neighbours apart.
_HIGHEST, _LOWEST = 1.0, 0.1


def attend_to_neighbours(bert: Bert) -> str:
    """Change the embeddings and the first heads of a model whose weights were just drawn; return what to say of it."""
    config = bert.config
    n = min(config.head_size // 2, config.hidden_size // 8)
    frequencies = torch.logspace(math.log10(_HIGHEST), math.log10(_LOWEST), n)
    angles = torch.arange(config.max_position_embeddings)[:, None] * frequencies
    # Sinusoids are as large as words on average, so LayerNorm makes their amplitude the root of 2.
    amplitude = math.sqrt(2) * config.initializer_range
    strength = math.sqrt(_SHARPNESS * math.sqrt(config.head_size) / float(2 * (1 - frequencies.cos()).sum()))
    heads = OFFSETS[: config.num_attention_heads]
    embeddings, first = bert.embeddings, bert.encoder.layer[0].get_submodule("attention.self")
    with torch.no_grad():
        embeddings.word_embeddings.weight[:, : 2 * n] = 0
        embeddings.token_type_embeddings.weight[:, : 2 * n] = 0
        embeddings.position_embeddings.weight.zero_()
        embeddings.position_embeddings.weight[:, : 2 * n] = amplitude * torch.cat([angles.sin(), angles.cos()], 1)
        for name in ("query", "key"):
            weight = first.get_submodule(name).get_parameter("weight")
            for head, offset in enumerate(heads):
                row = head * config.head_size
                turned = _turned(frequencies * (offset if name == "query" else 0))
                weight[row : row + 2 * n, : 2 * n] += strength * turned
    begin = f"{len(heads)} heads of layer 0 attend to neighbouring words"
    return f"--neighbour_heads: at first positions are sinusoids, and {begin}"


def _turned(angles: Tensor) -> Tensor:
    """Return the matrix [2 n, 2 n] that turns sines, and cosines after them, by angles [n]."""
    sines, cosines = angles.sin().diag(), angles.cos().diag()
    return torch.cat([torch.cat([cosines, sines], 1), torch.cat([-sines, cosines], 1)])
