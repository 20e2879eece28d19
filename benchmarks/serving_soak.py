"""Many requests, one in a hundred bad: no wrong answer, no hang, and memory that stays flat.

    python -m benchmarks.serving_soak --requests=100000

One request in a hundred is malformed, comes too slowly, or is cut off in the middle. Every answer is compared with what
the server gives to the same body alone, and must come within two minutes. Memory is that of the server's process, read
at every twentieth of the requests. After WARM requests its caches are full; from then on it may grow by GROWTH. With
fewer requests it is printed and not judged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.serve.models import TEXTS, make_models

from bertworks.benchmark.peers.http_load import ClientConnection, Request, load, post
from bertworks.benchmark.peers.serving import memory

# One request in so many is bad.
BAD = 100

# Memory may grow by so much after so many requests.
GROWTH, WARM = 0.03, 20_000

# How often memory is read.
READ = 20


def bodies() -> list[Request]:
    """A mix of every head, of short and long texts."""
    pieces = " ".join(TEXTS).split()
    drawn = random.Random(7)

    def text(words: int) -> str:
        begin = drawn.randrange(len(pieces) - words)
        return " ".join(pieces[begin : begin + words])

    found = []
    for words in (3, 8, 20, 60, 200):
        found += [
            post("/v1/classify", texts=[text(words), text(5)], long_text="window"),
            post("/v1/tag", texts=[text(words)]),
            post("/v1/answer", question=text(4), texts=[text(words), text(words)]),
            post("/v1/fill_mask", texts=[f"{text(min(words, 20))} [MASK] {text(3)}"]),
            post("/v1/embeddings", input=[text(words)] * 4, model="words", long_text="truncate"),
            post("/embed", inputs=text(words), truncate=True),
            post("/v1/explain", text=text(min(words, 8)), model="classifier"),
            post("/rerank", query=text(3), texts=[text(words), text(7), text(12)], truncate=True),
        ]
    return found


async def bad(kind: int, address: tuple[str, int]) -> None:
    """Be a client that sends something wrong, stops in the middle, or leaves before the answer."""
    good = post("/v1/classify", texts=TEXTS)
    if kind == 0:
        status, _ = await ClientConnection(*address).ask(Request("/v1/classify", b'{"texts": ["a"'))
        assert status == 400, status
        return
    if kind == 1:
        status, _ = await ClientConnection(*address).ask(post("/v1/classify", texts=["a", ""], nonsense=1))
        assert status == 422, status
        return
    reader, writer = await asyncio.open_connection(*address)
    sent = good.head(address[0]) + good.body
    if kind == 2:  # cut off in the middle of the body
        writer.write(sent[: len(sent) // 2])
        await writer.drain()
    elif kind == 3:  # gone before the answer
        writer.write(sent)
        await writer.drain()
    else:  # too slow
        writer.write(sent[: len(sent) // 2])
        await writer.drain()
        assert b" 408 " in await reader.readline()
    writer.close()


def near(found: Any, expected: Any) -> bool:
    """Tell whether two answers are equal, numbers to 1e-5 (an answer's probability is a quotient of exponentials)."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(near(found[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(near, found, expected))
    if isinstance(expected, float):
        return abs(found - expected) < 1e-5
    return bool(found == expected)


async def soak(address: tuple[str, int], process: int, count: int, clients: int) -> list[str]:
    """Send the requests; return what was found."""
    kinds = bodies()
    alone = ClientConnection(*address)
    expected = [json.loads((await alone.ask(request))[1]) for request in kinds]
    alone.close()
    drawn = random.Random(1)
    chosen = [drawn.randrange(len(kinds)) for _ in range(count)]
    wrong: list[str] = []
    background: set[asyncio.Task[None]] = set()
    done, trace = 0, list[tuple[int, int]]()

    def check(number: int, status: int, body: bytes) -> None:
        nonlocal done
        done += 1
        if status != 200 or not near(json.loads(body), expected[chosen[number]]):
            wrong.append(f"{kinds[chosen[number]].path}: {status} {body[:200]!r}")
        if done % max(1, count // READ) == 0:
            trace.append((done, memory(process)))
        if done % BAD == 0:
            task = asyncio.ensure_future(bad(done // BAD % 5, address))
            background.add(task)

    began = time.monotonic()
    await load(address, [kinds[one] for one in chosen], clients, check)
    failures = [one for one in await asyncio.gather(*background, return_exceptions=True) if one]
    trace.append((count, memory(process)))
    # The best time to compare with is the first reading when the caches are full.
    warm = next(((number, used) for number, used in trace if number >= WARM), None)
    growth = trace[-1][1] / warm[1] - 1 if warm and warm[0] < count else None
    report = [
        f"{count:,} requests and {len(background):,} bad ones by {clients} clients in {time.monotonic() - began:.0f} s",
        f"wrong answers: {len(wrong)}; bad requests that were not refused as they should be: {len(failures)}",
        f"memory: not judged, because {WARM:,} requests fill the caches"
        if warm is None or growth is None
        else f"memory: {growth:+.1%} from request {warm[0]:,} to the end; {GROWTH:.0%} is allowed",
        f"MB, at every twentieth: {', '.join(f'{used / 1e6:.0f}' for _, used in trace)}",
        *wrong[:5],
        *map(repr, failures[:5]),
    ]
    if wrong or failures or (growth or 0) > GROWTH:
        raise SystemExit("\n".join(["FAILED", *report]))
    return report


def main() -> None:
    """Start a server, send, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=32)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = make_models(Path(folder))
        command = [sys.executable, "-m", "bertworks", "serve", *models.values(), "--port=0", "--body_seconds=1"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr
            line = next(line for line in server.stderr if line.startswith("Serving at "))
            port = int(line.split()[2].rpartition(":")[2])
            try:
                print("\n".join(asyncio.run(soak(("127.0.0.1", port), server.pid, flags.requests, flags.clients))))
            finally:
                server.terminate()
                rest = server.stderr.read()
            assert server.wait(60) == 0, rest


if __name__ == "__main__":
    main()
