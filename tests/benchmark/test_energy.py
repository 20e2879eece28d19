"""Power, from counters and programs that are made up."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from bertworks.benchmark.energy import Meter


def counter(folder: Path, name: str, microjoules: int) -> Path:
    (folder / name).mkdir()
    (folder / name / "energy_uj").write_text(f"{microjoules}\n")
    (folder / name / "max_energy_range_uj").write_text("1000000000\n")
    return folder / name / "energy_uj"


@pytest.fixture
def _two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every measurement takes two seconds."""
    monkeypatch.setattr("bertworks.benchmark.energy.time.perf_counter", itertools.count(0, 2).__next__)


@pytest.mark.usefixtures("_two_seconds")
def test_whole_processors_are_counted_and_not_their_parts(tmp_path: Path) -> None:
    first, second = counter(tmp_path, "intel-rapl:0", 0), counter(tmp_path, "intel-rapl:1", 0)
    part = counter(tmp_path, "intel-rapl:0:0", 0)
    meter = Meter(powercap=tmp_path)
    with meter.reading() as power:
        first.write_text("6000000")
        second.write_text("4000000")
        part.write_text("3000000")
    assert power.watts == 5.0
    assert "2 processor(s)" in meter.about()


@pytest.mark.usefixtures("_two_seconds")
def test_a_counter_that_began_again(tmp_path: Path) -> None:
    path = counter(tmp_path, "intel-rapl:0", 999_000_000)
    with Meter(powercap=tmp_path).reading() as power:
        path.write_text("5000000")  # 1 J up to its range, and 5 J more
    assert power.watts == 3.0


def test_a_machine_that_does_not_tell(tmp_path: Path) -> None:
    meter = Meter(powercap=tmp_path / "none")
    with meter.reading() as power:
        pass
    assert power.watts is None
    assert meter.about().startswith("not measured")


def test_a_gpu_is_read_by_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 100.5\necho 'N/A'\necho 200.5\necho ready > \"$0.ready\"\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    meter = Meter(gpu=0)
    with meter.reading() as power:
        while not (tmp_path / "nvidia-smi.ready").exists():
            pass
    assert power.watts == pytest.approx(150.5)


@pytest.mark.parametrize(("seen", "asked"), [("3,GPU-abc", "GPU-abc"), ("", "1"), (None, "1")])
def test_a_gpu_is_asked_for_by_its_name_on_the_machine(
    seen: str | None, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that may use some GPUs counts them from 0; the program counts all."""
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "$1" > "$0.part"\nmv "$0.part" "$0.asked"\nexec sleep 60\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if seen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    with Meter(gpu=1).reading():
        while not (tmp_path / "nvidia-smi.asked").exists():
            pass
    assert (tmp_path / "nvidia-smi.asked").read_text() == f"--id={asked}\n"


def test_a_gpu_without_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    meter = Meter(gpu=0)
    with meter.reading() as power:
        pass
    assert power.watts is None
    assert "no nvidia-smi" in meter.about()
