"""Training steps on an idle machine and beside other work, by how the threads of OpenMP wait for each other.

    python -m benchmarks.busy_machine [--neighbours=2] [--rounds=5] [--output=benchmarks/results/busy_machine.md]

A step is one of `bert demo`'s kind: 4 layers, hidden size 256, 32 sequences of 128 tokens, float32. Neighbours are
programs that only count, as many as there are processors by default. Each way of waiting is a process of its own; all
take turns, round after round, first without neighbours, then with them.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from bertworks.cores import ACTIVE_TURNS, processor

# How it is called in the table -> threads, and what the environment says; {} is what torch does by itself.
WAYS: dict[str, tuple[int, dict[str, str]]] = {
    f"**as `bert` does it**: {int(ACTIVE_TURNS):,} turns of active waiting": (2, {"GOMP_SPINCOUNT": ACTIVE_TURNS}),
    "1,000 turns": (2, {"GOMP_SPINCOUNT": "1000"}),
    "as torch does it: 300,000 turns": (2, {}),
    "`OMP_WAIT_POLICY=passive`": (2, {"OMP_WAIT_POLICY": "passive"}),
    "one thread": (1, {}),
}
STEPS = """
import sys, time, dataclasses
import numpy as np, torch
threads, seconds = int(sys.argv[1]), float(sys.argv[2])
torch.set_num_threads(threads)
from bertworks.config import BertConfig
from bertworks.data.batch import pack
from bertworks.model.device import keep_freed_memory
from bertworks.model.heads import PretrainingModel
keep_freed_memory()
LENGTH, SEQUENCES, WORDS = 128, 32, 8000
config = BertConfig.from_size("4/256", WORDS)
rng = np.random.default_rng(0)
rows = np.concatenate([i * LENGTH + 1 + np.sort(rng.choice(LENGTH - 1, 19, False)) for i in range(SEQUENCES)])
batch = pack(
    rng.integers(1000, WORDS, SEQUENCES * LENGTH),
    (np.arange(SEQUENCES * LENGTH) % LENGTH >= 64).astype(np.int64),
    np.full(SEQUENCES, LENGTH),
    rows=rows,
    labels=rng.integers(1000, WORDS, len(rows)),
    sequence_labels=rng.integers(0, 2, SEQUENCES),
)
model = PretrainingModel(config)
model.initialise(0)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
def step(number):
    sums = model(batch, dropout=number, dtype=torch.float32)
    (sums["masked_lm_loss"] / len(rows) + sums["next_sentence_loss"] / SEQUENCES).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
for number in range(3):
    step(number)
steps, start = 0, time.perf_counter()
while time.perf_counter() - start < seconds:
    step(steps)
    steps += 1
print(steps * SEQUENCES * LENGTH / (time.perf_counter() - start))
"""


def main() -> None:
    """Measure and print; write the table where --output says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neighbours", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--output", default="", help="a file for the table")
    flags = parser.parse_args()
    columns = []
    for count in (0, flags.neighbours):
        with _neighbours(count):
            rounds = [{way: _measured(way, flags.seconds) for way in WAYS} for _ in range(flags.rounds)]
        columns.append({way: [each[way] for each in rounds] for way in WAYS})
        print(columns[-1], file=sys.stderr)
    table = _table(columns, flags)
    print(table)
    if flags.output:
        Path(flags.output).write_text(table, encoding="utf-8")


@contextmanager
def _neighbours(count: int) -> Iterator[None]:
    """Run programs that use a processor each."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def _measured(way: str, seconds: float) -> float:
    threads, environment = WAYS[way]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-c", STEPS, str(threads), str(seconds)]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _table(columns: list[dict[str, list[float]]], flags: argparse.Namespace) -> str:
    titles = ("the machine is idle", f"beside {flags.neighbours} other programs")
    lines = [f"| threads wait | {titles[0]} | of one thread | {titles[1]} | of one thread |", "|" + "---|" * 5]
    for way in WAYS:
        cells = []
        for column in columns:
            ratios = [a / b for a, b in zip(column[way], column["one thread"], strict=True)]
            cells += [
                f"{statistics.median(column[way]):,.0f} ({min(column[way]):,.0f} to {max(column[way]):,.0f})",
                f"{statistics.median(ratios):.2f}",
            ]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return (
        "# Training beside other work\n\n"
        f"Tokens/s of training steps (4 layers, hidden size 256, 32 x 128 tokens, float32), two threads; "
        f"{processor()}, Python {platform.python_version()}, torch {version('torch')}. Medians (least to greatest) of "
        f"{flags.rounds} rounds in turns; ratios within a round. "
        f"`python -m benchmarks.busy_machine {' '.join(sys.argv[1:])}`\n\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
