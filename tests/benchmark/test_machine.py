"""What a table says of the machine."""

from __future__ import annotations

import pytest

from bertworks.benchmark import machine
from bertworks.cores import usable_cores


def test_threads_follow_the_environment_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7,1")
    assert machine.usable_threads() == 7
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert machine.usable_threads() == usable_cores()


def test_the_description_names_what_counts() -> None:
    found = machine.describe_machine(["bert", "benchmark", "train", "--corpus=my file"], 3, gpu="A GPU, 80 GiB")
    first, second = found.lines()
    for told in (found.processor, "threads of each contestant: 3", "A GPU, 80 GiB", "torch", "Python"):
        assert told in first
    assert second == "`bert benchmark train '--corpus=my file'`"
