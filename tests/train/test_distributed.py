"""Several processes train as one does."""

import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from bertworks.data.batch import PackedBatch
from bertworks.errors import InputError
from bertworks.task import Partition
from bertworks.train import distributed, loop
from tests.commands.runs import metrics as lines
from tests.train.toy import ToyModel, batches, run, task


def _train(rank: int, size: int, store: Path, folder: Path) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    model = ToyModel()
    with distributed.world("cpu") as world:
        loop.train(model, task(), run(folder, model, token_budget=5), world)
        torch.save(model.weight.detach(), folder / f"weight-{rank}.pt")


@pytest.mark.parametrize("size", [2, 3])
def test_processes_train_as_one(tmp_path: Path, size: int) -> None:
    model = ToyModel()
    loop.train(model, task(), run(tmp_path / "one", model), distributed.World(0, 1, torch.device("cpu")))
    folder = tmp_path / "many"
    folder.mkdir()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_train, args=(rank, size, tmp_path / "store", folder)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    for rank in range(size):
        torch.testing.assert_close(torch.load(folder / f"weight-{rank}.pt"), model.weight.detach(), rtol=0, atol=1e-6)
    ours, theirs = lines(folder), lines(tmp_path / "one")
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, abs=1e-5)


def _meet_damage(rank: int, size: int, store: Path, folder: Path) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank))
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)

    def damaged(step: int, partition: Partition) -> list[PackedBatch]:
        if step == 3 and partition.rank == 1:
            raise InputError("shard-00007: damaged")
        return batches(step, partition)

    model = ToyModel()
    with distributed.world("cpu") as world:
        try:
            loop.train(model, task(batches=damaged), run(folder, model), world)
        except InputError as error:
            (folder / f"error-{rank}").write_text(str(error))


def test_an_error_that_one_process_meets_ends_all_with_its_message(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_meet_damage, args=(rank, 2, tmp_path / "store", folder)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [(folder / f"error-{rank}").read_text() for rank in range(2)] == ["shard-00007: damaged"] * 2


def test_sums_alone_are_the_numbers_themselves() -> None:
    world = distributed.World(0, 1, torch.device("cpu"))
    assert world.sum_numbers([1.0, 2.5]) == [1.0, 2.5]
    assert world.sum_tensor(torch.tensor([3.0])).tolist() == [3.0]
    assert world.is_main
