"""Data preparation on a real Ray cluster on this machine, a worker of which is killed. `make test-ray` runs it."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bertworks import cli
from tests.commands.runs import FIXTURES

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed; make test-ray")


def _text(path: Path, times: int) -> Path:
    """The small corpus so many times, each time with words of its own."""
    corpus = (FIXTURES / "corpus.txt").read_text()
    path.write_text("\n".join(corpus.replace("the ", f"the{number} ") for number in range(times)))
    return path


def _start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bertworks", *words, "--engine=ray"]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def _workers_at_work(of: str) -> list[int]:
    """The processes in which Ray calls a function now; Ray writes its name into their title."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(f"ray::{of}".encode()):
            found.append(int(folder.name))
    return found


def _killing_one(process: subprocess.Popen[str], of: str) -> tuple[int, str]:
    """Kill a worker once, while it works; return how the command ended."""
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        if workers := _workers_at_work(of):
            os.kill(workers[0], signal.SIGKILL)
            break
        time.sleep(0.002)
    else:
        pytest.fail("no worker was seen at work")
    out, _ = process.communicate(timeout=300)
    return process.returncode, out


def test_shards_are_those_of_local_workers(tmp_path: Path) -> None:
    words = (f"--input_file={_text(tmp_path / 'text.txt', 1500)}", f"--vocab_file={FIXTURES / 'vocab.txt'}")
    assert cli.main(["create_pretraining_data", *words, f"--output_dir={tmp_path / 'here'}"]) == 0
    code, out = _killing_one(
        _start("create_pretraining_data", *words, f"--output_dir={tmp_path / 'there'}"), "_tokenized_elsewhere"
    )
    assert code == 0, out
    for path in (tmp_path / "here").iterdir():
        if path.name != "flags.toml":
            assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes(), path.name


def test_a_vocabulary_is_that_of_local_workers(tmp_path: Path) -> None:
    words = (f"--input_file={_text(tmp_path / 'text.txt', 3000)}", "--vocab_size=2000")
    assert cli.main(["learn_vocab", *words, f"--output_file={tmp_path / 'here.txt'}"]) == 0
    code, out = _killing_one(_start("learn_vocab", *words, f"--output_file={tmp_path / 'there.txt'}"), "count_block")
    assert code == 0, out
    assert (tmp_path / "here.txt").read_bytes() == (tmp_path / "there.txt").read_bytes()


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    words = (f"--input_file={FIXTURES / 'corpus.txt'}", "--vocab_size=300", f"--output_file={tmp_path / 'v.txt'}")
    out, _ = (process := _start("learn_vocab", *words, "--ray_address=127.0.0.1:9")).communicate(timeout=300)
    assert process.returncode == 2, out
    assert "--ray_address=127.0.0.1:9: no Ray cluster is there" in out.splitlines()[-1]
