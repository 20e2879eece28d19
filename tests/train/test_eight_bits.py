"""Moments in 8 bits: their codes, the update, what stays in 32 bits, checkpoints."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertworks.config import BertConfig
from bertworks.data.batch import pack
from bertworks.errors import InputError
from bertworks.model.heads import SequenceClassifier
from bertworks.model.memory import BLOCK, optimizer_bytes, parameter_counts, table_counts
from bertworks.train import eight_bits, loop, resume
from bertworks.train import optimizer as optimizers
from bertworks.train.distributed import World
from tests.train.toy import ToyModel, run, task

CPU = torch.device("cpu")
ALONE = World(0, 1, CPU)
CONFIG = BertConfig(vocab_size=500, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=256)


@pytest.mark.parametrize("signed", [True, False])
def test_the_256_numbers(signed: bool) -> None:
    values = eight_bits.code_values(signed, CPU)
    assert len(values) == 256
    assert (values.diff() > 0).all()
    assert values[-1] == 1
    assert 0 in values
    top = values[(values > 0.1) & (values < 1)]
    assert len(top) == (64 if signed else 128)
    if signed:
        negative = -values[values < 0].flip(0)
        assert torch.equal(negative, values[(values > 0) & (values < 1)])


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("count", [BLOCK, 10 * BLOCK, 5000])
def test_numbers_come_back_nearly(signed: bool, count: int) -> None:
    x = torch.randn(count, generator=torch.Generator().manual_seed(1))
    x = x if signed else x.square()
    codes, scale = eight_bits.quantised(x, signed)
    again = eight_bits.restored(codes, scale, x.shape, signed)
    padded = F.pad(x, (0, -count % BLOCK)).view(-1, BLOCK)
    largest = padded.abs().amax(1, keepdim=True).expand_as(padded).reshape(-1)[:count]
    # In the highest power of ten, half of the distance of two numbers, and what the cut to 16 bits adds.
    coarse = 0.9 / (64 if signed else 128) / 2 + 2**-9
    assert ((again - x).abs() <= coarse * largest).all()
    small = x.abs() < 0.05 * largest
    assert ((again - x).abs()[small] <= 0.2 * coarse * largest[small] + 2**-9 * x.abs()[small]).all()
    assert torch.equal(again[x == largest], x[x == largest])


def test_no_second_moment_becomes_nothing_and_zeros_stay() -> None:
    x = torch.tensor([1.0] + [1e-30] * 100 + [0.0] * 155)
    again = eight_bits.restored(*eight_bits.quantised(x, False), x.shape, False)
    assert (again[1:101] > 0).all()
    assert (again[101:] == 0).all()
    zeros = torch.zeros(300)
    assert torch.equal(eight_bits.restored(*eight_bits.quantised(zeros, True), zeros.shape, True), zeros)


def test_matrices_take_a_quarter_and_the_rest_stays() -> None:
    model = SequenceClassifier(CONFIG, 2)
    optimizer = optimizers.build(model, "adam", bits=8)
    for name, p in model.named_parameters():
        expected = torch.uint8 if p.numel() >= 4096 and "embeddings" not in name else torch.float32
        assert {optimizer.state[p][kind].dtype for kind in ("exp_avg", "exp_avg_sq")} == {expected}
    states = (t for state in optimizer.state.values() for kind, t in state.items() if kind != "step")
    counts = parameter_counts(CONFIG, "sequence", 2)
    account = sum(optimizer_bytes(n, 8) for n in counts) + sum(optimizer_bytes(n, 32) for n in table_counts(CONFIG))
    assert sum(t.numel() * t.element_size() for t in states) == account
    assert account < 0.6 * 8 * sum(p.numel() for p in model.parameters())


def trained(bits: int, kind: str, steps: int = 30) -> list[float]:
    """Losses of a classifier that learns sixteen sequences by heart."""
    torch.manual_seed(0)
    model = SequenceClassifier(CONFIG, 2)
    for name, p in model.named_parameters():
        nn.init.normal_(p, std=0.05) if p.dim() == 2 else nn.init.constant_(p, float(name.endswith("Norm.weight")))
    optimizer = optimizers.build(model, kind, bits=bits)
    ids = np.random.default_rng(0).integers(10, 100, 16 * 12)
    batch, labels, found = pack(ids, 0 * ids, np.full(16, 12)), torch.arange(16) % 2, []
    for step in range(steps):
        loss: Tensor = F.cross_entropy(model(batch, dropout=step), labels)
        loss.backward()
        optimizers.clip_by_global_norm([p.grad for p in model.parameters() if p.grad is not None])
        optimizers.set_learning_rate(optimizer, 5e-4 * min(1, step / 10))
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_losses_stay_beside_those_of_32_bits(kind: str) -> None:
    exact, rough = trained(32, kind), trained(8, kind)
    assert exact[0] == rough[0]
    assert exact != rough
    assert np.mean(exact[-5:]) < 0.5 * exact[0]
    assert rough == pytest.approx(exact, abs=0.1)


def test_one_update_is_the_librarys() -> None:
    """Of moments that 8 bits hold exactly."""
    wide, narrow = ToyModel(4096), ToyModel(4096)
    exact, rough = (optimizers.build(m, "adamw", bits=bits) for m, bits in ((wide, 32), (narrow, 8)))
    for model, optimizer in ((wide, exact), (narrow, rough)):
        optimizers.set_learning_rate(optimizer, 0.01)
        model.weight.grad = torch.ones_like(model.weight)
        optimizer.step()
    torch.testing.assert_close(narrow.weight, wide.weight, rtol=0, atol=2e-7)


def train(folder: Path, bits: int, steps: int = 10) -> Tensor:
    model = ToyModel(5000)
    loop.train(model, task(), run(folder, model, num_train_steps=steps, optimizer_bits=bits), ALONE)
    return model.weight.detach()


def test_a_resumed_run_has_the_same_bits(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", 8)
    assert not torch.equal(whole, train(tmp_path / "exact", 32))
    cut = run(tmp_path / "cut", model := ToyModel(5000), optimizer_bits=8)

    def interrupted(model, batch, dropout):
        found = task().sums(model, batch, dropout)
        if (tmp_path / "cut" / "checkpoints" / "step-4").exists():
            raise KeyboardInterrupt
        return found

    with pytest.raises(KeyboardInterrupt):
        loop.train(model, task(sums=interrupted), cut, ALONE)
    assert torch.equal(train(tmp_path / "cut", 8), whole)
    saved = resume.newest(tmp_path / "cut").folder / "optimizer.safetensors"
    assert saved.stat().st_size < 2 * (5000 + 20 * 4) + 2000


def test_a_checkpoint_of_other_bits_is_refused(tmp_path: Path) -> None:
    model = ToyModel(5000)
    saved = optimizers.state_tensors(optimizers.build(model, "adam", bits=8), model)
    with pytest.raises(InputError, match=re.escape("exp_avg.weight")):
        optimizers.load_state_tensors(optimizers.build(model, "adam"), model, saved)
    for before, now in ((8, 32), (32, 8)):
        folder = tmp_path / str(before)
        for bits in (before, now):
            settings = run(folder, model, optimizer_bits=bits, identity={"--optimizer_bits": bits}, num_train_steps=4)
            if bits == before:
                loop.train(model, task(), settings, ALONE)
            else:
                with pytest.raises(InputError, match=f"--optimizer_bits: {now} here, .* holds a run with {before}"):
                    loop.train(model, task(), settings, ALONE)


def test_a_run_from_before_had_32_bits(tmp_path: Path) -> None:
    model = ToyModel()
    loop.train(model, task(), run(tmp_path, model, num_train_steps=4), ALONE)
    loop.train(model, task(), run(tmp_path, model, identity={"--train_batch_size": 6, "--optimizer_bits": 32}), ALONE)
    assert resume.newest(tmp_path).step == 10
