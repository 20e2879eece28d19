"""Under torchrun: a lost worker, a lost machine, and the order of a scheduler. `make soak` runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands.runs import make_shards, metrics
from tests.soak.kill_matrix import TOLERANCE, finished, same
from tests.soak.victim import words
from tests.together import free_port

pytestmark = pytest.mark.soak
STEPS = 120


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return make_shards(tmp_path_factory.mktemp("data") / "shards")


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory) -> Path:
    """The end of a run of two processes that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole") / "out"
    finished(shards, output, "2", STEPS)
    return output


@pytest.fixture
def torchrun(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start torchrun with its flags and those of bert; whatever it starts ends with the test."""
    started: list[subprocess.Popen] = []

    def start(flags: list[str], command: list[str]) -> subprocess.Popen:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (tmp_path / f"log-{len(started)}").open("w") as log:
            whole_command = [sys.executable, "-m", "torch.distributed.run", *flags, "-m", "bertworks", *command]
            process = subprocess.Popen(whole_command, stdout=log, stderr=log, env=environment, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def logs(folder: Path) -> str:
    return "\n".join(path.read_text()[-6000:] for path in sorted(folder.glob("log-*")))


def wait_for_step(output: Path, step: int, seconds: float = 240) -> int:
    """Wait until a checkpoint of this step or a later one is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        newest = max((int(path.name[5:]) for path in output.glob("checkpoints/step-*")), default=0)
        if newest >= step:
            return newest
        time.sleep(0.05)
    raise AssertionError(f"no checkpoint of step {step} came")


def workers(agent: subprocess.Popen) -> list[int]:
    """The pids of what an agent started, in the order of their ranks."""
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"bertworks" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_worker_brings_the_group_back(rank: int, shards: Path, whole: Path, torchrun, tmp_path: Path) -> None:
    output = tmp_path / "out"
    flags = ["--standalone", "--nproc_per_node=2", "--max-restarts=2"]
    agent = torchrun(flags, words(shards, output, STEPS))
    wait_for_step(output, 40)
    os.kill(workers(agent)[rank], signal.SIGKILL)
    assert agent.wait(400) == 0, logs(tmp_path)
    assert "Continuing from" in logs(tmp_path)
    assert same(whole, output) == ""


def test_a_lost_machine_leaves_a_smaller_group_that_goes_on(
    shards: Path, whole: Path, torchrun, tmp_path: Path
) -> None:
    """Two agents stand for two machines; one of them, with its worker, is killed, and comes back later or not."""
    output = tmp_path / "out"
    address = f"--rdzv-endpoint=127.0.0.1:{free_port()}"
    flags = ["--nnodes=1:2", "--nproc_per_node=1", "--max-restarts=3", "--rdzv-backend=c10d", "--rdzv-id=1", address]
    quick = ["--rdzv-conf=last_call_timeout=5,keep_alive_interval=1,keep_alive_max_attempt=3"]
    command = words(shards, output, STEPS)
    first = torchrun([*flags, *quick], command)
    time.sleep(2)
    second = torchrun([*flags, *quick], command)
    wait_for_step(output, 40)
    victims = workers(second)
    second.kill()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    assert first.wait(500) == 0, logs(tmp_path)
    assert "processes 2 -> 1" in logs(tmp_path)
    assert same(whole, output, TOLERANCE * 10) == ""
    steps = [line["step"] for line in metrics(output) if "loss" in line]
    assert steps == list(range(1, STEPS + 1))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_an_order_to_torchrun_saves_and_the_same_command_continues(
    number: int, shards: Path, whole: Path, torchrun, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    flags = ["--standalone", "--nproc_per_node=2", "--signals-to-handle=SIGTERM,SIGINT,SIGUSR1"]
    agent = torchrun(flags, words(shards, output, STEPS))
    wait_for_step(output, 20)
    agent.send_signal(number)
    assert agent.wait(120) != 0
    said = logs(tmp_path)
    assert f"Stopped by {signal.Signals(number).name} after step" in said, said
    assert torchrun(flags, words(shards, output, STEPS)).wait(400) == 0, logs(tmp_path)
    assert same(whole, output) == ""
