"""The power that the machine draws, where it tells: Linux's counters of a processor's energy, or `nvidia-smi`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

POWERCAP = Path("/sys/class/powercap")

# Milliseconds between two readings of a GPU's power.
_INTERVAL = "100"


@dataclass
class Power:
    """A measurement that is done when its block has ended.

    Attributes:
        watts: the mean power; None if the machine does not tell.
    """

    watts: float | None = None


@dataclass(frozen=True)
class Meter:
    """Measures power.

    Attributes:
        gpu: the number of the GPU to measure, as this process counts them; None measures the processors.
        powercap: the folder of Linux's counters. Reading them takes the rights of an administrator on most machines.
    """

    gpu: int | None = None
    powercap: Path = POWERCAP
    _counters: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.gpu is None:
            self._counters.extend(path for path in _packages(self.powercap) if _read(path / "energy_uj") is not None)

    @contextmanager
    def reading(self) -> Iterator[Power]:
        """Measure while the block runs."""
        power = Power()
        if self.gpu is not None:
            with _sampled(self.gpu, power):
                yield power
            return
        before, begin = [_read(path / "energy_uj") for path in self._counters], time.perf_counter()
        yield power
        seconds, joules = time.perf_counter() - begin, 0.0
        for path, first in zip(self._counters, before, strict=True):
            last = _read(path / "energy_uj")
            if first is None or last is None:
                return
            # The counter begins again at 0 once it has reached its range.
            over = (_read(path / "max_energy_range_uj") or 0.0) if last < first else 0.0
            joules += (last + over - first) / 1e6
        if self._counters:
            power.watts = joules / max(seconds, 1e-9)

    def about(self) -> str:
        """Say what is measured, or why nothing is."""
        if self.gpu is not None:
            return "of the GPU, by nvidia-smi" if shutil.which("nvidia-smi") else "not measured: no nvidia-smi"
        if self._counters:
            return f"of {len(self._counters)} processor(s), all programs together, by {self.powercap}"
        return f"not measured: no readable counters in {self.powercap}"


def _packages(folder: Path) -> list[Path]:
    """Return the counters of whole processors; those of their parts have a second number."""
    return sorted(path for path in folder.glob("*-rapl:*") if path.name.count(":") == 1)


def _read(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None


def _of_machine(gpu: int) -> str:
    """Return a GPU's number or name among all of the machine, of which this process may see a part."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return seen[gpu].strip() if gpu < len(seen) and seen[gpu].strip() else str(gpu)


@contextmanager
def _sampled(gpu: int, power: Power) -> Iterator[None]:
    """Read a GPU's power again and again while the block runs."""
    program = shutil.which("nvidia-smi")
    if program is None:
        yield
        return
    words = [
        program,
        f"--id={_of_machine(gpu)}",
        "--query-gpu=power.draw",
        "--format=csv,noheader,nounits",
        f"--loop-ms={_INTERVAL}",
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield
    finally:
        process.terminate()
        lines, _ = process.communicate()
        samples = [float(line) for line in lines.split() if line.replace(".", "", 1).isdigit()]
        power.watts = fmean(samples) if samples else None
