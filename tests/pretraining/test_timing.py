"""How many steps of a training are measured, to know how many fit into its time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bertworks.commands.run_pretraining import Flags
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
