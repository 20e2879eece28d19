"""Several processes train as one does, and all of them end when one fails."""

import importlib
import os
import resource
import signal
import time
import weakref
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from bertworks.checkpoints.formats.safetensors import write_tensors
from bertworks.data.batch import PackedBatch
from bertworks.errors import InputError, told
from bertworks.task import Partition
from bertworks.train import distributed, loop, resume
from tests.commands.runs import metrics as lines
from tests.together import free_port, spawned
from tests.train.toy import ToyModel, batches, run, sums, task


def _train(rank: int, folder: Path) -> None:
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
    assert spawned(size, _train, folder) == [0] * size
    for rank in range(size):
        torch.testing.assert_close(torch.load(folder / f"weight-{rank}.pt"), model.weight.detach(), rtol=0, atol=1e-6)
    ours, theirs = lines(folder), lines(tmp_path / "one")
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, abs=1e-5)


def _train_in_small_memory(rank: int, folder: Path) -> None:
    """Train while the memory of process 1 ends in a backward pass over more than 4 words."""

    def fails(gradient: torch.Tensor) -> None:
        raise torch.OutOfMemoryError

    def small_memory(model, batch, dropout):
        found = sums(model, batch, dropout)
        if rank == 1 and batch.tokens > 4:
            found["word_loss"].register_hook(fails)
        return found

    model = ToyModel()
    with distributed.world("cpu") as world:
        loop.train(model, task(sums=small_memory), run(folder, model, token_budget=16), world)
        torch.save(model.weight.detach(), folder / f"weight-{rank}.pt")


def test_memory_that_ends_in_the_backward_pass_of_one_process_changes_no_sum(tmp_path: Path) -> None:
    model, folder = ToyModel(), tmp_path / "many"
    loop.train(model, task(), run(tmp_path / "one", model), distributed.World(0, 1, torch.device("cpu")))
    folder.mkdir()
    assert spawned(2, _train_in_small_memory, folder) == [0, 0]
    for rank in range(2):
        torch.testing.assert_close(torch.load(folder / f"weight-{rank}.pt"), model.weight.detach(), rtol=0, atol=1e-6)
    assert resume.newest(folder).state["numerics"]["token_budget"] == 4


def _train_in_phases(rank: int, folder: Path, dies: bool) -> None:
    """Train with other metrics from step 5 on, in batches of 8 and not of 6; all may end after step 5."""

    def in_phases(step: int, partition: Partition) -> list[PackedBatch]:
        if dies and step == 5:
            raise InputError("killed")
        return batches(step, partition, 6 if step < 4 else 8)

    def named(terms, batch):
        early = len(batch) == 3
        return {name: value for name, value in terms.items() if early or name == "word_loss"} | (
            {} if early else {"late_accuracy": terms["word_accuracy"]}
        )

    phases = task(
        batches=in_phases,
        counts=lambda batch: named({"word_loss": batch.tokens, "word_accuracy": batch.tokens}, batch),
        sums=lambda model, batch, dropout: named(sums(model, batch, dropout), batch),
    )
    model = ToyModel()
    with suppress(InputError), distributed.world("cpu", 20.0) as world:
        loop.train(model, phases, run(folder, model), world)
        torch.save(model.weight.detach(), folder / f"weight-{rank}.pt")


def test_a_window_with_metrics_of_an_earlier_phase_continues(tmp_path: Path) -> None:
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    assert spawned(2, _train_in_phases, cut, True) == [0, 0]
    assert [step for step, _ in resume.steps(cut)] == [4]
    assert spawned(2, _train_in_phases, cut, False) == [0, 0]
    assert spawned(2, _train_in_phases, whole, False) == [0, 0]
    assert lines(cut) == lines(whole)
    (sixth,) = (line for line in lines(cut) if line["step"] == 6)
    assert {"word_accuracy", "late_accuracy"} <= set(sixth)
    for rank in range(2):
        ends = [torch.load(folder / f"weight-{rank}.pt") for folder in (cut, whole)]
        assert torch.equal(*ends)


def _fail(rank: int, folder: Path, how: str) -> None:
    """Train while process 1 fails in step 4; write how this process ends."""

    def failing(step: int, partition: Partition) -> list[PackedBatch]:
        if step == 3 and partition.rank == 1:
            if how == "damage":
                raise InputError("shard-00007: damaged")
            if how == "bug":
                raise ZeroDivisionError("division by zero")
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "hangs":
                time.sleep(12)
        return batches(step, partition)

    calls = 0

    def not_a_number(model, batch, dropout):
        nonlocal calls
        calls += 1
        scale = float("nan") if how == "nan" and calls == 4 and rank == 1 else 1.0
        return {name: value * scale for name, value in sums(model, batch, dropout).items()}

    model = ToyModel()
    try:
        with distributed.world("cpu", 3.0 if how == "hangs" else 60.0) as world:
            loop.train(model, task(batches=failing, sums=not_a_number), run(folder, model), world)
    except InputError as error:
        (folder / f"error-{rank}").write_text(f"{error.speaker} {error}")
    except ZeroDivisionError as error:
        (folder / f"error-{rank}").write_text(f"bug {error}")


@pytest.mark.parametrize(
    ("how", "of_0", "of_1"),
    [
        ("damage", "0 shard-00007: damaged (process 1)", "0 shard-00007: damaged"),
        ("bug", "0 ZeroDivisionError: division by zero (process 1)", "bug division by zero"),
        ("killed", "0 process 1 (pid {pid}) ended without a word, as if killed; the same command continues", None),
        ("hangs", "0 process 1 (pid {pid}) did not come in 3 seconds (--process_timeout); the same command", None),
        ("nan", "0 step 4, process 1: the loss or its gradient is infinite", "0 step 4, process 1: the loss or its"),
    ],
)
def test_all_processes_end_with_the_error_of_one(tmp_path: Path, how: str, of_0: str, of_1: str | None) -> None:
    codes = spawned(3, _fail, tmp_path, how)
    errors = [path.read_text() if (path := tmp_path / f"error-{rank}").exists() else None for rank in range(3)]
    for rank, expected in ((0, of_0), (1, of_1), (2, of_0)):
        if expected is None:
            continue
        start, _, end = expected.partition("{pid}")
        assert errors[rank] is not None, (rank, codes)
        assert errors[rank].startswith(start)
        assert end in errors[rank]
    assert codes == [0, -signal.SIGKILL if how == "killed" else 0, 0]


def _first_dies(rank: int, folder: Path) -> None:
    def dies(step: int, partition: Partition) -> list[PackedBatch]:
        if step == 3 and partition.rank == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return batches(step, partition)

    model = ToyModel()
    try:
        with distributed.world("cpu", 60.0) as world:
            loop.train(model, task(batches=dies), run(folder, model), world)
    except InputError as error:
        (folder / f"error-{rank}").write_text(f"{error.speaker} {error}")


def test_another_process_speaks_where_the_first_is_killed(tmp_path: Path) -> None:
    spawned(2, _first_dies, tmp_path)
    assert (tmp_path / "error-1").read_text().startswith("1 process 0 ")


def _keep_no_group(rank: int, folder: Path) -> None:
    """Lose the other process in an exchange; write whether the group, whose connections it holds, has gone."""
    try:
        with distributed.world("cpu", 60.0) as world:
            importlib.import_module("torch._dynamo")  # as optimizers do, after the processes have met
            if rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            group = weakref.ref(torch.distributed.group.WORLD)
            world.wait()
    except InputError:
        (folder / "group").write_text("gone" if group() is None else "kept")


def test_a_process_that_parts_closes_its_connections(tmp_path: Path) -> None:
    """A third process, which waits for this one, would else notice only when this one has ended."""
    spawned(2, _keep_no_group, tmp_path)
    assert (tmp_path / "group").read_text() == "gone"


def _fill_the_disk(rank: int, folder: Path, fills: bool) -> None:
    """Train; at the second checkpoint no file of process 0 may grow beyond some bytes any more."""
    written = 0

    def write_model(target: Path, weights) -> None:
        nonlocal written
        written += 1
        if fills and written == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
        with (target / "model.safetensors").open("wb") as stream:
            write_tensors(stream, weights)

    model = ToyModel()
    try:
        with distributed.world("cpu", 60.0) as world:
            loop.train(model, task(), run(folder, model, write_model=write_model), world)
    except (InputError, OSError) as error:
        with suppress(OSError):  # there is no room for it either
            folder.with_name(f"said-{rank}").write_text(told(error) or "")
        os._exit(2)


def test_a_full_disk_ends_all_processes_and_loses_nothing(tmp_path: Path) -> None:
    assert spawned(2, _fill_the_disk, tmp_path / "cut", True) == [2, 2]
    assert [step for step, _ in resume.steps(tmp_path / "cut")] == [4]
    assert spawned(2, _fill_the_disk, tmp_path / "cut", False) == [0, 0]
    assert spawned(2, _fill_the_disk, tmp_path / "whole", False) == [0, 0]
    ends = [(folder / "model.safetensors").read_bytes() for folder in (tmp_path / "cut", tmp_path / "whole")]
    assert ends[0] == ends[1]
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")
    # It had read the message of process 0, or that process, which holds the store, had gone.
    line = (tmp_path / "said-1").read_text()
    assert "(process 0)" in line or "process 0 ended; what it printed says why" in line


def test_a_process_that_never_comes_is_told(monkeypatch) -> None:
    names = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    never_meets = pytest.raises(InputError, match=r"process 0 of 2 does not meet the others at 127.0.0.1:\d+ \(.+\)$")
    with never_meets, distributed.world("cpu", 1.0):
        pass


def _differ(rank: int, folder: Path) -> None:
    with distributed.world("cpu", 60.0) as world:
        assert world.gather(b"x" * rank) == [b"", b"x", b"xx"]
        assert world.least(7 - rank) == 5
        world.check_same({"--lr": 1}, "")
        try:
            world.check_same({"--lr": rank // 2, "--seed": 3}, "give the same")
        except InputError as error:
            (folder / f"error-{rank}").write_text(str(error))


def test_what_differs_is_named_with_its_processes(tmp_path: Path) -> None:
    assert spawned(3, _differ, tmp_path) == [0, 0, 0]
    expected = "the processes differ: --lr is 0 in processes 0 and 1, 1 in process 2; give the same"
    assert [(tmp_path / f"error-{rank}").read_text() for rank in range(3)] == [expected] * 3


def test_sums_alone_are_the_numbers_themselves() -> None:
    world = distributed.World(0, 1, torch.device("cpu"))
    assert world.sum_numbers([1.0, 2.5]) == [1.0, 2.5]
    assert world.sum_tensor(torch.tensor([3.0])).tolist() == [3.0]
    assert world.gather(b"own") == [b"own"]
    assert world.is_main
