"""A vector of a text as sentence-transformers makes it, as ONNX nodes: pooling and the layers after it."""

from __future__ import annotations

from bertworks.checkpoints.weights import DenseLayer, SentenceRules
from bertworks.errors import InputError
from bertworks.export.graph import Graph
from bertworks.export.layers import activate

# The names of torch's classes -> names of ours.
_ACTIVATIONS = {"Identity": "linear", "Tanh": "tanh", "ReLU": "relu", "GELU": "gelu", "Sigmoid": "sigmoid"}

# What sentence-transformers puts in the place of padding before it takes the maximum, and divides by no less than.
_LEAST = -1e9
_LEAST_COUNT = 1e-9
_LEAST_LENGTH = 1e-12


def sentence_embedding(graph: Graph, hidden: str, mask: str, rules: SentenceRules, hidden_size: int) -> int:
    """Add the output `sentence_embedding` [B, W], and return its width W.

    Args:
        hidden: [B, S, H] float32.
        mask: [B, S] int64; 1 where a token is, 0 where padding is.

    Raises:
        InputError: a dense layer does not fit what comes before it.
    """
    seen = graph.op("Unsqueeze", graph.op("Cast", mask, to=1), graph.whole(-1))  # [B, S, 1]
    parts = [_pooled(graph, hidden, seen, name) for name in rules.poolings]
    x = graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    width = hidden_size * len(parts)
    for number, step in enumerate(rules.steps, 2):
        if step is None:
            length = graph.op("ReduceL2", x, axes=[1], keepdims=1)
            x = graph.op("Div", x, graph.op("Max", length, graph.number(_LEAST_LENGTH)))
        else:
            x, width = _dense(graph, x, width, step, f"{number}_Dense.linear")
    graph.op("Identity", x, name="sentence_embedding")
    return width


def _pooled(graph: Graph, hidden: str, seen: str, name: str) -> str:
    """Return [B, H]."""
    if name == "cls":
        return graph.op("Gather", hidden, graph.index(0), axis=1)
    if name == "max":
        hidden = graph.op("Where", graph.op("Cast", seen, to=9), hidden, graph.number(_LEAST))
        return graph.op("ReduceMax", hidden, axes=[1], keepdims=0)
    if name in ("weightedmean", "lasttoken"):
        places = graph.op("Mul", graph.op("CumSum", seen, graph.index(1)), seen)  # from 1; 0 where padding is
        if name == "lasttoken":
            last = graph.op("ReduceSum", seen, graph.whole(1), keepdims=1)
            seen = graph.op("Cast", graph.op("Equal", places, last), to=1)
        else:
            seen = places
    total = graph.op("ReduceSum", graph.op("Mul", hidden, seen), graph.whole(1), keepdims=0)
    count = graph.op("ReduceSum", seen, graph.whole(1), keepdims=0)
    count = graph.op("Max", count, graph.number(_LEAST_COUNT))
    return graph.op("Div", total, graph.op("Sqrt", count) if name == "mean_sqrt_len_tokens" else count)


def _dense(graph: Graph, x: str, width: int, layer: DenseLayer, name: str) -> tuple[str, int]:
    """Add a dense layer, and return its output and the width of that."""
    weight = layer.weight.read()
    if weight.shape[1] != width:
        raise InputError(
            f"{layer.weight.stored_as}: the dense layer takes {weight.shape[1]} numbers, what comes before it gives "
            f"{width}"
        )
    inputs = [x, graph.keep(f"{name}.weight", weight)]
    if layer.bias:
        inputs.append(graph.keep(f"{name}.bias", layer.bias.read()))
    return activate(graph, graph.op("Gemm", *inputs, transB=1), _ACTIVATIONS[layer.activation]), len(weight)
