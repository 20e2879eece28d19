"""The environment of a contestant's process, and what is said of one that ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bertworks.benchmark import processes
from bertworks.benchmark.peers.order import Order
from bertworks.benchmark.processes import _Asking, _start


@pytest.mark.parametrize(
    ("module", "work", "given", "turns"),
    [
        ("ours", "pretrain", "1000", "1000"),
        ("ours", "latency", "1000", "3000"),
        ("ours", "latency", "7", "7"),
        ("with_transformers", "latency", "1000", None),
        ("with_transformers", "latency", "7", "7"),
    ],
)
def test_only_our_own_threads_wait_as_our_commands_let_them(
    module: str, work: str, given: str, turns: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("GOMP_SPINCOUNT", given)
    seen: dict[str, Any] = {}
    monkeypatch.setattr(processes.subprocess, "Popen", lambda words, **options: seen.update(options))
    where: dict[str, Any] = {"folder": str(tmp_path), "device": "cpu", "threads": 2, "max_seq_length": 128}
    order = Order(module=module, work=work, setting="best", precision="fp32", **where)
    with (tmp_path / "log").open("w+b") as log:
        _start(sys.executable, tmp_path, order, log)
    assert seen["env"].get("GOMP_SPINCOUNT") == turns


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


# A contestant that works for a minute and leaves a file when it is closed.
SLOW = """
import sys, time, types
from pathlib import Path
from bertworks.benchmark.peers import worker
from bertworks.benchmark.peers.order import Prepared

def prepare(order):
    def one_pass(number):
        Path(order.folder, "began").touch()
        time.sleep(60)
    return Prepared(
        version="", settings="", one_pass=one_pass, answers=list, close=Path(order.folder, "closed").touch
    )

sys.modules["bertworks.benchmark.peers.slow"] = types.SimpleNamespace(prepare=prepare)
worker.main()
"""


def test_one_that_is_ended_in_the_middle_of_its_work_closes_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server would stay behind otherwise."""
    monkeypatch.setattr(processes, "_SECONDS_TO_END", 1)
    where: dict[str, Any] = {"folder": str(tmp_path), "device": "cpu", "threads": 1, "max_seq_length": 8}
    order = Order(module="slow", work="serve", setting="best", precision="fp32", **where)
    with (tmp_path / "log").open("w+b") as log:
        words = [sys.executable, "-c", SLOW]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        assert "error" not in _Asking(process, log)(order.to_json())
        assert process.stdin is not None
        print('{"turn": 1, "peak": false}', file=process.stdin, flush=True)
        while not (tmp_path / "began").exists():
            assert process.poll() is None
        processes._end(process)
    assert (tmp_path / "closed").exists()
    assert process.returncode == 143
