"""How much memory a process may still take: on a GPU, or on this machine under the limits that are set for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import torch

try:
    import resource
except ImportError:  # not Unix
    resource = None  # type: ignore[assignment]

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_PAGE = 4096


def free_memory(device: torch.device, proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """Return the bytes that this process may still take on a device; None if the system does not say.

    On CPU the processes of a run that share a machine (torchrun's LOCAL_WORLD_SIZE) get equal parts.

    Args:
        proc, cgroups: where Linux tells.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    kilobytes = _number(proc / "meminfo", r"^MemAvailable:\s*(\d+) kB")
    shared = [*_left_in_groups(proc, cgroups), *([] if kilobytes is None else [kilobytes << 10])]
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min([*(number // processes for number in shared), *_left_of_addresses(proc)], default=None)


def _number(path: Path, pattern: str) -> int | None:
    """Return the first number that a pattern finds in a file; None if there is none."""
    try:
        found = re.search(pattern, path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1])


def _left_of_addresses(proc: Path) -> Iterator[int]:
    """Give what is left of this process's address space, if it is limited (`ulimit -v`)."""
    used = _number(proc / "self" / "statm", r"^(\d+)")
    if resource is not None and used is not None:
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            yield max(0, limit - used * _PAGE)


def _left_in_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    """Give what is left in each control group that this process is in, of version 2 or 1. Page cache is not used up."""
    try:
        own = (proc / "self" / "cgroup").read_text(encoding="utf-8")
    except OSError:
        return
    files = {
        "": (cgroups, "memory.max", "memory.current", r"^inactive_file (\d+)"),
        "memory": (
            *(cgroups / "memory", "memory.limit_in_bytes"),
            *("memory.usage_in_bytes", r"^total_inactive_file (\d+)"),
        ),
    }
    for controllers, path in re.findall(r"^\d+:([^:]*):/(.*)$", own, re.MULTILINE):
        if controllers not in files:
            continue
        root, limit, usage, cache = files[controllers]
        group = root / path
        for folder in (group, *group.parents):
            most, used = _number(folder / limit, r"^(\d+)$"), _number(folder / usage, r"^(\d+)$")
            if most is not None and used is not None:
                yield max(0, most - used + (_number(folder / "memory.stat", cache) or 0))
            if folder == root:
                break
