"""A small model and batches to ask it about."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from bertworks import ragged
from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch, pack
from bertworks.model.heads import PretrainingModel

GOLDEN = Path(__file__).parents[1] / "fixtures" / "google_tiny"


@pytest.fixture
def config() -> BertConfig:
    return BertConfig(
        vocab_size=61,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        hidden_act="gelu_new",
        max_position_embeddings=160,
        initializer_range=0.2,
    )


@pytest.fixture
def model(config: BertConfig) -> PretrainingModel:
    model = PretrainingModel(config)
    model.initialise(7)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(8)
        for parameter in model.parameters():  # so that no bias is zero and no norm plain
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model


def batch_of(lengths: list[int], seed: int = 0, vocab_size: int = 61) -> PackedBatch:
    """Random sequences; the i-th has i % 3 + 1 masked words, so that no two cuts have equal counts."""
    rng = np.random.default_rng(seed)
    sizes = np.array(lengths, np.int64)
    starts = ragged.starts(sizes)[:-1]
    rows = np.concatenate(
        [np.zeros(0, np.int64)]
        + [
            s + np.sort(rng.choice(np.arange(1, n), i % 3 + 1, replace=False))
            for i, (s, n) in enumerate(zip(starts, sizes, strict=True))
        ]
    )
    tokens = int(sizes.sum())
    return pack(
        rng.integers(1, vocab_size, tokens),  # transformers gives word 0, its padding, no gradient
        rng.integers(0, 2, tokens),
        sizes,
        rows=rows,
        labels=rng.integers(0, vocab_size, len(rows)),
        sequence_labels=rng.integers(0, 2, len(sizes)),
    )


def part_of(batch: PackedBatch, sequences: list[int]) -> PackedBatch:
    """Some of a batch's sequences, in the order given, each with its own dropout key."""
    starts = batch.starts.tolist()
    spans = [np.arange(starts[i], starts[i + 1]) for i in sequences]
    tokens = torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *spans]))
    where = torch.full((batch.tokens,), -1)
    where[tokens] = torch.arange(len(tokens))
    chosen = where[batch.rows] >= 0
    rows, order = where[batch.rows[chosen]].sort()
    return pack(
        batch.input_ids[tokens].numpy(),
        batch.segment_ids[tokens].numpy(),
        batch.lengths[sequences],
        rows=rows.numpy(),
        labels=batch.labels[chosen][order].numpy(),
        sequence_labels=batch.sequence_labels[sequences].numpy(),
        dropout_keys=batch.dropout_keys[sequences].numpy(),
    )


def gradients(
    model: PretrainingModel,
    parts: list[PackedBatch],
    dropout: int | None,
    dtype: torch.dtype = torch.float32,
    **counts: float,
) -> dict[str, torch.Tensor]:
    """Gradients of a step cut into `parts`, each sum divided by the whole step's count."""
    model.zero_grad()
    for part in parts:
        sums = model(part, dropout=dropout, dtype=dtype)
        loss = sums["masked_lm_loss"] / (counts["words"] + 1e-5) + sums["next_sentence_loss"] / counts["sequences"]
        loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def with_dropout(model: PretrainingModel, hidden: float, attention: float) -> PretrainingModel:
    """The same weights with other dropout rates."""
    config = dataclasses.replace(model.config, hidden_dropout_prob=hidden, attention_probs_dropout_prob=attention)
    other = PretrainingModel(config)
    other.load_state_dict(model.state_dict())
    return other
