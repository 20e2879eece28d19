"""Micro-batches by the memory that is free, and what happens when it ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.model import device
from bertworks.model.device import most_training_tokens, training_token_budget
from bertworks.model.heads import SequenceClassifier
from bertworks.model.memory import step_bytes
from bertworks.train import budget, loop, resume
from bertworks.train.distributed import World
from tests.train.toy import ToyModel, run, sums, task

CPU = torch.device("cpu")
ALONE = World(0, 1, CPU)
CONFIG = BertConfig(vocab_size=1000, hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512)


def with_free(monkeypatch, free: int | None) -> None:
    monkeypatch.setattr(device, "free_memory", lambda _: free)


def test_the_budget_follows_free_memory(monkeypatch) -> None:
    model, found = SequenceClassifier(CONFIG, 2), []
    for free in (60 << 20, 120 << 20, 1 << 36, None):
        with_free(monkeypatch, free)
        found.append(training_token_budget(model, CPU, max_seq_length=128))
    assert 128 < found[0] < found[1] / 2 < found[2] == found[3] == most_training_tokens(CPU)
    with_free(monkeypatch, 60 << 20)
    account = step_bytes(CONFIG, found[0], -(-found[0] // 128), head="span", micro_batches=2)
    assert account.total - account.fixed < (60 << 20) + account.parameters
    assert training_token_budget(model, CPU, max_seq_length=128, precision=torch.bfloat16) > 1.5 * found[0]
    model.bert.gradient_checkpointing = True
    assert training_token_budget(model, CPU, max_seq_length=128) > found[0]
    with_free(monkeypatch, 0)
    assert training_token_budget(model, CPU) == 1


def test_little_memory_is_said_and_recorded(tmp_path: Path, monkeypatch, capsys) -> None:
    model = SequenceClassifier(CONFIG, 2)
    with_free(monkeypatch, 60 << 20)
    found = budget.measured(model, ALONE, torch.float32, 32, 128)
    assert f"micro-batches of at most {found} tokens" in capsys.readouterr().err
    with_free(monkeypatch, 1 << 36)
    assert budget.measured(model, ALONE, torch.float32, 32, 128) == most_training_tokens(CPU)
    assert "memory" not in capsys.readouterr().err


def test_a_resume_takes_the_budget_that_was_measured(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "measured", lambda *_: 7)
    model = ToyModel()
    loop.train(model, task(), run(tmp_path, model, num_train_steps=4), ALONE)
    monkeypatch.setattr(loop, "measured", lambda *_: 100)
    loop.train(model, task(), run(tmp_path, model), ALONE)
    assert resume.newest(tmp_path).state["numerics"]["token_budget"] == 7


def test_memory_of_the_machine_that_runs_out_halves_too(tmp_path: Path, capsys) -> None:
    def small_memory(model, batch, dropout):
        if batch.tokens > 16:
            torch.empty(1 << 60, dtype=torch.uint8)  # the allocator's own error
        if batch.tokens > 8:
            np.empty(1 << 60, np.uint8)
        return sums(model, batch, dropout)

    model = ToyModel()
    loop.train(model, task(sums=small_memory), run(tmp_path, model, token_budget=64), ALONE)
    assert "micro-batches of at most 8 tokens" in capsys.readouterr().err
    assert resume.newest(tmp_path).state["numerics"]["token_budget"] == 8


def test_other_errors_are_not_memory(tmp_path: Path) -> None:
    def wrong(model, batch, dropout):
        raise RuntimeError("shapes do not agree")

    model = ToyModel()
    with pytest.raises(RuntimeError, match="shapes do not agree"):
        loop.train(model, task(sums=wrong), run(tmp_path, model), ALONE)
    assert not budget.ran_out(InputError("--x"))
