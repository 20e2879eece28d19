"""The encoder of a model that is used and not trained, on CPU: its weights are prepared once.

It computes what the blocks of `bert.py` compute without gradients, to the same bits but for single rows, from weights
that are joined and packed for oneDNN; or with products of 8-bit integers (`int8.py`). Nothing here knows dropout, other
devices or autograd. So little happens between two products, which for one short text takes as long as the products.

Shapes: T packed tokens, R rows to read, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bertworks.model import kernels
from bertworks.model.attention import attend
from bertworks.model.attention_layout import Layout
from bertworks.model.int8 import ROWS, Int8Layer, rounded_layers
from bertworks.model.kept_weights import is_kept, joined, pack, state_of
from bertworks.model.processor import multiplies_bf16


class _PackedLayer(NamedTuple):
    """A layer in float32 or bfloat16; its weight is in the order in which oneDNN reads it."""

    weight: Tensor
    bias: Tensor
    activation: str

    def __call__(self, x: Tensor) -> Tensor:
        return kernels.activated_product(x, self.weight, self.bias, self.activation)


# A linear layer, or several that read the same rows in one product, and an activation: [T, in] -> [T, out].
_Layer = Int8Layer | _PackedLayer


@torch.no_grad()
def _layers(dtype: torch.dtype, layers: Sequence[nn.Linear], applies: str = "linear", reads: str = "linear") -> _Layer:
    """Prepare layers that read the same rows.

    Args:
        dtype: float32, bfloat16 or int8.
        layers: one or several; the outputs of the second follow those of the first.
        applies: the activation of their outputs.
        reads: the activation whose outputs they read.
    """
    weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
    if dtype == torch.int8:
        return rounded_layers(joined(torch.float32, weights), joined(torch.float32, biases), applies, reads)
    return _PackedLayer(pack(joined(dtype, weights)), joined(dtype, biases), applies)


class InferenceBlock:
    """A block of the encoder with prepared layers; without dropout.

    Layers are prepared when they are first needed: the last block may need keys and values of all rows and queries of
    few, the others need them together.
    """

    def __init__(self, block: Any, activation: str, dtype: torch.dtype) -> None:
        """Take a `bert.TransformerBlock`, whose parameters are not changed later."""
        attention = block.attention.self
        self._linears = attention.query, attention.key, attention.value
        self._shape = (-1, attention.heads, attention.head_size)
        self._dtype = dtype
        # Attention in bfloat16 saves a seventh of the time of int8.
        in_bf16 = dtype == torch.int8 and multiplies_bf16(attention.query.weight.device)
        self._attends_in = torch.bfloat16 if in_bf16 else None
        self._attended = _layers(dtype, [block.attention.output.dense])
        self._first = _layers(dtype, [block.intermediate.dense], applies=activation)
        self._second = _layers(dtype, [block.output.dense], reads=activation)
        self._norms = [(n.weight, n.bias, n.eps) for n in (block.attention.output.LayerNorm, block.output.LayerNorm)]

    @cached_property
    def _query_key_value(self) -> _Layer:
        return _layers(self._dtype, self._linears)

    @cached_property
    def _query(self) -> _Layer:
        return _layers(self._dtype, self._linears[:1])

    @cached_property
    def _key_value(self) -> _Layer:
        return _layers(self._dtype, self._linears[1:])

    def __call__(self, x: Tensor, layout: Layout, read: Tensor | None = None) -> Tensor:
        """From x [T, H] to [T, H], or to [R, H] for the rows `read` [R]; see `bert.TransformerBlock`."""
        if read is None:
            queries = x
            attended = self._attend(self._query_key_value(x).unflatten(1, self._shape), layout)
        else:
            queries = x.index_select(0, read)
            query = self._query(queries).unflatten(1, self._shape[1:])
            attended = self._attend(self._key_value(x).unflatten(1, self._shape), layout, query)
        attended = attended.flatten(1)
        if self._dtype != torch.int8:
            return self._rest(attended, queries)
        # A few rows at a time, so that the wide rows of the feed-forward stay in the cache.
        return torch.cat([self._rest(*rows) for rows in zip(attended.split(ROWS), queries.split(ROWS), strict=True)])

    def _attend(self, projected: Tensor, layout: Layout, query: Tensor | None = None) -> Tensor:
        if self._attends_in is None:
            return attend(projected, layout, None, query)
        query = None if query is None else query.to(self._attends_in)
        return attend(projected.to(self._attends_in), layout, None, query).to(projected.dtype)

    def _rest(self, attended: Tensor, residual: Tensor) -> Tensor:
        """Compute what follows attention."""
        middle = kernels.add_norm(self._attended(attended), residual, *self._norms[0], None)
        return kernels.add_norm(self._second(self._first(middle)), middle, *self._norms[1], None)


class InferenceEncoder:
    """The blocks of an encoder for each type that was asked for, prepared again when a weight has changed."""

    def __init__(self, encoder: nn.Module, activation: str) -> None:
        """Remember the encoder; nothing is prepared yet."""
        self._encoder, self._activation = encoder, activation
        self._parameters = [(module._parameters, name) for module in encoder.modules() for name in module._parameters]
        self._state: list[tuple[int, int]] = []
        self._blocks: dict[torch.dtype, list[InferenceBlock]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> InferenceEncoder:
        """Copy the encoder and nothing of what was prepared: packed weights cannot be copied."""
        return InferenceEncoder(deepcopy(self._encoder, memo), self._activation)

    def is_kept(self) -> bool:
        """Tell whether the encoder is of a model that keeps what its products take."""
        return any(is_kept(found[name]) for found, name in self._parameters[:1])

    def blocks(self, dtype: torch.dtype) -> list[InferenceBlock]:
        """Return the blocks, first to last, for products in float32, bfloat16 or int8.

        A weight that is replaced or changed in place is noticed, unless that is done through `.data`.
        """
        state = state_of(p for found, name in self._parameters if (p := found[name]) is not None)
        if state != self._state:
            self._state, self._blocks = state, {}
        if dtype not in self._blocks:
            layers: Any = self._encoder.layer
            self._blocks[dtype] = [InferenceBlock(block, self._activation, dtype) for block in layers]
        return self._blocks[dtype]
