"""What a table says of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertworks.benchmark import machine


def test_a_containers_quota(tmp_path: Path) -> None:
    assert machine.quota(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("150000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.quota(tmp_path) == 1.5
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert machine.quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    assert machine.quota(tmp_path) == 2.0
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.quota(tmp_path) is None


def test_threads_follow_the_environment_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7,1")
    assert machine.usable_threads() == 7
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= machine.usable_threads() <= machine.cores()


def test_the_description_names_what_counts() -> None:
    found = machine.describe_machine(["bert", "benchmark", "train", "--corpus=my file"], 3, gpu="A GPU, 80 GiB")
    first, second = found.lines()
    for told in (found.processor, "threads of each contestant: 3", "A GPU, 80 GiB", "torch", "Python"):
        assert told in first
    assert second == "`bert benchmark train '--corpus=my file'`"
