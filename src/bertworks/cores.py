"""The processors: their name, how many this process may use, and whether others use them too. It needs no torch."""

from __future__ import annotations

import math
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_PRESSURE = Path("/proc/pressure/cpu")

# Turns that a thread of GNU OpenMP waits actively, microseconds, before it gives its processor away. The library's own
# default is 300,000, milliseconds. When another program takes a processor, the thread that ran there needs that of the
# thread that waits for it. So the more turns, the slower beside other programs. With fewer turns than these an idle
# machine is slower, because a thread that has given its processor away has to be woken. One short text has little to
# compute between two waits, so a server takes more of them (benchmarks/results/busy_machine.md).
ACTIVE_TURNS, ACTIVE_TURNS_OF_ANSWERS = "1000", "3000"


def usable_cores(own_cgroups: Path = _OWN_CGROUPS, cgroups: Path = _CGROUPS) -> int:
    """Return how many processors this process may use: by its affinity, and by the quotas of its control groups."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota) for quota in _quotas(own_cgroups, cgroups)]
    return max(1, min([cores, *quotas]))


def _quotas(own_cgroups: Path, cgroups: Path) -> Iterator[float]:
    """Yield how many processors each control group of this process allows; there are two versions of control groups."""
    for line in _read(own_cgroups).splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = cgroups / controllers if controllers else cgroups
        # A container often sees its own group as the root, but under the name that it has outside.
        folder = mount / own.strip("/")
        for group in (folder, *folder.parents):
            if group != mount and mount not in group.parents:
                break
            if controllers:
                numbers = [_read(group / name) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")]
            else:
                numbers = _read(group / "cpu.max").split()
            if len(numbers) == 2 and all(number.strip().isdigit() for number in numbers) and int(numbers[1]):
                yield int(numbers[0]) / int(numbers[1])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def cpuinfo() -> str:
    """Return what Linux says of the processors; "" on other systems."""
    return _read(Path("/proc/cpuinfo"))


def processor() -> str:
    """Return the processor's name."""
    found = re.search(r"model name\s*: (.*)", cpuinfo())
    return found[1].strip() if found else platform.processor() or platform.machine()


def wait_briefly(answers: bool = False) -> None:
    """Let the threads of OpenMP wait actively for microseconds only, unless the environment says how they wait.

    `answers`: this program answers single texts, as a server does. It has an effect before torch is imported.
    """
    os.environ.update(brief_waiting(os.environ, answers))


def brief_waiting(environment: Mapping[str, str], answers: bool) -> dict[str, str]:
    """Return the variables that let a program's threads wait briefly; none if its environment says how they wait."""
    if {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environment.keys():
        return {}
    return {"GOMP_SPINCOUNT": ACTIVE_TURNS_OF_ANSWERS if answers else ACTIVE_TURNS}


class CpuPressure:
    """Tells how much of the time some program waited for a processor, as Linux counts it."""

    def __init__(self, path: Path = _PRESSURE, seconds: float = 20.0, limit: float = 0.5) -> None:
        """Start counting. A notice is due when `share` is above `limit` over at least `seconds`."""
        self._path, self._seconds, self._limit = path, seconds, limit
        self._before = (time.monotonic(), self._waited())
        self._noticed = False

    def notice(self) -> str | None:
        """Return, at most once, a sentence that says that other programs need the processors."""
        if self._noticed or time.monotonic() - self._before[0] < self._seconds:
            return None
        share = self.share()
        if share is None or share <= self._limit:
            return None
        self._noticed = True
        return f"programs had to wait for a processor in {share:.0%} of the time; all of them take longer"

    def share(self) -> float | None:
        """Return the share of the time since the last call, from 0 to 1; None if this system does not count."""
        (then, before), self._before = self._before, (time.monotonic(), self._waited())
        now, waited = self._before
        if before is None or waited is None or now <= then:
            return None
        return min(1.0, (waited - before) / (now - then))

    def _waited(self) -> float | None:
        """Return the seconds since the system started in which something waited."""
        total = _read(self._path).partition("\n")[0].rpartition("total=")[2]
        return int(total) / 1e6 if total.isdigit() else None
