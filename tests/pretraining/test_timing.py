"""How many steps of a training are measured, to know how many fit into its time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bertworks.commands.run_pretraining import Flags
from bertworks.errors import InputError
from bertworks.flags import parse
from bertworks.pretraining import timing
from bertworks.train.distributed import World


@pytest.mark.parametrize(
    ("seconds", "hours", "expected"),
    [
        (2.0, 1.0, [8]),  # eight steps took long enough
        (0.02, 1.0, [8, 250]),  # five seconds
        (0.02, 0.01, [8, 36]),  # a fiftieth of the time
        (0.0001, 1.0, [8, 1000]),
    ],
)
def test_short_steps_are_measured_again(
    seconds: float, hours: float, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = parse(Flags, ["--input_file=x", "--do_train", "--recipe=auto", f"--max_hours={hours}"], "bert")
    measured = []

    def mean_of_steps(flags: Flags, steps: int, folder: Path, world: World) -> float:
        measured.append(steps)
        return seconds

    monkeypatch.setattr(timing, "_mean_of_steps", mean_of_steps)
    assert timing._seconds_of_a_step(flags, tmp_path / "timing", World(0, 1, torch.device("cpu"))) == seconds
    assert measured == expected


ALONE = World(0, 1, torch.device("cpu"))


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The number of steps that flags get, where a step takes a second."""
    monkeypatch.setattr(timing, "_seconds_of_a_step", lambda flags, folder, world: 0.95)

    def steps(*words: str) -> int:
        words = ("--input_file=x", "--do_train", "--recipe=auto", *words)
        flags = parse(Flags, [*words, f"--output_dir={tmp_path}"], "bert")
        return timing.with_steps(flags, tmp_path, ALONE, tmp_path).num_train_steps

    return steps


def test_other_hours_are_planned_anew_before_a_training_begins(tmp_path: Path, planned, capsys) -> None:
    assert planned("--max_hours=1") == 3600
    recorded = json.loads((tmp_path / "recipe.json").read_text())
    assert (recorded["max_hours"], recorded["measured_with"]["train_batch_size"]) == (1.0, 32)
    capsys.readouterr()
    assert planned("--max_hours=1") == 3600
    assert not capsys.readouterr().err
    assert planned("--max_hours=2") == 7200
    said = capsys.readouterr().err
    assert f"--max_hours=2.0 (planned with --max_hours=1.0): no training has begun in {tmp_path}, so the steps" in said
    assert json.loads((tmp_path / "recipe.json").read_text())["num_train_steps"] == 7200
    planned("--max_hours=2", "--train_batch_size=64", "--size=2/32", "--learning_rate=1")
    said = capsys.readouterr().err
    assert (
        "--size=2/32 (planned with no --size), --train_batch_size=64 (planned with --train_batch_size=32): no" in said
    )
    planned("--max_hours=2", "--train_batch_size=64", "--size=2/32")
    assert not capsys.readouterr().err
    planned("--max_hours=2", "--max_seq_length=64,128", "--phase_shares=0.9,0.1")
    capsys.readouterr()
    planned("--max_hours=2", "--max_seq_length=64,128", "--phase_shares=0.9,0.1")
    assert not capsys.readouterr().err


def test_a_training_that_has_begun_keeps_its_steps_and_says_so(tmp_path: Path, planned, capsys) -> None:
    assert planned("--max_hours=1") == 3600
    (tmp_path / "checkpoints" / "step-10").mkdir(parents=True)
    capsys.readouterr()
    assert planned("--max_hours=2") == 3600
    said = capsys.readouterr().err
    assert f"--max_hours=2.0 (planned with --max_hours=1.0): the training in {tmp_path} has begun and keeps its" in said
    assert "give another --output_dir" in said
    assert planned("--max_hours=1") == 3600
    assert not capsys.readouterr().err


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path, planned, capsys) -> None:
    path = tmp_path / "recipe.json"
    path.write_text('{"num_train_steps": 77, "seconds_of_a_step": 1}')
    assert planned("--max_hours=1") == 77
    assert not capsys.readouterr().err
    path.write_text('{"num_train_steps": 77, "measured_with": 1}')
    with pytest.raises(InputError, match=r"recipe.json: damaged \(TypeError"):
        planned("--max_hours=1")


def test_a_plan_writes_nothing(tmp_path: Path, planned, capsys) -> None:
    assert planned("--max_hours=1", "--plan") == 3600
    assert "so 3,600 steps are planned\n" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert planned("--max_hours=2") == 7200
    # A plan for other hours leaves the file as it is.
    before = (tmp_path / "recipe.json").read_bytes()
    assert planned("--max_hours=1", "--plan") == 3600
    assert (tmp_path / "recipe.json").read_bytes() == before
