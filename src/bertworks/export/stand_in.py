"""A network that an exported model computes: the tasks call it as they call a network of torch.

So the metrics of an exported model come from the code that evaluates any model, and an exported folder classifies,
tags, answers and embeds like any other.

Shapes: T packed tokens, B sequences, S tokens of the longest, R rows that a head reads, C outputs of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch
from bertworks.errors import InputError
from bertworks.export.heads import Head
from bertworks.export.runtime import Session
from bertworks.model.bert import Dense
from bertworks.model.crf import LinearChainCRF
from bertworks.model.heads import EncoderModel, PretrainingModel, SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.pretrained import Model

# What a head computes of a batch: [B, C], [R, C] or [T, C].
Compute = Callable[[PackedBatch], Tensor]


def padded(batch: PackedBatch) -> dict[str, NDArray[np.int64]]:
    """Return the inputs of an exported model for a batch, [B, S] each; filler is left out."""
    lengths = batch.lengths[: len(batch)]
    unseen = np.zeros_like(lengths) if batch.unseen is None else batch.unseen[: len(batch)]
    shape = len(lengths), int(lengths.max(initial=0))
    inputs = {name: np.zeros(shape, np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    columns = np.arange(shape[1])
    there, total = columns < lengths[:, None], int(lengths.sum())
    inputs["input_ids"][there] = batch.input_ids[:total].numpy()
    inputs["token_type_ids"][there] = batch.segment_ids[:total].numpy()
    inputs["attention_mask"][columns < (lengths - unseen)[:, None]] = 1
    return inputs


def rows_of(batch: PackedBatch, values: NDArray[np.float32], rows: NDArray[np.int64] | None = None) -> Tensor:
    """Return the rows of a padded output [B, S, ...] that are the batch's tokens `rows` [R], or all of them [T, ...].

    Rows of filler are left out.
    """
    lengths = batch.lengths[: len(batch)]
    total = int(lengths.sum())
    chosen = np.arange(total) if rows is None else rows[rows < total]
    sequences = np.repeat(np.arange(len(lengths)), lengths)[chosen]
    return torch.from_numpy(np.ascontiguousarray(values[sequences, batch.position_ids.numpy()[chosen]]))


def computed_by(session: Session, head: Head) -> Compute:
    """Return what computes a head's outputs of a batch with an exported model."""

    def sequence(batch: PackedBatch) -> Tensor:
        return torch.from_numpy(session.run(padded(batch))["logits"])

    def choice(batch: PackedBatch) -> Tensor:
        inputs = {name: values[None] for name, values in padded(batch).items()}
        return torch.from_numpy(session.run(inputs)["logits"][0][:, None])

    def answers(batch: PackedBatch) -> Tensor:
        found = session.run(padded(batch))
        return rows_of(batch, np.stack([found["start_logits"], found["end_logits"]], -1))

    if head.kind == "sequence":
        return sequence
    if head.kind == "choice":
        return choice
    if head.kind == "answers":
        return answers
    return _read_by(session, "last_hidden_state" if head.kind == "encoder" else "logits")


def last_layer_of(session: Session) -> Compute | None:
    """Return what computes the last layer's rows [R, H] of a batch; None if the exported model has no such output."""
    name = "last_hidden_state"
    return _read_by(session, name) if name in session.outputs else None


def _read_by(session: Session, name: str) -> Compute:
    """Return what computes the rows of an output that a batch reads."""
    return lambda batch: rows_of(batch, session.run(padded(batch))[name], batch.rows.numpy())


def stand_in(
    config: BertConfig,
    head: Head,
    compute: Compute,
    crf: LinearChainCRF | None = None,
    last_layer: Compute | None = None,
) -> Model:
    """Return a network without weights whose outputs are what `compute` gives.

    Its head is the identity, so whatever puts the outputs of a head into another order does so here, too.

    Args:
        config: of the model; the network bears it.
        compute: the outputs of the head, [B, C] and so on; of an encoder the last layer's rows.
        crf: the scores of transitions, of a tagger that has them.
        last_layer: the last layer's rows. Without it, whoever asks the encoder for them is refused.
    """
    small = replace(
        config,
        vocab_size=1,
        hidden_size=config.num_attention_heads,
        num_hidden_layers=1,
        intermediate_size=1,
        max_position_embeddings=1,
        type_vocab_size=1,
    )
    network = _network(small, head, crf)
    network.config = network.bert.config = config
    computes: Any = network  # its methods are replaced, which types do not allow

    computes.bert.forward = computes.bert.hidden_states = _no_vectors(head)
    if last_layer is not None:
        computes.bert.forward = partial(_read, last_layer)
        computes.bert.hidden_states = partial(_layers, config, last_layer)
    if isinstance(network, SequenceClassifier | TokenClassifier):
        classifier = network.classifier = _identity(head.classes)
        computes.forward = lambda batch, dropout=None, dtype=torch.float32: classifier(compute(batch))
    elif isinstance(network, SpanClassifier):
        computes.forward = lambda batch, dropout=None, dtype=torch.float32: compute(batch)
    else:
        computes.bert.forward = partial(_read, compute)  # of words: what their head makes of the rows
        computes.masked_lm_logits = lambda rows: rows
    return network.eval()


def _network(small: BertConfig, head: Head, crf: LinearChainCRF | None) -> Model:
    match head.kind:
        case "sequence" | "choice":
            return SequenceClassifier(small, head.classes)
        case "tokens":
            network = TokenClassifier(small, head.classes)
            network.crf = crf
            return network
        case "answers":
            return SpanClassifier(small)
        case "words":
            return PretrainingModel(small)
        case "encoder":
            return EncoderModel(small)


def _identity(size: int) -> Dense:
    layer = Dense(size, size)
    with torch.no_grad():
        torch.nn.init.eye_(layer.weight)
        layer.bias.zero_()
    return layer


def _no_vectors(head: Head) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise InputError(
            f"an exported {head.architecture} gives the outputs of its head, and no vectors; embed with the model that "
            "it was exported from"
        )

    return refuse


def _read(
    compute: Compute, batch: PackedBatch, read: Tensor | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return the rows `read` of the batch, or all of them."""
    rows = torch.arange(batch.tokens) if read is None else read
    return compute(replace(batch, rows=rows))


def _layers(
    config: BertConfig, compute: Compute, batch: PackedBatch, layers: Sequence[int], **options: Any
) -> list[Tensor]:
    if any(layer != config.num_hidden_layers for layer in layers):
        raise InputError("--layers: an exported model gives its last layer only (-1)")
    return [_read(compute, batch, **options)] * len(layers)
