"""What is left of memory, by what a system says."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from bertworks.model.free_memory import free_memory

CPU = torch.device("cpu")


def machine(folder: Path, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in {"proc/meminfo": "MemTotal: 9999 kB\nMemAvailable:    3000 kB\n", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "proc", folder / "groups"


GROUP_2 = {
    "proc/self/cgroup": "0::/a/b\n",
    "groups/a/memory.max": "1000000\n",
    "groups/a/memory.current": "600000\n",
    "groups/a/memory.stat": "anon 1\ninactive_file 100000\n",
    "groups/a/b/memory.max": "max\n",
    "groups/a/b/memory.current": "5\n",
}
GROUP_1 = {
    "proc/self/cgroup": "5:cpu:/x\n4:memory:/c\n",
    "groups/memory/c/memory.limit_in_bytes": "2000000\n",
    "groups/memory/c/memory.usage_in_bytes": "1500000\n",
    "groups/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "groups/memory/memory.usage_in_bytes": "1500000\n",
}


@pytest.mark.parametrize(
    ("files", "free"),
    [({}, 3000 << 10), (GROUP_2, 500000), (GROUP_1, 500000)],
    ids=["no group", "version 2", "version 1"],
)
def test_what_the_system_says(tmp_path: Path, monkeypatch, files: dict[str, str], free: int) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert free_memory(CPU, *machine(tmp_path, files)) == free
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert free_memory(CPU, *machine(tmp_path, files)) == free // 2


def test_a_system_that_says_nothing(tmp_path: Path) -> None:
    assert free_memory(CPU, tmp_path, tmp_path) is None


def test_a_limited_address_space_counts(tmp_path: Path, monkeypatch) -> None:
    folders = machine(tmp_path, {"proc/self/statm": "100 50 3\n"})
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000000, 1000000))
    assert free_memory(CPU, *folders) == 1000000 - 100 * 4096


def test_this_machine_says_something() -> None:
    found = free_memory(CPU)
    assert found is not None
    assert found > 0
