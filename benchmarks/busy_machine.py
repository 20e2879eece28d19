"""Training steps on an idle machine and beside other work, by how the threads of OpenMP wait for each other.

    python -m benchmarks.busy_machine [--neighbours=1,2] [--rounds=5] [--output=benchmarks/results/busy_machine.md]

Two models: the one of `bert demo`, whose steps are many small operations, and one of four times its work in each.
Neighbours are programs that only count. Each way of waiting is a process of its own; all take turns, round after round,
first without neighbours, then with them.
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

from bertworks.cores import ACTIVE_TURNS, ACTIVE_TURNS_OF_ANSWERS, processor

# How it is called in the table -> threads, and what the environment says; {} is what torch does by itself.
WAYS: dict[str, tuple[int, dict[str, str]]] = {
    f"**{int(ACTIVE_TURNS):,} turns of active waiting, as our commands do it**": (2, {"GOMP_SPINCOUNT": ACTIVE_TURNS}),
    f"{int(ACTIVE_TURNS_OF_ANSWERS):,}, as `bert serve` does it": (2, {"GOMP_SPINCOUNT": ACTIVE_TURNS_OF_ANSWERS}),
    "10,000": (2, {"GOMP_SPINCOUNT": "10000"}),
    "300,000, as torch does it": (2, {}),
    "none, `OMP_WAIT_POLICY=passive`": (2, {"OMP_WAIT_POLICY": "passive"}),
    "one thread": (1, {}),
}
# Model, tokens of a sequence, sequences of a step, words to predict of a sequence.
STEPS_OF = {"2/128": (64, 32, 10), "4/256": (128, 32, 19)}
STEPS = """
import sys, time, dataclasses
import numpy as np, torch
threads, seconds, size = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
LENGTH, SEQUENCES, PREDICTIONS = map(int, sys.argv[4:])
torch.set_num_threads(threads)
from bertworks.config import BertConfig
from bertworks.data.batch import pack
from bertworks.model.device import keep_freed_memory
from bertworks.model.heads import PretrainingModel
keep_freed_memory()
WORDS = 8000
config = BertConfig.from_size(size, WORDS)
rng = np.random.default_rng(0)
rows = np.concatenate([i * LENGTH + 1 + np.sort(rng.choice(LENGTH - 1, PREDICTIONS, False)) for i in range(SEQUENCES)])
batch = pack(
    rng.integers(1000, WORDS, SEQUENCES * LENGTH),
    (np.arange(SEQUENCES * LENGTH) % LENGTH >= LENGTH // 2).astype(np.int64),
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
    parser.add_argument("--neighbours", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--output", default="", help="a file for the table")
    flags = parser.parse_args()
    parts = [_heading(flags)]
    for size, shape in STEPS_OF.items():
        columns: dict[int, dict[str, list[float]]] = {}
        for count in (0, *map(int, flags.neighbours.split(","))):
            with _neighbours(count):
                rounds = [{way: _measured(way, flags.seconds, size) for way in WAYS} for _ in range(flags.rounds)]
            columns[count] = {way: [each[way] for each in rounds] for way in WAYS}
            print(size, count, columns[count], file=sys.stderr)
        layers, hidden = size.split("/")
        parts.append(f"## {layers} layers, hidden size {hidden}, {shape[1]} x {shape[0]} tokens\n\n{_table(columns)}")
    text = "\n".join(parts)
    print(text)
    if flags.output:
        Path(flags.output).write_text(text, encoding="utf-8")


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


def _measured(way: str, seconds: float, size: str) -> float:
    threads, environment = WAYS[way]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-c", STEPS, *map(str, (threads, seconds, size, *STEPS_OF[size]))]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _heading(flags: argparse.Namespace) -> str:
    return (
        "# Training beside other work\n\n"
        f"Tokens/s of training steps in float32, two threads; {processor()}, Python {platform.python_version()}, torch "
        f"{version('torch')}. Medians (least to greatest) of {flags.rounds} rounds in turns; ratios within a round. "
        f"`python -m benchmarks.busy_machine {' '.join(sys.argv[1:])}`\n"
    )


def _table(columns: dict[int, dict[str, list[float]]]) -> str:
    others = {0: "the machine is idle", 1: "beside another program"}
    titles = [others.get(count, f"beside {count} other programs") for count in columns]
    lines = ["| threads wait | " + " | ".join(f"{title} | of one thread" for title in titles) + " |"]
    lines.append("|" + "---|" * (1 + 2 * len(columns)))
    for way in WAYS:
        cells = []
        for column in columns.values():
            ratios = [a / b for a, b in zip(column[way], column["one thread"], strict=True)]
            cells += [
                f"{statistics.median(column[way]):,.0f} ({min(column[way]):,.0f} to {max(column[way]):,.0f})",
                f"{statistics.median(ratios):.2f}",
            ]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
