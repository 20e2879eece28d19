"""What a corpus of a trillion words and a run on 256 GPUs take: computed from figures of tables, the rest simulated.

python -m benchmarks.scale [--output=docs/scale.md]

Every number that goes in stands in `MEASURED` (with its table) or in `ASSUMED`. The seeds are fixed, so the page is the
same each time; `tests/benchmarks/test_scale.py` compares it. Nothing here was run on 256 GPUs.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

SECONDS_OF_A_DAY = 86400.0

# Figure -> (value, where it was measured).
MEASURED: dict[str, tuple[float, str]] = {
    "preparation, bytes of text per second and core": (
        26.70e6,
        "benchmarks/results/data.md: shards, one core of an AMD EPYC",
    ),
}

# Figure -> (value, why this one).
ASSUMED: dict[str, tuple[float, str]] = {
    "words": (1e12, "the question"),
    "bytes of text for a word": (6.0, "English: five letters and a blank"),
    "tokens for a word": (1.3, "English with the released vocabulary"),
    "bytes of a shard for a token": (2.1, "uint16, and the starts of sentences"),
    "cores for preparation": (1024, "16 machines of 64"),
    "GPUs": (256, "the question; 32 machines of eight"),
    "GPUs of a machine": (8, "as they are sold"),
    "parameters": (110e6, "BERT-Base"),
    "useful operations for a token": (
        6 * 86e6 + 12 * 12 * 128 * 768,
        "six for each weight of the blocks, and attention",
    ),
    "peak of a GPU, operations per second": (990e12, "its maker's figure for dense bf16"),
    "share of the peak": (0.35, "not measured on a GPU; our CPU table has 26 to 34 %"),
    "between machines, bytes per second": (50e9, "400 Gbit/s for each machine"),
    "between GPUs of a machine, bytes per second": (450e9, "its maker's figure"),
    "latency of an exchange, seconds": (20e-6, "a round of a ring on such a network"),
    "spread of a step between GPUs": (0.02, "deviation of the time that a GPU takes for its share"),
    "share of the backward pass in a step": (2 / 3, "it computes twice what the forward pass does"),
    "hours between failures of a machine": (10_000, "about 14 months; the page also has a tenth of it"),
    "minutes to come back": (5, "a machine is replaced, processes start, a checkpoint is read"),
    "passes over the corpus": (1, "the data are many"),
}


@dataclass(frozen=True)
class Training:
    """A model and the size of its steps; useful operations of a token are six for each weight, and attention."""

    name: str
    parameters: float
    weights_of_blocks: float
    layers: int
    hidden: int
    length: int
    instances: int

    @property
    def tokens(self) -> int:
        """The tokens of a step."""
        return self.instances * self.length

    @property
    def operations(self) -> float:
        """The useful operations for a token."""
        return 6 * self.weights_of_blocks + 12 * self.layers * self.length * self.hidden


BASE = Training("BERT-Base, 4,096 instances of 128", 110e6, 85e6, 12, 768, 128, 4096)
LARGE = Training("BERT-Large, 8,192 instances of 512", 335e6, 302e6, 24, 1024, 512, 8192)


def value(name: str) -> float:
    """Return a figure that was measured or assumed."""
    return (MEASURED | ASSUMED)[name][0]


@dataclass(frozen=True)
class Step:
    """Seconds of a step: computing of the mean GPU, waiting for the slowest, sums that are not hidden behind it."""

    computing: float
    waiting: float
    exchange: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.computing + self.waiting + self.exchange


def all_reduce_seconds(training: Training, gpus: int) -> float:
    """Return how long a sum of all gradients takes: in each machine first, then in a ring of machines."""
    inside = min(gpus, int(value("GPUs of a machine")))
    machines = max(1, gpus // inside)
    gradients = 4 * training.parameters
    in_machine = 2 * gradients * (inside - 1) / inside / value("between GPUs of a machine, bytes per second")
    between = 2 * gradients * (machines - 1) / machines / value("between machines, bytes per second")
    rounds = 2 * (machines - 1) + 2 * (inside - 1)
    return in_machine + between + rounds * value("latency of an exchange, seconds")


def simulated_step(training: Training, gpus: int, steps: int = 2000, seed: int = 1) -> Step:
    """Simulate steps: each GPU takes its time, and the sums begin with the backward pass of the slowest."""
    chance = random.Random(seed)
    operations = training.operations * training.tokens / gpus
    mean = operations / (value("peak of a GPU, operations per second") * value("share of the peak"))
    spread = value("spread of a step between GPUs")
    slowest = sum(max(chance.gauss(mean, mean * spread) for _ in range(gpus)) for _ in range(steps)) / steps
    hidden = mean * value("share of the backward pass in a step")
    return Step(mean, slowest - mean, max(0.0, all_reduce_seconds(training, gpus) - hidden))


@dataclass(frozen=True)
class Survived:
    """A simulated training: its days, failures, and the share of the time in which steps were taken that count."""

    days: float
    failures: int
    useful: float


def simulated_run(gpus: int, steps: int, step_seconds: float, every: int, hours: float, seed: int = 1) -> Survived:
    """Take steps until all are done; machines fail by chance, and each failure goes back to the newest checkpoint."""
    chance = random.Random(seed)
    machines = max(1, gpus // int(value("GPUs of a machine")))
    rate = machines / (hours * 3600)
    done, clock, failures = 0.0, 0.0, 0
    while True:
        until = chance.expovariate(rate)
        needed = (steps - done) * step_seconds
        if until >= needed:
            clock += needed
            return Survived(clock / SECONDS_OF_A_DAY, failures, steps * step_seconds / clock)
        clock += until + value("minutes to come back") * 60
        failures += 1
        done = (done + until / step_seconds) // every * every


def steps_of(training: Training) -> int:
    """Return the steps of a training."""
    return round(value("words") * value("tokens for a word") * value("passes over the corpus") / training.tokens)


def _speeds(training: Training) -> list[tuple[str, ...]]:
    rows, alone = [], training.tokens / simulated_step(training, 1).seconds
    for gpus in (1, 8, 64, 256, 1024):
        step, sums = simulated_step(training, gpus), all_reduce_seconds(training, gpus)
        parts = (1e3 * step.computing, 1e3 * step.waiting, 1e3 * sums, 1e3 * step.exchange)
        throughput = training.tokens / step.seconds
        days = steps_of(training) * step.seconds / SECONDS_OF_A_DAY
        shown = (f"{throughput / 1e6:,.2f}", f"{throughput / alone / gpus:.0%}", f"{days:,.1f}")
        rows.append((f"{gpus:,}", *(f"{part:,.1f}" for part in parts), *shown))
    return rows


def _failures(training: Training, gpus: int) -> list[tuple[str, ...]]:
    rows, seconds, steps = [], simulated_step(training, gpus).seconds, steps_of(training)
    usual = value("hours between failures of a machine")
    for hours in (usual, usual / 10):
        for every in (100, 1000, 10_000, 100_000):
            runs = [simulated_run(gpus, steps, seconds, every, hours, seed) for seed in range(200)]
            mean = sum(run.days for run in runs) / len(runs)
            failures = sum(run.failures for run in runs) / len(runs)
            useful = sum(run.useful for run in runs) / len(runs)
            written = steps / every * 12 * training.parameters / 1e12
            longest = max(run.days for run in runs)
            shown = (f"{failures:.2f}", f"{24 * mean:.1f}", f"{24 * longest:.1f}", f"{useful:.1%}", f"{written:,.1f}")
            rows.append((f"{hours:,.0f}", f"{every:,}", *shown))
    return rows


_TEXT = """# A trillion words and 256 GPUs, on paper

`python -m benchmarks.scale --output=docs/scale.md` wrote this page. **Nothing of it was run at this size.** One
figure was measured. The others are assumed, and stand below with their reasons. Steps and failures are simulated with
them.

## The corpus

{corpus}

`--num_shards=N --shard_index=I` shares the preparation out. Each command reads all text to find its blocks, so beyond
some tens of commands the reading decides. Then give each command files and an output folder of its own; the folders
go to `run_pretraining --input_file` with commas between.

## A step

A step has the same tokens whatever the number of GPUs. Gradients are summed in float32, first in each machine, then
over the machines; a sum is hidden behind the backward pass as far as that lasts.

{speeds}

A step of Base is too short on 256 GPUs to hide its sums. What helps is a larger batch (`--train_batch_size`) or a
larger model. `--fsdp` moves as many bytes, and hides none.

## Failures: {large}, {gpus} GPUs

The mean and the longest of 200 simulated runs. A failure sets the run back to its newest checkpoint.

{failures}

Checkpoints are written behind the training, so writing often costs disk and not time, until one takes longer than the
steps between two.

## What went in

{measured}

{assumed}
"""


def page() -> str:
    """Return docs/scale.md."""
    text = value("words") * value("bytes of text for a word")
    tokens = value("words") * value("tokens for a word")
    cores, core_seconds = value("cores for preparation"), text / value("preparation, bytes of text per second and core")
    gpus = int(value("GPUs"))
    read = LARGE.tokens * value("bytes of a shard for a token") / simulated_step(LARGE, gpus).seconds
    corpus = [
        ("text", f"{text / 1e12:,.1f} TB"),
        ("tokens", f"{tokens / 1e12:,.2f} trillion"),
        ("preparation on one core", f"{core_seconds / 3600:,.0f} hours"),
        (f"on {cores:,.0f} cores, if storage keeps up", f"{core_seconds / cores / 60:,.0f} minutes"),
        ("which storage must read", f"{text / (core_seconds / cores) / 1e9:,.0f} GB/s"),
        ("shards", f"{tokens * value('bytes of a shard for a token') / 1e12:,.2f} TB in {text / 64e6:,.0f} files"),
        (f"read while {LARGE.name} trains on {gpus} GPUs", f"{read / 1e6:,.0f} MB/s over all machines"),
    ]
    heads = ("GPUs", "computing, ms", "waiting for the slowest, ms", "sums, ms", "of them not hidden, ms")
    heads = (*heads, "million tokens/s", "of one GPU's rate", "days for one pass")
    speeds = [f"{of.name}: {steps_of(of):,} steps\n\n{_table(heads, _speeds(of))}" for of in (BASE, LARGE)]
    of_failures = ("hours between failures of a machine", "steps between checkpoints", "failures", "hours, mean")
    of_failures = (*of_failures, "hours, longest", "useful time", "TB written")
    return _TEXT.format(
        corpus=_table(("what", "amount"), corpus),
        speeds="\n\n".join(speeds),
        large=LARGE.name,
        gpus=gpus,
        failures=_table(of_failures, _failures(LARGE, gpus)),
        measured=_table(("figure", "value", "measured in"), _figures(MEASURED)),
        assumed=_table(("figure", "value", "assumed because"), _figures(ASSUMED)),
    )


def _figures(of: dict[str, tuple[float, str]]) -> list[tuple[str, ...]]:
    return [(name, f"{number:,.4g}", why) for name, (number, why) in of.items()]


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, ("---",) * len(heads), *rows))


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=None)
    found = page()
    output = parser.parse_args().output
    if output is None:
        print(found, end="")
    else:
        output.write_text(found, encoding="utf-8")


if __name__ == "__main__":
    main()
