"""The memory of a process, as Linux tells it. Nothing here needs more than Python."""

from __future__ import annotations

import re
from pathlib import Path


def most_resident(process: int | str = "self") -> int | None:
    """Return the most bytes of a process that were in memory at once; None where the system does not tell."""
    status = Path(f"/proc/{process}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else None
