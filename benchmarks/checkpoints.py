"""How long a training waits for its checkpoints, and what writing them costs: one pre-training, three ways, in turns.

    bert demo --num_train_steps=1                                       # makes demo/shards and demo/bert_config.json
    python -m benchmarks.checkpoints --shards=demo/shards --bert_config_file=demo/bert_config.json

The last checkpoint, which a training ends with, does not count. "Waits" is the time between the end of a step and the
moment when training goes on: the copy, and the rest of the write before if it is still under way. Seconds are those
from the first step to the end of the last one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from bertworks import cli
from bertworks.cores import processor
from bertworks.files import write_text
from bertworks.train.loop import _Loop
from bertworks.train.step import Stepper

WAYS = {"none": (False, True), "in the background": (True, True), "at once": (True, False)}


class Measured(NamedTuple):
    """One run."""

    seconds: float
    waited: float
    saved: int
    bytes: int


def main() -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", required=True)
    parser.add_argument("--bert_config_file", required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    given, words = parser.parse_known_args()
    found: dict[str, list[Measured]] = {way: [] for way in WAYS}
    for _ in range(given.rounds):
        for way, (saves, behind) in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                found[way].append(_train(given, words, Path(folder), saves=saves, behind=behind))
    size = max(run.bytes for run in found["at once"])
    lines = [
        f"{processor()}. {given.steps} steps, a checkpoint of {size / 1e6:,.0f} MB after every {given.every}. "
        f"Medians of {given.rounds} rounds in turns. Other flags: {' '.join(words) or 'none'}.",
        "",
        "| checkpoints | written | seconds | waits | share of the time |",
        "|---|---|---|---|---|",
    ]
    for way, runs in found.items():
        seconds, waited = (statistics.median(values) for values in zip(*(run[:2] for run in runs), strict=True))
        lines.append(f"| {way} | {runs[0].saved} | {seconds:.1f} | {waited:.2f} s | {waited / seconds:.2%} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if given.output:
        write_text(given.output, text)


def _train(given: argparse.Namespace, words: list[str], folder: Path, *, saves: bool, behind: bool) -> Measured:
    flags = [
        *(f"--input_file={given.shards}", f"--bert_config_file={given.bert_config_file}", f"--output_dir={folder}"),
        *(f"--num_train_steps={given.steps}", "--num_warmup_steps=10", "--learning_rate=1e-3", "--do_train"),
        *(f"--save_checkpoints_steps={given.every if saves else 0}", f"--save_in_background={behind}"),
        "--log_every_steps=0",
    ]
    with _watched(given.steps) as watched:
        if code := cli.main(["run_pretraining", *flags, *words]):
            raise SystemExit(code)
    files = (folder / "checkpoints" / f"step-{given.steps}").iterdir()
    return Measured(watched["end"] - watched["begin"], watched["waited"], int(watched["saved"]), _bytes(files))


@contextmanager
def _watched(steps: int) -> Iterator[dict[str, float]]:
    """Note when the first step begins and the last one ends, and how long the loop was in `save` in between."""
    noted = {"waited": 0.0, "saved": 0.0}
    take, save = Stepper.take, _Loop.save

    def taking(self: Stepper, step: int, *rest: object) -> object:
        noted.setdefault("begin", time.perf_counter())
        found = take(self, step, *rest)  # type: ignore[arg-type]
        noted["end"] = time.perf_counter()
        return found

    def saving(self: _Loop, step: int) -> None:
        began = time.perf_counter()
        save(self, step)
        if step < steps:
            noted["waited"] += time.perf_counter() - began
            noted["saved"] += 1

    with mock.patch.object(Stepper, "take", taking), mock.patch.object(_Loop, "save", saving):
        yield noted


def _bytes(files: Iterator[Path]) -> int:
    return sum(file.stat().st_size for file in files)


if __name__ == "__main__":
    main()
