"""The account of a step's memory against the living tensors of real steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch, pack
from bertworks.model.heads import PretrainingModel, SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.model.memory import Head, largest_batch, most, step_bytes
from bertworks.train import optimizer
from tests.live_bytes import LiveBytes

CLASSES = 9


def config(layers: int, hidden: int, **more: Any) -> BertConfig:
    numbers = {"num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": hidden // 64}
    return BertConfig(
        **{"vocab_size": 3000, "intermediate_size": 4 * hidden, "hidden_act": "gelu_new", **numbers, **more}
    )


BASE = config(12, 768, vocab_size=30522)
LARGE = config(24, 1024, vocab_size=30522)
GB12 = 12 << 30


def batch_of(sequences: int, length: int, vocabulary: int) -> PackedBatch:
    ids = np.arange(sequences * length) % vocabulary
    masked = np.arange(1, round(0.15 * length) + 1)
    rows = (np.arange(sequences)[:, None] * length + masked).reshape(-1)
    labels = np.zeros(sequences, np.int64)
    return pack(ids, 0 * ids, np.full(sequences, length), rows=rows, labels=ids[rows], sequence_labels=labels)


def losses(head: Head, model: nn.Module, batch: PackedBatch, dtype: torch.dtype) -> Tensor:
    found = model(batch, dropout=1, dtype=dtype)
    if head == "pretraining":
        return found["masked_lm_loss"] + found["next_sentence_loss"]
    labels = torch.arange(len(found)) % found.shape[1]
    return F.cross_entropy(found, labels, reduction="sum")


MODELS: dict[Head, Callable[[BertConfig], nn.Module]] = {
    "pretraining": PretrainingModel,
    "sequence": lambda of: SequenceClassifier(of, CLASSES),
    "token": lambda of: TokenClassifier(of, CLASSES),
    "span": SpanClassifier,
}


def counted(of: BertConfig, head: Head, batch: PackedBatch, dtype: torch.dtype, again: bool) -> int:
    """The most bytes of living tensors in a step."""
    with LiveBytes("cpu") as live:
        model = MODELS[head](of)
        for parameter in model.parameters():
            live.note(parameter.data)
            nn.init.normal_(parameter, std=0.02)
        model.bert.gradient_checkpointing = again
        adam = optimizer.build(model, "adam")
        losses(head, model, batch, dtype).backward()
        optimizer.clip_by_global_norm([p.grad for p in model.parameters() if p.grad is not None])
        optimizer.set_learning_rate(adam, 1e-4)
        adam.step()
        return live.peak


@pytest.mark.parametrize("again", [False, True], ids=["kept", "checkpointing"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("head", list(MODELS))
def test_bytes_are_those_of_a_real_step(head: Head, precision: str, again: bool) -> None:
    _compare(config(3, 192), head, 8, 96, precision, again)


@pytest.mark.parametrize(("sequences", "length"), [(9, 384), (28, 100), (3, 512)])
def test_groups_of_sequences_that_attention_keeps(sequences: int, length: int) -> None:
    _compare(config(2, 128), "span", sequences, length, "fp32", again=False)


def _compare(of: BertConfig, head: Head, sequences: int, length: int, precision: str, again: bool) -> None:
    batch = batch_of(sequences, length, of.vocab_size)
    found = counted(of, head, batch, torch.float32 if precision == "fp32" else torch.bfloat16, again)
    account = step_bytes(
        of,
        sequences * length,
        sequences,
        head=head,
        outputs=CLASSES,
        rows=len(batch.rows) if head in ("pretraining", "token") else None,
        precision=precision,
        gradient_checkpointing=again,
    )
    assert account.total - account.fixed == pytest.approx(found, rel=0.03)


def test_parts_add_up_and_say_what_helps() -> None:
    plain = step_bytes(BASE, 16 * 512, 16)
    assert plain.total == sum(vars(plain).values())
    assert plain.parameters == 4 * sum(p.numel() for p in SequenceClassifier(BASE, 2).parameters())
    assert plain.optimizer == 2 * plain.parameters
    again = step_bytes(BASE, 16 * 512, 16, gradient_checkpointing=True)
    assert again.activations < plain.activations / 3
    small = step_bytes(BASE, 16 * 512, 16, optimizer_bits=8)
    assert small.optimizer < plain.optimizer / 2
    half = step_bytes(BASE, 16 * 512, 16, precision="bf16")
    assert half.activations == pytest.approx(plain.activations / 2, rel=0.01)
    several = step_bytes(BASE, 16 * 512, 16, micro_batches=2)
    assert several.total > plain.total
    assert several.gradients == several.parameters
    alone = step_bytes(BASE, 512, 1)
    # The gradients of several processes are copied for their sum.
    assert step_bytes(BASE, 512, 1, processes=4).working == alone.parameters
    shared = step_bytes(BASE, 512, 1, processes=4, fsdp=True)
    assert shared.optimizer == alone.optimizer // 4
    assert shared.parameters == alone.parameters * 5 // 4
    assert shared.working == shared.parameters
    assert shared.gradients == alone.parameters


def test_largest_batches_in_12_gb() -> None:
    def row(of: BertConfig, **options: Any) -> list[int]:
        lengths = (64, 128, 256, 320, 384, 512)
        return [largest_batch(of, length, int(0.95 * GB12), device="cuda", **options) for length in lengths]

    # The original's: 64, 32, 16, 14, 12, 6 for Base, and 12, 6, 2, 1, 0, 0 for Large.
    assert row(BASE, precision="bf16") == [520, 260, 130, 104, 86, 65]
    assert row(LARGE, precision="bf16") == [132, 66, 33, 26, 22, 16]
    assert row(LARGE, precision="fp32") == [71, 35, 17, 14, 11, 8]
    assert all(n > 120 for n in row(LARGE, precision="bf16", gradient_checkpointing=True))
    assert row(LARGE, precision="bf16", optimizer_bits=8)[-1] > 16
    assert largest_batch(LARGE, 512, 4 << 30) == 0


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 100, 1023])
def test_the_largest_that_fits(limit: int) -> None:
    assert most(lambda number: number <= limit) == limit
