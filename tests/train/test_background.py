"""Checkpoints are written while the training goes on: whole, in order, of the step that they name."""

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bertworks import files
from bertworks.train import loop, resume
from bertworks.train.distributed import World
from tests.train.toy import ToyModel, run, sums, task

ALONE = World(0, 1, torch.device("cpu"))


def train(folder: Path, write_model=None, sums=sums, **changes) -> torch.Tensor:
    model = ToyModel()
    more = {"write_model": write_model} if write_model else {}
    loop.train(model, task(sums=sums), run(folder, model, keep_checkpoint_max=9, **changes, **more), ALONE)
    return model.weight.detach()


def weights(folder: Path, step: int) -> torch.Tensor:
    return load_file(folder / "checkpoints" / f"step-{step}" / "model.safetensors")["weight"]


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    """The first write ends after two more steps were taken, and it is still of its own step."""
    train(tmp_path / "at-once", save_in_background=False, save_checkpoints_steps=2)
    went_on, steps_taken = threading.Event(), 0

    def slow(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        assert went_on.wait(60)
        save_file(dict(tensors), folder / "model.safetensors")

    def counted(model, batch, dropout):
        nonlocal steps_taken
        steps_taken += 1
        if steps_taken == 7:  # the checkpoint of step 4 is still being written
            went_on.set()
        return sums(model, batch, dropout)

    train(tmp_path / "behind", slow, counted, save_checkpoints_steps=4)
    train(tmp_path / "plain", save_checkpoints_steps=4)
    for step in (4, 8, 10):
        assert torch.equal(weights(tmp_path / "behind", step), weights(tmp_path / "at-once", step))
        assert torch.equal(weights(tmp_path / "behind", step), weights(tmp_path / "plain", step))


@pytest.mark.parametrize(("fails_at", "left"), [(1, []), (2, [4]), (3, [4, 8])])
def test_a_write_that_fails_ends_the_run(tmp_path: Path, fails_at: int, left: list[int]) -> None:
    """At a later step, or at the end where it was the last write; what was written before stays."""
    writes = 0

    def full(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        nonlocal writes
        writes += 1
        save_file(dict(tensors), folder / "model.safetensors")
        if writes == fails_at:
            raise OSError(28, "No space left on device", str(folder))

    with pytest.raises(OSError, match="No space left"):
        train(tmp_path, full)
    assert [step for step, _ in resume.steps(tmp_path)] == left
    assert not list(tmp_path.rglob("*.partial"))
    # With space again, the same command ends as one that was never disturbed.
    assert torch.equal(train(tmp_path), train(tmp_path.parent / "whole"))


def test_a_failed_write_is_said_where_the_run_ends_with_another_error(tmp_path: Path, capsys) -> None:
    failed, steps_taken = threading.Event(), 0

    def full(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        assert failed.wait(60)
        raise OSError(28, "No space left on device", "model.safetensors")

    def breaks(model, batch, dropout):
        nonlocal steps_taken
        steps_taken += 1
        if steps_taken == 5:
            failed.set()
            raise ZeroDivisionError
        return sums(model, batch, dropout)

    with pytest.raises(ZeroDivisionError):
        train(tmp_path, full, breaks)
    assert "The last checkpoint was not written: model.safetensors: No space left on device" in capsys.readouterr().err


def write(folder: Path, content: str) -> None:
    with files.folder_written_whole(folder) as made:
        (made / "a").write_text(content)


def test_a_kill_while_a_folder_is_replaced_leaves_the_old_one_or_the_new_one(tmp_path: Path, monkeypatch) -> None:
    target, replace = tmp_path / "best", Path.replace
    write(target, "old")

    def killed(self: Path, to: Path) -> Path:
        if to == target:
            raise KeyboardInterrupt
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(target, "new")
    monkeypatch.undo()
    assert not target.exists()
    files.restore_replaced(tmp_path)
    assert (target / "a").read_text() == "old"
    # Killed after the new one is there, before the old one is deleted.
    write(target, "new")
    (tmp_path / ".best.replaced").mkdir()
    files.restore_replaced(tmp_path)
    assert (target / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
