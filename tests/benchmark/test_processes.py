"""What is said of a contestant's process that ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bertworks.benchmark.processes import _Asking


def test_the_reason_is_the_last_line_that_no_progress_bar_wrote_over(tmp_path: Path) -> None:
    said = r"Loading: 0%\rLoading: 100%\n\nno weights\nLoading: 0%\rLoading: 100%\n"
    with (tmp_path / "log").open("w+b") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.stdin.readline(); sys.stderr.write('{said}'); sys.exit(3)"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        with process:
            assert _Asking(process, log)("go") == {"error": "its process ended with code 3 no weights"}
