"""A BERT and its head as an ONNX graph: padded, both axes free, with Hugging Face's names of inputs and outputs.

Shapes: B sequences, S tokens of the longest, N = B S rows, Q queries of a sequence (S, or 1 where only the first row is
read), H hidden, A heads, D head size, V words, C classes or choices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertworks.checkpoints.weights import SentenceRules
from bertworks.config import BertConfig
from bertworks.export.graph import Graph, Port
from bertworks.export.heads import Head
from bertworks.export.layers import Layers, Products, activate
from bertworks.export.pooling import sentence_embedding

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_SEQUENCES = ("batch_size", "sequence_length")
_CHOICES = ("batch_size", "num_choices", "sequence_length")

# Added to the scores of what must not be seen; the exponential of it is zero.
_UNSEEN = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class BertGraph:
    """A graph with what it takes and gives."""

    graph: Graph
    inputs: Sequence[Port]
    outputs: Sequence[Port]

    def write(self, path: Path, about: str) -> list[Path]:
        """Write the graph, and return its files; see `Graph.write`."""
        return self.graph.write(path, self.inputs, self.outputs, about)


@dataclass(frozen=True)
class _Sequences:
    """The inputs as [B, S], by their names in the graph.

    Attributes:
        shape: int64 [2], B and S.
        length: int64 [1], S.
    """

    ids: str
    mask: str
    segments: str
    shape: str
    length: str


def build(
    config: BertConfig,
    weights: Mapping[str, NDArray[np.float32]],
    head: Head,
    sentences: SentenceRules | None = None,
    products: Products = "fp32",
) -> BertGraph:
    """Build the graph of a model.

    Args:
        weights: of the encoder and the head, by our names.
        sentences: how a vector is made of a text; then `sentence_embedding` is an output, too.
        products: how the large products are computed; what heads compute for a few rows is always float32.

    Raises:
        InputError: ONNX cannot hold it.
    """
    layers = Layers(weights, products)
    axes = _CHOICES if head.kind == "choice" else _SEQUENCES
    sequences = _sequences(layers.graph, head)
    x = _embeddings(layers, config, sequences)
    mask = _unseen(layers.graph, sequences)
    for number in range(config.num_hidden_layers):
        first_only = head.reads_first_only and number == config.num_hidden_layers - 1
        x = _block(layers, config, number, x, sequences, mask, first_only=first_only)
    outputs = _head(layers, config, head, x, sequences)
    if sentences:
        hidden = "last_hidden_state"
        if head.kind != "encoder":
            hidden = _by_sequence(layers.graph, x, sequences, config.hidden_size, hidden)
            outputs.append(Port(hidden, (*_SEQUENCES, config.hidden_size)))
        width = sentence_embedding(layers.graph, hidden, sequences.mask, sentences, config.hidden_size)
        outputs.append(Port("sentence_embedding", ("batch_size", width)))
    return BertGraph(layers.graph, [Port(name, axes, "int64") for name in INPUTS], outputs)


def _sequences(graph: Graph, head: Head) -> _Sequences:
    """Return the inputs as [B, S]; choices [B, C, S] become as many sequences."""
    names = list(INPUTS)
    length = graph.op("Gather", graph.op("Shape", names[0]), graph.whole(-1))
    if head.kind == "choice":
        flat = graph.op("Concat", graph.whole(-1), length, axis=0)
        names = [graph.op("Reshape", name, flat) for name in names]
    ids, mask, segments = names
    return _Sequences(ids, mask, segments, graph.op("Shape", ids), length)


def _embeddings(layers: Layers, config: BertConfig, sequences: _Sequences) -> str:
    """Return [N, H]."""
    graph, prefix = layers.graph, "bert.embeddings"
    words = layers.words(sequences.ids, f"{prefix}.word_embeddings.weight")
    table = layers.weight(f"{prefix}.position_embeddings.weight")
    positions = graph.op("Slice", table, graph.whole(0), sequences.length, graph.whole(0))  # [S, H]
    segments = graph.op("Gather", layers.weight(f"{prefix}.token_type_embeddings.weight"), sequences.segments)
    total = graph.op("Add", graph.op("Add", words, positions), segments)
    normed = layers.norm(total, f"{prefix}.LayerNorm", config.layer_norm_eps)
    return graph.op("Reshape", normed, graph.whole(-1, config.hidden_size))


def _unseen(graph: Graph, sequences: _Sequences) -> str:
    """Return what is added to the scores: 0 at tokens, the lowest number at padding. Shape [B, 1, 1, S]."""
    seen = graph.op("Cast", graph.op("Unsqueeze", sequences.mask, graph.whole(1, 2)), to=1)
    return graph.op("Mul", graph.op("Sub", graph.number(1.0), seen), graph.number(_UNSEEN))


def _block(
    layers: Layers, config: BertConfig, number: int, x: str, sequences: _Sequences, mask: str, *, first_only: bool
) -> str:
    """Add one layer of the encoder: x [N, H] -> [N, H], or [B, H] where only first rows are read."""
    graph, prefix, hidden = layers.graph, f"bert.encoder.layer.{number}", config.hidden_size
    by_head = (config.num_attention_heads, config.head_size)
    keys_shape = graph.op("Concat", sequences.shape, graph.whole(*by_head), axis=0)
    queries, queries_shape = x, keys_shape
    if first_only:
        queries, queries_shape = _first_rows(graph, x, sequences, hidden), graph.whole(-1, 1, *by_head)

    def heads(name: str, rows: str, shape: str, order: Sequence[int]) -> str:
        projected = layers.product(rows, f"{prefix}.attention.self.{name}")
        return graph.op("Transpose", graph.op("Reshape", projected, shape), perm=order)

    query = heads("query", queries, queries_shape, (0, 2, 1, 3))  # [B, A, Q, D]
    key = heads("key", x, keys_shape, (0, 2, 3, 1))  # [B, A, D, S]
    value = heads("value", x, keys_shape, (0, 2, 1, 3))  # [B, A, S, D]
    scores = graph.op("Mul", graph.op("MatMul", query, key), graph.number(1 / math.sqrt(config.head_size)))
    probabilities = graph.op("Softmax", graph.op("Add", scores, mask), axis=-1)  # [B, A, Q, S]
    context = graph.op("Transpose", graph.op("MatMul", probabilities, value), perm=(0, 2, 1, 3))
    context = graph.op("Reshape", context, graph.whole(-1, hidden))
    attended = layers.product(context, f"{prefix}.attention.output.dense")
    name, epsilon = f"{prefix}.attention.output.LayerNorm", config.layer_norm_eps
    attended = layers.norm(graph.op("Add", attended, queries), name, epsilon)
    inner = activate(graph, layers.product(attended, f"{prefix}.intermediate.dense"), config.hidden_act)
    output = layers.product(inner, f"{prefix}.output.dense")
    return layers.norm(graph.op("Add", output, attended), f"{prefix}.output.LayerNorm", epsilon)


def _head(layers: Layers, config: BertConfig, head: Head, x: str, sequences: _Sequences) -> list[Port]:
    """Add the outputs of a head, from x [N, H] or, where only these are read, the first rows [B, H]."""
    graph, hidden = layers.graph, config.hidden_size
    if head.kind == "sequence":
        _pooled_linear(layers, x, "classifier", "logits")
        return [Port("logits", ("batch_size", head.classes))]
    if head.kind == "choice":
        scores = _pooled_linear(layers, x, "classifier", None)
        choices = graph.op("Slice", graph.op("Shape", INPUTS[0]), graph.whole(0), graph.whole(2), graph.whole(0))
        graph.op("Reshape", scores, choices, name="logits")
        return [Port("logits", _CHOICES[:2])]
    if head.kind == "tokens":
        _by_sequence(graph, layers.linear(x, "classifier"), sequences, head.classes, "logits")
        return [Port("logits", (*_SEQUENCES, head.classes))]
    if head.kind == "answers":
        logits = _by_sequence(graph, layers.linear(x, "qa_outputs"), sequences, 2, None)
        for number, name in enumerate(("start_logits", "end_logits")):
            graph.op("Gather", logits, graph.index(number), axis=2, name=name)
        return [Port("start_logits", _SEQUENCES), Port("end_logits", _SEQUENCES)]
    if head.kind == "words":
        return _word_head(layers, config, head, x, sequences)
    _by_sequence(graph, x, sequences, hidden, "last_hidden_state")
    outputs = [Port("last_hidden_state", (*_SEQUENCES, hidden))]
    if head.pooler:
        first = _first_rows(graph, x, sequences, hidden)
        graph.op("Tanh", layers.linear(first, "bert.pooler.dense"), name="pooler_output")
        outputs.append(Port("pooler_output", ("batch_size", hidden)))
    return outputs


def _word_head(layers: Layers, config: BertConfig, head: Head, x: str, sequences: _Sequences) -> list[Port]:
    graph, prefix = layers.graph, "cls.predictions"
    transformed = activate(graph, layers.product(x, f"{prefix}.transform.dense"), config.hidden_act)
    transformed = layers.norm(transformed, f"{prefix}.transform.LayerNorm", config.layer_norm_eps)
    logits = layers.product_of(transformed, "bert.embeddings.word_embeddings.weight", f"{prefix}.bias")
    _by_sequence(graph, logits, sequences, config.vocab_size, "logits")
    outputs = [Port("logits", (*_SEQUENCES, config.vocab_size))]
    if head.next_sentence:
        first = _first_rows(graph, x, sequences, config.hidden_size)
        _pooled_linear(layers, first, "cls.seq_relationship", "seq_relationship_logits")
        outputs.append(Port("seq_relationship_logits", ("batch_size", 2)))
    return outputs


def _pooled_linear(layers: Layers, first: str, name: str, output: str | None) -> str:
    """Apply the pooler and a dense layer to the first rows [B, H] -> [B, C]."""
    graph = layers.graph
    pooled = graph.op("Tanh", layers.linear(first, "bert.pooler.dense"))
    logits = layers.linear(pooled, name)
    return graph.op("Identity", logits, name=output) if output else logits


def _first_rows(graph: Graph, x: str, sequences: _Sequences, hidden: int) -> str:
    """Return the first row of each sequence, [B, H], of x [N, H]."""
    rows = _by_sequence(graph, x, sequences, hidden, None)
    return graph.op("Gather", rows, graph.index(0), axis=1)


def _by_sequence(graph: Graph, x: str, sequences: _Sequences, width: int, name: str | None) -> str:
    """Return x [N, width] as [B, S, width]."""
    shape = graph.op("Concat", sequences.shape, graph.whole(width), axis=0)
    return graph.op("Reshape", x, shape, name=name)
