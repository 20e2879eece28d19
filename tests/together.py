"""`bert` as several real processes that work together over gloo, without torchrun."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple


class Done(NamedTuple):
    code: int
    out: str
    err: str


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), **where}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start_together(
    folder: Path,
    size: int,
    *words: str,
    apart: Mapping[int, Sequence[str]] | None = None,
    folders: Sequence[Path] | None = None,
) -> list[subprocess.Popen]:
    """Start `bert WORDS` as `size` processes, each with its own words after the common ones; they print into files.

    Args:
        apart: rank -> more words.
        folders: where each process runs.
    """
    port = free_port()
    folder.mkdir(exist_ok=True, parents=True)
    started = []
    for rank in range(size):
        command = [sys.executable, "-m", "bertworks", *words, *(apart or {}).get(rank, ())]
        names = {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", **environment(rank, size, port)}
        with (folder / f"out-{rank}").open("w") as out, (folder / f"err-{rank}").open("w") as err:
            started.append(
                subprocess.Popen(
                    command, stdout=out, stderr=err, cwd=folders and folders[rank], env={**os.environ, **names}
                )
            )
    return started


def finish(folder: Path, processes: Sequence[subprocess.Popen], timeout: float = 120) -> list[Done]:
    """Wait for processes; whatever happens, none is left."""
    try:
        codes = [process.wait(timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [
        Done(code, (folder / f"out-{rank}").read_text(), (folder / f"err-{rank}").read_text())
        for rank, code in enumerate(codes)
    ]


def together(
    folder: Path,
    size: int,
    *words: str,
    apart: Mapping[int, Sequence[str]] | None = None,
    folders: Sequence[Path] | None = None,
) -> list[Done]:
    """Run `bert WORDS` as `size` processes to their end, see `start_together`; they need not import torch first."""
    folder.mkdir(exist_ok=True, parents=True)
    codes = spawned(size, bert, folder, words, apart, folders)
    return [
        Done(code, (folder / f"out-{rank}").read_text(), (folder / f"err-{rank}").read_text())
        for rank, code in enumerate(codes)
    ]


def bert(
    rank: int,
    folder: Path,
    words: Sequence[str],
    apart: Mapping[int, Sequence[str]] | None = None,
    folders: Sequence[Path] | None = None,
) -> None:
    """Run `bert WORDS` as this process."""
    from bertworks import cli

    for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
        with (folder / f"{name}-{rank}").open("w") as file:
            os.dup2(file.fileno(), stream.fileno())
    if folders:
        os.chdir(folders[rank])
    code = cli.main([*words, *(apart or {}).get(rank, ())])
    sys.stdout.flush()
    sys.exit(code)


def forked(size: int, function: Callable[..., None], *arguments: object) -> list[BaseProcess]:
    """Begin function(rank, *arguments) in `size` new processes, which have torch already."""
    port, context = free_port(), multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.together", "bertworks.finetuning.run", "bertworks.train.loop"])
    processes = [context.Process(target=_call, args=(rank, size, port, function, arguments)) for rank in range(size)]
    for process in processes:
        process.start()
    return list(processes)


def spawned(size: int, function: Callable[..., None], *arguments: object) -> list[int]:
    """Call function(rank, *arguments) in `size` new processes; return their exit codes."""
    return ended(forked(size, function, *arguments))


def ended(processes: Sequence[BaseProcess], timeout: float = 120) -> list[int]:
    """Wait for processes; return their exit codes. None is left."""
    for process in processes:
        process.join(timeout)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
        process.join()
    return [-1 if code is None else code for code in codes]


def _call(rank: int, size: int, port: int, function: Callable[..., None], arguments: Sequence[object]) -> None:
    import torch

    from bertworks.model import predict
    from bertworks.train import contact

    contact.BEAT, contact.SILENCE = 0.2, 2.0
    predict.inference_token_budget = lambda device: 250  # several batches of small data
    os.environ.update(environment(rank, size, port))
    torch.set_num_threads(1)
    function(rank, *arguments)
