"""Training in float16: the scale of the loss, skipped steps, checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertworks.config import BertConfig
from bertworks.data.batch import pack
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from bertworks.train import loop, resume
from bertworks.train import optimizer as optimizers
from bertworks.train.distributed import World, world
from bertworks.train.loss_scale import LossScale
from tests.commands.runs import metrics as lines
from tests.together import spawned
from tests.train.toy import ToyModel, run, sums, task

CPU = torch.device("cpu")
ALONE = World(0, 1, CPU)


def test_the_scale_halves_and_doubles() -> None:
    scale, found = LossScale(CPU), []
    for finite in [True] * 1999 + [False] + [True] * 2000:
        assert scale.update(torch.tensor(finite))
        found.append(float(scale.scale))
    assert found[1998] == 65536
    assert found[1999] == found[-2] == 32768
    assert found[-1] == 65536
    assert scale.state() == {"scale": 65536, "good": 0, "skipped": 1}
    assert LossScale(CPU, scale.state()).state() == scale.state()
    useful = [bool(scale.update(torch.tensor(False))) for _ in range(17)]
    assert useful == [True] * 16 + [False]


class Beyond:
    """Sums whose gradient is beyond float16 at some calls."""

    def __init__(self, *calls: int) -> None:
        self.calls, self.count = calls, 0

    def __call__(self, model: nn.Module, batch, dropout) -> dict[str, Tensor]:
        found = sums(model, batch, dropout)
        self.count += 1
        if self.count in self.calls:
            model.weight.sum().backward(gradient=torch.tensor(torch.inf))
        return found


def train(folder: Path, bits: int = 32, words: int = 10, **changes) -> Tensor:
    functions = {name: changes.pop(name) for name in ("sums",) if name in changes}
    model = ToyModel(words)
    settings = run(folder, model, precision=torch.float16, optimizer_bits=bits, **changes)
    loop.train(model, task(**functions), settings, ALONE)
    return model.weight.detach()


def test_a_scaled_loss_gives_the_same_weights(tmp_path: Path) -> None:
    model = ToyModel()
    loop.train(model, task(), run(tmp_path / "plain", model), ALONE)
    torch.testing.assert_close(train(tmp_path / "scaled"), model.weight.detach(), rtol=1e-6, atol=1e-6)
    assert lines(tmp_path / "scaled")[1]["loss_scale"] == 65536
    assert lines(tmp_path / "scaled")[1]["skipped_steps"] == 0


@pytest.mark.parametrize("bits", [32, 8])
def test_a_step_beyond_float16_is_skipped_and_said(tmp_path: Path, capsys, bits: int) -> None:
    words = 10 if bits == 32 else 5000
    states: list[Tensor] = []
    model = ToyModel(words)

    def beyond(model, batch, dropout):
        states.append(model.weight.detach().clone())
        return broken(model, batch, dropout)

    broken = Beyond(5)
    loop.train(
        model,
        task(sums=beyond),
        run(tmp_path, model, precision=torch.float16, optimizer_bits=bits, save_checkpoints_steps=0),
        ALONE,
    )
    assert torch.equal(states[4], states[5])
    assert not torch.equal(states[5], states[6])
    assert resume.newest(tmp_path).state["loss_scale"] == {"scale": 32768, "good": 5, "skipped": 1}
    assert "Skipped in float16 so far: 1 steps; the loss scale is 32768." in capsys.readouterr().err
    found = lines(tmp_path)
    assert [line["skipped_steps"] for line in found[1:]] == [0, 1, 0, 0]
    assert all(np.isfinite(line["gradient_norm"]) for line in found[1:])


def test_a_resumed_run_has_the_same_scale_and_bits(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", sums=Beyond(3))
    again = tmp_path / "again"
    broken = Beyond(3)

    def stops(model, batch, dropout):
        if broken.count == 6:
            raise KeyboardInterrupt
        return broken(model, batch, dropout)

    with pytest.raises(KeyboardInterrupt):
        train(again, sums=stops)
    assert torch.equal(train(again), whole)
    states = [json.loads((folder / "state.json").read_text()) for folder in (again / "checkpoints").glob("step-10")]
    assert [state["loss_scale"]["skipped"] for state in states] == [1]


def test_gradients_that_no_scale_helps_stop_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="infinite or not a number"):
        train(tmp_path, sums=Beyond(*range(100)), num_train_steps=40, save_checkpoints_steps=0)


def test_a_bert_trains_in_float16_on_cpu() -> None:
    of = BertConfig(vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    ids = np.random.default_rng(0).integers(5, 300, 8 * 16)
    rows = np.arange(3, 128, 8)
    batch = pack(
        ids, 0 * ids, np.full(8, 16), rows=rows, labels=ids[rows], sequence_labels=np.arange(8) % 2, filled=True
    )
    gradients = []
    for dtype in (torch.float32, torch.float16):
        model = PretrainingModel(of)
        model.initialise(1)
        scale = LossScale(CPU)
        found = model(batch, dropout=1, dtype=dtype)
        loss = found["masked_lm_loss"] / len(rows) + found["next_sentence_loss"] / 8
        (loss * (scale.scale if dtype == torch.float16 else 1)).backward()
        these = [p.grad for p in model.parameters()]
        if dtype == torch.float16:
            scale.divide(these)
        assert {g.dtype for g in these} == {torch.float32}
        gradients.append(torch.cat([g.reshape(-1) for g in these]))
    exact, rough = gradients
    assert F.cosine_similarity(exact, rough, dim=0) > 0.999
    assert optimizers.clip_by_global_norm([rough]).isfinite()


def _one_has_a_gradient_beyond(rank: int, folder: Path) -> None:
    model, beyond = ToyModel(), Beyond(*((3,) if rank == 1 else ()))
    with world("cpu", 60.0) as both:
        settings = run(folder, model, precision=torch.float16, save_checkpoints_steps=5)
        loop.train(model, task(sums=beyond), settings, both)
    torch.save(model.weight.detach(), folder / f"weight-{rank}.pt")


def test_a_step_that_one_process_must_skip_is_skipped_by_all(tmp_path: Path) -> None:
    assert spawned(2, _one_has_a_gradient_beyond, tmp_path / "two") == [0, 0]
    train(tmp_path / "one", sums=Beyond(3), save_checkpoints_steps=5)
    weights = [torch.load(tmp_path / "two" / f"weight-{rank}.pt") for rank in (0, 1)]
    assert torch.equal(*weights)
    newest = {name: resume.newest(tmp_path / name) for name in ("one", "two")}
    scales = {name: found.state["loss_scale"] for name, found in newest.items() if found}
    assert scales["two"] == scales["one"] == {"scale": 32768, "good": 7, "skipped": 1}
    for mine, other in zip(lines(tmp_path / "two"), lines(tmp_path / "one"), strict=True):
        assert mine == pytest.approx(other, abs=1e-5)
