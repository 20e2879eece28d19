"""attend(): attention inside each sequence. The rest of the network works on flat tokens.

On a GPU attention is one kernel over all sequences (`fused_attention.py`). On CPU there is no such kernel: sequences of
about the same length are computed together (`grouped_attention.py`).

Shapes: T packed tokens, R query rows, A heads, D head size.
"""

from __future__ import annotations

from torch import Tensor

from bertworks.model.attention_layout import Layout, padded_length
from bertworks.model.dropout import Dropped
from bertworks.model.fused_attention import fused_attention
from bertworks.model.grouped_attention import grouped_attention


def attend(projected: Tensor, layout: Layout, dropped: Dropped | None, query: Tensor | None = None) -> Tensor:
    """Compute softmax(query key^T / sqrt(D)) value inside each sequence, with dropout on the softmax.

    Args:
        projected: [T, 3, A, D] query, key and value of every row; where `query` is given, [T, 2, A, D] key and value.
        dropped: the dropout of the probabilities; on CPU its rows are the query rows.
        query: [R, A, D], where only some rows are query rows.

    Returns:
        [T, A, D], or [R, A, D].
    """
    *_, heads, _ = projected.shape
    if projected.device.type == "cpu":
        keep = None if dropped is None else dropped.keep(heads, padded_length(layout.longest))
        return grouped_attention(projected, query, layout, keep)
    *first, key, value = projected.unbind(1)
    rate = 0.0 if dropped is None else dropped.rate
    query = first[0] if query is None else query
    return fused_attention(query, layout.seen(key), layout.seen(value), layout.borders, rate)
