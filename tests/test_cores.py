"""Processors that a process may use, and the pressure on them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bertworks.cores import CpuPressure, usable_cores

AFFINITY = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def groups(folder: Path, own: str, files: dict[str, str]) -> int:
    """Write control groups and return the processors that they leave."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "own").write_text(own)
    return usable_cores(folder / "own", folder)


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/\n", {"cpu.max": "100000 100000\n"}),
        ("0::/jobs/7\n", {"jobs/7/cpu.max": "max 100000\n", "jobs/cpu.max": "50000 100000\n"}),
        ("0::/seen/only/outside\n", {"cpu.max": "100000 100000\n"}),
        ("3:memory:/\n2:cpu,cpuacct:/a\n", {f"cpu,cpuacct/a/cpu.cfs_{n}_us": "100000\n" for n in ("quota", "period")}),
    ],
)
def test_a_quota_limits_the_processors(tmp_path: Path, own: str, files: dict[str, str]) -> None:
    assert groups(tmp_path, own, files) == 1


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("", {}),
        ("0::/\n", {"cpu.max": "max 100000\n"}),
        ("0::/\n", {"cpu.max": "10000000 100000\n"}),
        ("0::/a\n", {"a/cpu.max": "nonsense\n", "b/cpu.max": "1 100000\n"}),
        ("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}),
        ("4:cpuset:/\n", {"cpuset/cpu.cfs_quota_us": "1\n", "cpuset/cpu.cfs_period_us": "100000\n"}),
        ("0::/../../elsewhere\n", {"cpu.max": "max 100000\n"}),
    ],
)
def test_without_a_quota_the_affinity_counts(tmp_path: Path, own: str, files: dict[str, str]) -> None:
    assert groups(tmp_path, own, files) == AFFINITY


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux sets the affinity")
def test_the_affinity_limits_the_processors() -> None:
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from bertworks.cores import usable_cores; print(usable_cores())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_torch_gets_no_more_threads_than_there_are_processors() -> None:
    code = (
        "import torch, bertworks.model.device as d; d.usable_cores = lambda: 1\n"
        "torch.set_num_threads(3); d.limit_threads(); print(torch.get_num_threads())\n"
        "import os; os.environ['OMP_NUM_THREADS'] = '2'\n"
        "torch.set_num_threads(2); d.limit_threads(); print(torch.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1", "2"]


@pytest.mark.parametrize(
    ("word", "given", "expected"),
    [
        ("--version", {}, "1000 -"),
        ("serve", {}, "3000 -"),
        ("serve", {"GOMP_SPINCOUNT": "5"}, "5 -"),
        ("--version", {"OMP_WAIT_POLICY": "passive"}, "- passive"),
    ],
)
def test_threads_wait_briefly_unless_the_environment_says_how(word: str, given: dict[str, str], expected: str) -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    code = (
        f"import os, bertworks.__main__ as m, sys; sys.argv = ['bert', {word!r}, '--help']\n"
        "try: m.entry()\nexcept SystemExit: pass\n"
        f"print(*(os.environ.get(name, '-') for name in {names}))"
    )
    environment = {**{name: value for name, value in os.environ.items() if name not in names}, **given}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == expected


def test_pressure_is_a_share_of_the_time(tmp_path: Path) -> None:
    path = tmp_path / "cpu"
    path.write_text("some avg10=1.00 avg60=0.00 avg300=0.00 total=1000000\nfull avg10=0.00 total=5\n")
    pressure = CpuPressure(path)
    assert pressure.share() == 0
    path.write_text("some avg10=1.00 avg60=0.00 avg300=0.00 total=999000000\n")
    assert pressure.share() == 1
    path.write_text("")
    assert pressure.share() is None
    assert CpuPressure(tmp_path / "absent").share() is None


def test_pressure_is_noticed_once(tmp_path: Path) -> None:
    path = tmp_path / "cpu"
    path.write_text("some avg10=0.00 total=0\n")
    pressure, patient = CpuPressure(path, seconds=0), CpuPressure(path, seconds=1000)
    assert pressure.notice() is None
    path.write_text("some avg10=0.00 total=999000000\n")
    assert "in 100% of the time" in (pressure.notice() or "")
    path.write_text("some avg10=0.00 total=1999000000\n")
    assert pressure.notice() is None
    assert patient.notice() is None
