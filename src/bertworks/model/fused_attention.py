"""Attention on a GPU: one of torch's kernels for all sequences of a batch.

In 16 bits it is the flash kernel; in float32, and on GPUs without bfloat16, it is the memory-efficient one. Two of the
operators have private names. If one disappears from torch, or there is no kernel, attention is computed one sequence at
a time, which is slow.

Shapes: T key rows, R query rows, B sequences, A heads, D head size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_SIXTEEN_BITS = (torch.bfloat16, torch.float16)

# The kernels take head sizes that are multiples of it.
_ALIGNMENT = 8


class Borders(NamedTuple):
    """Where sequences begin and end.

    Attributes:
        queries, keys: [B + 1] int32 on the device.
        longest: the most rows of a sequence, on the host; 0 if there are no sequences.
        causal: whether a row sees no later rows of its sequence; then every row is a query row and a key row.
    """

    queries: Tensor
    keys: Tensor
    longest: int
    causal: bool = False

    @property
    def arguments(self) -> tuple[Tensor, Tensor, int, int]:
        """The borders as torch's kernels take them."""
        return self.queries, self.keys, self.longest, self.longest


def fused_attention(query: Tensor, key: Tensor, value: Tensor, borders: Borders, dropout: float) -> Tensor:
    """Compute softmax(query key^T / sqrt(D)) value inside each sequence.

    Args:
        query: [R, A, D].
        key, value: [T, A, D].
        dropout: the rate of dropping probabilities, which are drawn by the device's own generator.

    Returns:
        [R, A, D].
    """
    if not borders.longest:  # the kernels refuse a batch without sequences
        return query
    size = query.shape[-1]
    padding, scale = -size % _ALIGNMENT, None
    if padding:  # zeros change no product, but the kernels would divide by another size
        scale = size**-0.5
        query, key, value = (F.pad(x, (0, padding)) for x in (query, key, value))
    if query.dtype in _SIXTEEN_BITS and has_flash(query.device):
        found = _flash(query, key, value, borders, dropout, scale)
    elif query.device.type == "cuda":
        found = memory_efficient(query, key, value, borders, dropout, scale)
    else:
        found = attention_by_sequence(query, key, value, borders, dropout, scale)
    return found[..., :size]


def has_flash(device: torch.device) -> bool:
    """Tell whether the flash kernel runs on a device: on CUDA of compute capability 8.0 or higher."""
    return device.type != "cuda" or torch.cuda.get_device_capability(device) >= (8, 0)


def _flash(query: Tensor, key: Tensor, value: Tensor, borders: Borders, dropout: float, scale: float | None) -> Tensor:
    if dropout == 0.0 and not borders.causal:
        from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - needed where CUDA is

        more = {} if scale is None else {"scale": scale}  # older versions have no such argument
        return varlen_attn(query, key, value, *borders.arguments, **more)  # type: ignore[return-value, arg-type]
    # The operator that `varlen_attn` calls has dropout, and `varlen_attn` has not.
    if operator := private_operator("_flash_attention_forward"):
        return operator(query, key, value, *borders.arguments, dropout, borders.causal, False, scale=scale)[0]
    return attention_by_sequence(query, key, value, borders, dropout, scale)


def memory_efficient(
    query: Tensor, key: Tensor, value: Tensor, borders: Borders, dropout: float, scale: float | None
) -> Tensor:
    """Compute attention with the kernel that torch uses for nested tensors; see `fused_attention`."""
    operator = private_operator("_efficient_attention_forward")
    if operator is None:
        return attention_by_sequence(query, key, value, borders, dropout, scale)
    # [1, rows, A, D] in and out; no bias; mask 0 is none and 1 is causal; the backward pass needs the sums.
    rows = (query[None], key[None], value[None])
    return operator(
        *rows, None, *borders.arguments, dropout, int(borders.causal), torch.is_grad_enabled(), scale=scale
    )[0][0]


def private_operator(name: str) -> Callable[..., tuple[Tensor, ...]] | None:
    """Return an operator of torch with a private name; None if this torch has no such operator."""
    found: Any = getattr(torch.ops.aten, name, None)
    return found  # type: ignore[no-any-return]


def attention_by_sequence(
    query: Tensor, key: Tensor, value: Tensor, borders: Borders, dropout: float, scale: float | None = None
) -> Tensor:
    """Compute the library's attention, one sequence at a time: for any device and type, but slow."""
    queries, keys = borders.queries.tolist(), borders.keys.tolist()
    parts = []
    for q0, q1, k0, k1 in zip(queries, queries[1:], keys, keys[1:], strict=False):
        q, k, v = (x.transpose(0, 1) for x in (query[q0:q1], key[k0:k1], value[k0:k1]))
        found = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=borders.causal, scale=scale)
        parts.append(found.transpose(0, 1))
    return torch.cat(parts) if parts else query
