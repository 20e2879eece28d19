"""A contestant in a process of its own, perhaps in another Python environment."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

import bertworks
from bertworks.benchmark.contest import Absent, Clock, Contestant, Turn
from bertworks.benchmark.energy import Meter
from bertworks.benchmark.peers.order import Order
from bertworks.cores import ACTIVE_TURNS, brief_waiting
from bertworks.errors import InputError, one_line

# How long a contestant may take to end by itself, and to close what it started: ending a server takes a while.
_SECONDS_TO_END, _SECONDS_TO_CLOSE = 10, 20


class NoMemoryError(InputError):
    """The work of a contestant did not fit into the device's memory."""


def tells_no_memory(error: str) -> bool:
    """Tell whether an error means that memory was not enough."""
    return "OutOfMemory" in error or "out of memory" in error.lower()


@contextmanager
def entrant(
    name: str, order: Order, *, python: str, hint: str, clock: Clock, meter: Meter
) -> Iterator[Contestant | Absent]:
    """Start a contestant, and end its process after the block.

    Args:
        name: of the library.
        order: what it is to prepare.
        python: the program of its environment.
        hint: what to do if its library is not there.
        clock: whose seconds count.
        meter: tells the power that is drawn.
    """
    with tempfile.TemporaryDirectory() as place, _log(order, name) as log:
        process = _start(python, Path(place), order, log)
        ask = _Asking(process, log)
        try:
            ready = ask(order.to_json())
            if "missing" in ready:
                reason = f"{ready['missing']} is not there: {hint}"
                yield Absent(name=name, settings=order.setting, precision=order.precision, reason=reason)
            elif "error" in ready:
                yield Absent(name=name, settings=order.setting, precision=order.precision, reason=ready["error"])
            else:
                yield _contestant(name, ready, ask, order, Path(place), clock, meter)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """End a contestant's process: it ends by itself when its input does."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    # One that still works is told to end, so that it ends its server too.
    for seconds, end in ((_SECONDS_TO_END, process.terminate), (_SECONDS_TO_CLOSE, process.kill)):
        try:
            process.wait(seconds)
            break
        except subprocess.TimeoutExpired:
            end()
    process.wait()
    process.stdout.close()


def _log(order: Order, name: str) -> IO[bytes]:
    """Open the file that gets what a contestant's libraries print."""
    handle, path = tempfile.mkstemp(prefix=f"{name}-", suffix=".log", dir=order.folder)
    os.close(handle)
    return Path(path).open("r+b")


def _start(python: str, place: Path, order: Order, log: IO[bytes]) -> subprocess.Popen[str]:
    """Start a process that finds this package, and nothing else of our environment.

    A link to the package in a folder of its own does that; the folder of our environment would bring our libraries too.
    """
    (place / "path").mkdir()
    (place / "path" / "bertworks").symlink_to(Path(bertworks.__file__).parent)
    threads = str(order.threads)
    ours = os.environ.get("PYTHONPATH", "") if python == sys.executable else ""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(place / "path"), ours))),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "RAYON_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "true" if order.threads > 1 else "false",
        "HF_HUB_OFFLINE": "1",
    }
    # Our commands let OpenMP's threads wait briefly, and this process has inherited that; peers run as they do alone.
    if environment.get("GOMP_SPINCOUNT") == ACTIVE_TURNS:
        del environment["GOMP_SPINCOUNT"]
    if order.module.startswith("ours"):
        environment |= brief_waiting(environment, answers=order.work in ("latency", "serve"))
    words = [python, "-m", "bertworks.benchmark.peers.worker"]
    try:
        return subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, text=True, cwd=place
        )
    except OSError as error:
        raise InputError(f"--peer_python: {python}: {error.strerror}") from None


class _Asking:
    """Writes a line to a contestant's process and reads its reply."""

    def __init__(self, process: subprocess.Popen[str], log: IO[bytes]) -> None:
        self._process, self._log = process, log

    def __call__(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(line, file=self._process.stdin, flush=True)
            reply = self._process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        if reply:
            values: dict[str, Any] = json.loads(reply)
            return values
        code = self._process.wait()
        killed = "; it was killed: out of memory?" if code < 0 else ""
        return {"error": f"its process ended with code {code}{killed} {self._last_line()}".strip()}

    def _last_line(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        # Lines that a progress bar wrote over do not say why a process ended.
        return next((one_line(line) for line in reversed(lines) if line.strip() and "\r" not in line), "")[:300]


def _contestant(
    name: str, ready: dict[str, Any], ask: _Asking, order: Order, place: Path, clock: Clock, meter: Meter
) -> Contestant:
    def checked(reply: dict[str, Any]) -> dict[str, Any]:
        if error := reply.get("error"):
            raise (NoMemoryError if tells_no_memory(error) else InputError)(error)
        return reply

    def turn(passes: int) -> Turn:
        with meter.reading() as power:
            reply = checked(ask(json.dumps({"turn": passes, "peak": order.work not in _WITHOUT_PRODUCTS})))
        seconds = reply["processor_seconds" if clock == "processor" else "seconds"]
        return Turn(
            seconds=tuple(seconds),
            peak=reply["peak"],
            memory=reply["memory"],
            watts=power.watts,
            value=reply["value"],
            latencies=tuple(reply["latencies"]),
        )

    def answers() -> NDArray[Any]:
        path = place / "answers.npy"
        checked(ask(json.dumps({"answers": str(path)})))
        found: NDArray[Any] = np.load(path)
        return found

    return Contestant(
        name=name,
        version=ready["version"],
        settings=ready["settings"],
        precision=ready["precision"],
        turn=turn,
        answers=answers,
        padded_tokens=ready["padded_tokens"],
    )


# Work in which a matrix product is no limit.
_WITHOUT_PRODUCTS = ("tokenize_cold", "tokenize_warm", "shards", "records", "serve")
