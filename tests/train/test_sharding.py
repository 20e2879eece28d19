"""`--fsdp`: the same training, with the states shared out; checkpoints that any number of processes opens."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bertworks import cli
from bertworks.data.batch import PackedBatch
from bertworks.errors import InputError
from bertworks.task import Partition
from bertworks.train import distributed, loop
from tests.commands.runs import FIXTURES, TINY, make_shards, metrics
from tests.together import spawned, together
from tests.train.toy import ToyModel, batches, run, task


class Odd(ToyModel):
    """A model whose parameters do not divide evenly, and one of which only the first process has a part."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, batch: PackedBatch) -> Tensor:
        return super().forward(batch) * self.scale


class _EndError(Exception):
    pass


def _train(world: distributed.World, folder: Path, *, fsdp: bool, until: int = 10) -> None:
    """Train ten steps, or end after the checkpoint of step four; leave the weights as this process has them."""

    def ending(step: int, partition: Partition) -> list[PackedBatch]:
        if step > until:
            raise _EndError
        return batches(step, partition)

    model = Odd()
    settings = run(folder, model, token_budget=5, fsdp=fsdp, eval_every_steps=3)
    with suppress(_EndError):
        loop.train(model, task(batches=ending), settings, world)
        torch.save(model.state_dict(), folder / f"model-{world.rank}.pt")


# Runs of two processes, each with and without --fsdp: name -> the modes of its legs; "one" is a leg of one process.
RUNS = {
    "plain": ["plain"],
    "parts": ["parts"],
    "parts again": ["parts"],
    "plain, plain": ["plain", "plain"],
    "plain, parts": ["plain", "parts"],
    "parts, plain": ["parts", "plain"],
    "parts, parts": ["parts", "parts"],
    "one, plain": ["one", "plain"],
    "one, parts": ["one", "parts"],
    "plain, one": ["plain", "one"],
    "parts, one": ["parts", "one"],
}


def _legs(rank: int, folder: Path) -> None:
    """Take the legs of all runs that two processes take."""
    with distributed.world("cpu") as world:
        for name, legs in RUNS.items():
            for number, mode in enumerate(legs):
                if mode != "one":
                    last = number == len(legs) - 1
                    _train(world, folder / name, fsdp=mode == "parts", until=10 if last else 4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of all runs."""
    folder = tmp_path_factory.mktemp("sharding")
    alone = distributed.World(0, 1, torch.device("cpu"))
    for name, legs in RUNS.items():
        (folder / name).mkdir()
        if legs[0] == "one":
            _train(alone, folder / name, fsdp=True, until=4)
    assert spawned(2, _legs, folder) == [0, 0]
    for name, legs in RUNS.items():
        if legs[-1] == "one":
            _train(alone, folder / name, fsdp=False)
    _train(alone, folder / "one", fsdp=False)
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_it_trains_as_one_process_does(trained: Path, name: str) -> None:
    one, found = (torch.load(trained / of / "model-0.pt") for of in ("one", name))
    for parameter, weight in one.items():
        torch.testing.assert_close(found[parameter], weight, rtol=0, atol=1e-6)
    for mine, other in zip(metrics(trained / name), metrics(trained / "one"), strict=True):
        assert _flat(mine) == pytest.approx(_flat(other), abs=1e-5)


def _flat(line: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in line.items() if name != "evaluation"}, **line.get("evaluation", {})}


def test_equal_modes_give_equal_bits(trained: Path) -> None:
    for name, others in (("plain", ["plain, plain"]), ("parts", ["parts again", "parts, parts"])):
        for other in others:
            for rank in range(2):
                mine, theirs = (torch.load(trained / of / f"model-{rank}.pt") for of in (name, other))
                assert all(torch.equal(mine[parameter], theirs[parameter]) for parameter in mine)


def test_a_checkpoint_is_whole(trained: Path) -> None:
    for name in ("model.safetensors", "optimizer.safetensors"):
        plain, parts = (load_file(trained / of / "checkpoints" / "step-10" / name) for of in ("plain", "parts"))
        assert {key: t.shape for key, t in plain.items()} == {key: t.shape for key, t in parts.items()}
        for key, tensor in plain.items():
            torch.testing.assert_close(parts[key], tensor, rtol=0, atol=1e-6)
    state = json.loads((trained / "parts" / "checkpoints" / "step-10" / "state.json").read_text())
    assert state["numerics"]["fsdp"] is True


def _fail(rank: int, folder: Path) -> None:
    def failing(step: int, partition: Partition) -> list[PackedBatch]:
        if step == 3 and partition.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return batches(step, partition)

    model = Odd()
    try:
        with distributed.world("cpu", timeout=30) as world:
            loop.train(model, task(batches=failing), run(folder, model, token_budget=5, fsdp=True), world)
    except InputError as error:
        (folder / f"said-{rank}").write_text(str(error))


def test_a_killed_process_is_named(tmp_path: Path) -> None:
    assert spawned(2, _fail, tmp_path) == [0, -signal.SIGKILL]
    assert "process 1" in (tmp_path / "said-0").read_text()


def test_pretraining(tmp_path: Path) -> None:
    shards = make_shards(tmp_path / "shards")
    words = (
        "run_pretraining",
        *TINY,
        f"--input_file={shards}",
        "--num_train_steps=6",
        "--do_eval",
        "--max_eval_steps=3",
    )
    words = (*words, "--precision=fp32", "--eval_every_steps=3", "--token_budget=150")
    for name, more in (("plain", ()), ("parts", ("--fsdp",))):
        for done in together(tmp_path / f"of {name}", 2, *words, f"--output_dir={tmp_path / name}", *more):
            assert done.code == 0, done.err
    plain, parts = metrics(tmp_path / "plain"), metrics(tmp_path / "parts")
    assert len(plain) == len(parts) > 6
    for mine, other in zip(parts, plain, strict=True):
        assert _flat(mine) == pytest.approx(_flat(other), abs=2e-5)


def test_a_fine_tuning_with_a_head_outside_the_forward_pass(tmp_path: Path) -> None:
    """The CRF of a tagger computes after the model; the best model is loaded at the end."""
    words = [
        *("run_ner", f"--train_file={FIXTURES / 'tags/conll.txt'}", f"--dev_file={FIXTURES / 'tags/conll.txt'}"),
        *(f"--vocab_file={FIXTURES / 'vocab.txt'}", f"--bert_config_file={FIXTURES / 'google_tiny/bert_config.json'}"),
        *("--do_train", "--do_eval", "--use_crf", "--num_train_epochs=2", "--train_batch_size=4", "--precision=fp32"),
    ]
    for name, more in (("plain", ()), ("parts", ("--fsdp",))):
        for done in together(tmp_path / f"of {name}", 2, *words, f"--output_dir={tmp_path / name}", *more):
            assert done.code == 0, done.err
    plain, parts = metrics(tmp_path / "plain"), metrics(tmp_path / "parts")
    for mine, other in zip(parts, plain, strict=True):
        assert _flat(mine) == pytest.approx(_flat(other), abs=2e-5)


def test_what_does_not_go_together_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ("run_pretraining", "--input_file=shards", "--do_train", *TINY),
        ("run_classifier", "--train_file=a.csv", "--do_train", "--model=nowhere"),
    ):
        assert cli.main([*words, f"--output_dir={tmp_path / 'o'}", "--fsdp", "--optimizer_bits=8"]) == 2
        assert "--optimizer_bits=8: not with --fsdp" in capsys.readouterr().err
