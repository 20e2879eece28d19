"""What a table must say of where it was made: hardware, share of it, versions, command, commit."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import bertworks
from bertworks.cores import cpuinfo, processor, usable_cores

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "sve", "asimd", "bf16")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where, when and how a benchmark ran.

    Attributes:
        processor, instructions: its name, and those of its instruction sets that matter here.
        cores, usable: the machine's processors, and how many this process may use (affinity, a container's quota).
        threads: the threads that each contestant computes with.
        gpu: its name and memory; "" on CPU.
        versions: of Python and of what the contestants share.
        command: the command line.
        commit: of a checkout of this package; "" elsewhere.
    """

    date: str
    processor: str
    instructions: tuple[str, ...]
    cores: int
    usable: int
    threads: int
    gpu: str
    system: str
    versions: dict[str, str]
    command: str
    commit: str

    def lines(self) -> list[str]:
        """Return sentences for the head of a table."""
        usable = "" if self.usable == self.cores else f", of which this process may use {self.usable}"
        known = f" ({', '.join(self.instructions)})" if self.instructions else ""
        where = f"{self.processor}{known}, {self.cores} cores{usable}, threads of each contestant: {self.threads}"
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        commit = f" Commit {self.commit}." if self.commit else ""
        return [
            f"{self.date}. {where}{f'; {self.gpu}' if self.gpu else ''}. {self.system}, {versions}.{commit}",
            f"`{self.command}`",
        ]


def describe_machine(words: Sequence[str], threads: int, gpu: str = "") -> Machine:
    """Return the description of this machine and this run; `words` are the command line."""
    return Machine(
        date=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        processor=processor(),
        instructions=_instructions(),
        cores=os.cpu_count() or 1,
        usable=usable_cores(),
        threads=threads,
        gpu=gpu,
        system=platform.system(),
        versions={"Python": platform.python_version(), **_versions("torch", "numpy")},
        command=shlex.join(words),
        commit=_commit(),
    )


def usable_threads() -> int:
    """Return the threads that this process should compute with.

    OMP_NUM_THREADS says it; otherwise one for each processor that it may run on, within a container's quota.
    """
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if given.isdigit() and int(given) > 0:
        return int(given)
    return usable_cores()


def _instructions() -> tuple[str, ...]:
    found = re.search(r"^(?:flags|Features)\s*: (.*)", cpuinfo(), re.MULTILINE)
    have = set(found[1].split()) if found else set()
    return tuple(name for name in _INSTRUCTIONS if name in have)


def _versions(*names: str) -> dict[str, str]:
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "?"
    return versions


def _commit() -> str:
    """Return the commit of the checkout that this package lies in; "+" after it means changed files."""
    folder = Path(bertworks.__file__).parent
    git = ["git", "-C", str(folder)]
    try:
        # An installed package may lie in somebody else's checkout, which does not track it.
        subprocess.run([*git, "ls-files", "--error-unmatch", "__init__.py"], capture_output=True, check=True)
        words = [*git, "describe", "--always", "--dirty=+", "--exclude=*"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
