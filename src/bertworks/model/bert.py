"""The network on packed tokens: embeddings, blocks of attention and feed-forward, and the pooler.

Parameters have the names of Hugging Face's BertModel and are float32; each operation casts them to its own type.
Shapes: T packed tokens, B sequences, R rows to return, H hidden, I intermediate, A heads, D head size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch
from bertworks.model import kernels
from bertworks.model.attention import attend
from bertworks.model.attention_layout import Layout
from bertworks.model.dropout import Dropout, at
from bertworks.model.inference_encoder import InferenceEncoder
from bertworks.model.processor import takes_packed

# Dropout sites: number 0 follows the embeddings, block i has 3 i + 1 (probabilities), 3 i + 2 and 3 i + 3.
_SITES = 3


def site_of_head(config: BertConfig) -> int:
    """Return the dropout site after the last block."""
    return 1 + _SITES * config.num_hidden_layers


class Dense(nn.Linear):
    """A linear layer without initial weights: they come from a checkpoint or from `heads.initialise`."""

    def reset_parameters(self) -> None:
        """Do nothing: drawing weights here would take longer than reading a checkpoint."""


class EmbeddingTable(nn.Embedding):
    """An embedding without initial weights."""

    def reset_parameters(self) -> None:
        """Do nothing, as in `Dense`."""


class Embeddings(nn.Module):
    """LayerNorm(word + position + segment), then dropout."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.rate = config.hidden_dropout_prob
        hidden = config.hidden_size
        self.word_embeddings = EmbeddingTable(config.vocab_size, hidden)
        self.position_embeddings = EmbeddingTable(config.max_position_embeddings, hidden)
        self.token_type_embeddings = EmbeddingTable(config.type_vocab_size, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)

    def forward(self, batch: PackedBatch, dtype: torch.dtype, dropout: Dropout | None) -> Tensor:
        """Return [T, H] in `dtype`."""
        total = F.embedding(batch.input_ids, self.word_embeddings.weight)
        total = total + F.embedding(batch.position_ids, self.position_embeddings.weight)
        total = total + F.embedding(batch.segment_ids, self.token_type_embeddings.weight)
        normed = kernels.norm(total.to(dtype), self.LayerNorm.weight, self.LayerNorm.bias, self.LayerNorm.eps)
        return kernels.dropout(normed, at(dropout, 0, self.rate))


class SelfAttention(nn.Module):
    """Multi-head attention of each row to all rows of its sequence."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.heads, self.head_size = config.num_attention_heads, config.head_size
        self.rate = config.attention_probs_dropout_prob
        self.query = Dense(config.hidden_size, config.hidden_size)
        self.key = Dense(config.hidden_size, config.hidden_size)
        self.value = Dense(config.hidden_size, config.hidden_size)

    def forward(self, queries: Tensor, x: Tensor, layout: Layout, dropout: Dropout | None, site: int) -> Tensor:
        """Attend from `queries` [R, H] to x [T, H] -> [R, H]. If they are the same rows, they take one product."""
        q, k, v = ((layer.weight, layer.bias) for layer in (self.query, self.key, self.value))
        by_head = (-1, self.heads, self.head_size)
        dropped = at(dropout, site, self.rate)
        if queries is x:
            projected = kernels.linears(x, q, k, v).unflatten(1, by_head)  # [T, 3, A, D]
            return attend(projected, layout, dropped).flatten(1)
        projected = kernels.linears(x, k, v).unflatten(1, by_head)  # [T, 2, A, D]
        query = kernels.linear(queries, *q).unflatten(1, by_head[1:])  # [R, A, D]
        return attend(projected, layout, dropped, query).flatten(1)


class AddNorm(nn.Module):
    """LayerNorm(residual + dropout(dense(x)))."""

    def __init__(self, config: BertConfig, inputs: int) -> None:
        super().__init__()
        self.rate = config.hidden_dropout_prob
        self.dense = Dense(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, residual: Tensor, dropout: Dropout | None, site: int) -> Tensor:
        """From x [R, in] and residual [R, H] to [R, H]."""
        x = kernels.linear(x, self.dense.weight, self.dense.bias)
        norm, dropped = self.LayerNorm, at(dropout, site, self.rate)
        return kernels.add_norm(x, residual, norm.weight, norm.bias, norm.eps, dropped)


class Attention(nn.Module):
    """Self-attention and its output."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = AddNorm(config, config.hidden_size)


class Intermediate(nn.Module):
    """activation(dense(x)): the first half of the feed-forward."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.activation = config.hidden_act
        self.dense = Dense(config.hidden_size, config.intermediate_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map [R, H] to [R, I]."""
        return kernels.activated_linear(x, self.dense.weight, self.dense.bias, self.activation)


class TransformerBlock(nn.Module):
    """One layer of the encoder."""

    def __init__(self, config: BertConfig, number: int) -> None:
        super().__init__()
        self.first_site = 1 + _SITES * number
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = AddNorm(config, config.intermediate_size)

    def forward(self, x: Tensor, layout: Layout, read: Tensor | None = None, dropout: Dropout | None = None) -> Tensor:
        """From x [T, H] to [T, H], or to [R, H] for the rows `read` [R]; then `layout` must be made for `read`.

        Keys and values are computed for all rows, everything else only for the rows `read`.
        """
        queries = x if read is None else x.index_select(0, read)
        # On a GPU dropout has no sites, and a compiled block that looked at them would be compiled for each.
        on_cpu = x.device.type == "cpu"
        if dropout is not None and read is not None and on_cpu:
            dropout = dropout.rows(read)
        site = self.first_site if on_cpu else 0
        attended = self.attention.self(queries, x, layout, dropout, site)
        attended = self.attention.output(attended, queries, dropout, site + 1)
        result: Tensor = self.output(self.intermediate(attended), attended, dropout, site + 2)
        return result


@cache
def compiled_block(backend: str | Callable[..., Any] = "inductor") -> Callable[..., Tensor]:
    """Return `TransformerBlock.forward` compiled: one graph for all blocks and lengths, one more for the last block."""
    return torch.compile(TransformerBlock.forward, fullgraph=True, dynamic=True, backend=backend)


class Encoder(nn.Module):
    """The blocks, first to last."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(TransformerBlock(config, number) for number in range(config.num_hidden_layers))


class Pooler(nn.Module):
    """tanh(dense(first row of each sequence))."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Dense(config.hidden_size, config.hidden_size)

    def forward(self, first_rows: Tensor) -> Tensor:
        """Map [B, H] to [B, H]."""
        return torch.tanh(kernels.linear(first_rows, self.dense.weight, self.dense.bias))


class Bert(nn.Module):
    """Embeddings, encoder and pooler. The heads that need the pooler call it.

    Attributes:
        gradient_checkpointing: in training keep only the input of each block and compute the block again in the
            backward pass, which takes less memory and more time.
        compiled: run blocks on a GPU as the compiler makes them, which takes minutes at first.
    """

    def __init__(self, config: BertConfig, *, pooler: bool = True) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = self.compiled = False
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self._inference = InferenceEncoder(self.encoder, config.hidden_act)
        if pooler:
            self.pooler = Pooler(config)

    def forward(
        self,
        batch: PackedBatch,
        *,
        dtype: torch.dtype = torch.float32,
        dropout: int | None = None,
        read: Tensor | None = None,
    ) -> Tensor:
        """Return the last layer's output [R, H], or [T, H] where `read` is None; see `hidden_states`."""
        last = self.config.num_hidden_layers
        return self.hidden_states(batch, [last], dtype=dtype, dropout=dropout, read=read)[0]

    def hidden_states(
        self,
        batch: PackedBatch,
        layers: Sequence[int],
        *,
        dtype: torch.dtype = torch.float32,
        dropout: int | None = None,
        read: Tensor | None = None,
    ) -> list[Tensor]:
        """Return the outputs of some layers. Layers above the last of them are not computed.

        Args:
            layers: at least one, in any order: 0 is the embeddings, i the i-th layer.
            dtype: the type to compute in; weights are cast at use. int8 stands for float32 with products of
                integers, for inference on CPU only.
            dropout: the key of this step; None is no dropout.
            read: [R] int64, ascending; the rows to return. None is all.

        Returns:
            [R, H] for each of `layers`, or [T, H] where `read` is None, in `dtype`, or in float32 for int8.
        """
        drawn = None if dropout is None else Dropout.of(batch, dropout)
        last = max(layers)
        trained = drawn is not None or torch.is_grad_enabled()
        layout_of = partial(
            Layout.of, batch.starts, batch.lengths, self.config.num_attention_heads,
            unseen=batch.unseen, filler=batch.filler > 0, in_place=not trained and dtype != torch.int8,
        )  # fmt: skip
        layout = layout_of(causal=batch.causal)
        # The kernels of a GPU know what comes after a row only where all rows ask.
        asked = None if batch.causal else read
        x: Tensor = self.embeddings(batch, torch.float32 if dtype == torch.int8 else dtype, drawn)
        outputs: dict[int, Tensor] = {}
        for number, block in enumerate(self._blocks(last, dtype, x.device, drawn, trained), 1):
            if number - 1 in layers:
                outputs[number - 1] = x if read is None else x.index_select(0, read)
            if number == last and asked is not None:
                layout = layout_of(read=asked)
            x = block(x, layout, asked if number == last else None)
        all_rows = not last or asked is None
        outputs[last] = x.index_select(0, read) if all_rows and read is not None else x
        return [outputs[number] for number in layers]

    def _blocks(
        self, count: int, dtype: torch.dtype, device: torch.device, drawn: Dropout | None, trained: bool
    ) -> Sequence[Callable[[Tensor, Layout, Tensor | None], Tensor]]:
        """Return the first blocks as functions of x, a layout and the rows to read."""
        kept = not trained and self._inference.is_kept() and takes_packed(dtype, device)
        if kept or dtype == torch.int8:
            return self._inference.blocks(dtype)[:count]
        # On CPU dropout has no state and is the same when a block is computed again.
        keep_state = device.type != "cpu"
        run = compiled_block() if self.compiled and keep_state else TransformerBlock.__call__
        blocks: list[Callable[..., Tensor]] = [
            partial(run, block, dropout=drawn) for block in self.encoder.layer[:count]
        ]
        if self.gradient_checkpointing and torch.is_grad_enabled():
            again = partial(checkpoint, use_reentrant=False, preserve_rng_state=keep_state)
            blocks[:-1] = [partial(again, block) for block in blocks[:-1]]
        return blocks
