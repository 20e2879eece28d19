"""Kill real trainings at every moment, continue them, compare the ends, and write what happened to docs/survival.md.

python -m tests.soak.kill_matrix [--kills=100] [--output=docs/survival.md]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.commands.runs import make_shards, metrics
from tests.soak.survival_page import page
from tests.soak.victim import MOMENTS, OF_MAIN, hit, words
from tests.together import bert, ended, forked

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGKILL)

# How many processes, and whether they share out the optimizer's states.
MODES = ("1", "2", "2+fsdp")
CHANGES = ("1 to 2", "2 to 1", "2 to 3", "3 to 2", "2 to 4", "4 to 1", "1 to 2+fsdp", "2+fsdp to 1")
CHANGES = (*CHANGES, "2 to 2+fsdp", "2+fsdp to 2", "4+fsdp to 2")

# What several processes may differ by from one, in a loss or a weight.
TOLERANCE = 1e-4


def processes_of(mode: str) -> int:
    return int(mode.partition("+")[0])


def words_of(mode: str, shards: Path, output: Path, steps: int = 12) -> list[str]:
    return [*words(shards, output, steps), *(["--fsdp"] if "fsdp" in mode else [])]


def finished(shards: Path, output: Path, mode: str, steps: int = 12) -> None:
    """Run to the end."""
    size = processes_of(mode)
    codes = ended(forked(size, bert, log_folder(output), words_of(mode, shards, output, steps)), 600)
    if codes != [0] * size:
        raise SystemExit(f"{output}: ended with {codes}: {errors(output)}")


def log_folder(output: Path) -> Path:
    folder = output.with_name(f"{output.name}-log")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def errors(output: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(log_folder(output).glob("err-*")))


def same(one: Path, other: Path, tolerance: float = 0.0) -> str:
    """Return what differs between the ends of two runs; "" if nothing does."""
    if left := [path.name for path in other.rglob("*") if path.name.endswith((".partial", ".replaced"))]:
        return f"leaves {left[0]}"
    mine, theirs = (load_file(folder / "model.safetensors") for folder in (one, other))
    for name, tensor in mine.items():
        if not torch.allclose(tensor, theirs[name], rtol=0, atol=tolerance):
            return f"{name} differs by {float((tensor - theirs[name]).abs().max()):.1e}"
    if tolerance == 0.0 and metrics(one) != metrics(other):
        return "metrics.jsonl differs"
    if (one / "eval_results.txt").read_text() != (other / "eval_results.txt").read_text() and tolerance == 0.0:
        return "eval_results.txt differs"
    return ""


def newest_step(output: Path) -> int:
    return max((int(path.name[5:]) for path in (output / "checkpoints").glob("step-*")), default=0)


def matrix(shards: Path, folder: Path, whole: dict[str, Path]) -> dict[str, str]:
    """Signal, moment and processes -> the exit codes of a run whose end was the same."""
    found = {}
    for mode in MODES:
        size = processes_of(mode)
        for moment in MOMENTS:
            for number in SIGNALS:
                output = folder / f"{moment}-{number.name}-{mode}"
                of_rank = 0 if moment in OF_MAIN else size - 1
                log = log_folder(output)
                began = time.monotonic()
                command = words_of(mode, shards, output)
                codes = ended(forked(size, hit, moment, int(number), of_rank, log, command), 600)
                if not (log / "hit").exists():
                    raise SystemExit(f"{output}: the moment never came: {codes} {errors(output)}")
                finished(shards, output, mode)
                difference = same(whole[mode], output)
                found[f"{number.name} {moment} {mode}"] = " and ".join(map(str, codes))
                took = time.monotonic() - began
                print(
                    f"{number.name} at {moment}, {mode}: {codes} {difference} {took:.0f} s", file=sys.stderr, flush=True
                )
                if difference:
                    raise SystemExit(f"{output}: {difference}")
    return found


def random_kills(shards: Path, folder: Path, kills: int, steps: int, seed: int) -> Counter[str]:
    """Kill one or both of two processes at random moments until so many kills are done; then let them end."""
    whole, output, chance, counts = folder / "whole-long", folder / "random", random.Random(seed), Counter[str]()
    finished(shards, whole, "2", steps)
    while counts["kills"] < kills:
        # A process that was killed before it met the other one is waited for.
        command = [*words(shards, output, steps), "--process_timeout=30"]
        processes = forked(2, bert, log_folder(output), command)
        # Most of the time work is killed, sometimes the start.
        deadline, reached = time.monotonic() + 60, newest_step(output)
        waits = chance.random() < 0.8
        while waits and time.monotonic() < deadline and newest_step(output) == reached:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1.5))
        victims = chance.choice([[0], [1], [0, 1]])
        if any(process.is_alive() for process in processes):
            for rank in victims:
                processes[rank].kill()
            counts["kills"] += 1
            counts[f"of {' and '.join(map(str, victims))}"] += 1
        codes = ended(processes, 600)
        before = counts["steps"]
        counts["steps"] = newest_step(output)
        if counts["steps"] < before:
            raise SystemExit(f"a kill went back from step {before} to {counts['steps']}")
        print(f"kill {counts['kills']}: {codes}, step {counts['steps']}", file=sys.stderr, flush=True)
        if codes == [0, 0]:
            counts["whole runs"] += 1
            if difference := same(whole, output):
                raise SystemExit(f"after {counts['kills']} kills: {difference}")
            output = output.with_name(f"random-{counts['whole runs']}")
            counts["steps"] = 0
    finished(shards, output, "2", steps)
    if difference := same(whole, output):
        raise SystemExit(f"after {counts['kills']} kills: {difference}")
    counts["whole runs"] += 1
    return counts


def other_sizes(shards: Path, folder: Path, whole: dict[str, Path]) -> dict[str, str]:
    """Stop a run of some processes and continue it with others; compare with the run of one."""
    found = {}
    for change in CHANGES:
        first, second = change.split(" to ")
        output = folder / f"from {change}"
        log, size = log_folder(output), processes_of(first)
        ended(forked(size, hit, "step", int(signal.SIGTERM), 0, log, words_of(first, shards, output)), 600)
        finished(shards, output, second)
        difference = same(whole["1"], output, TOLERANCE)
        if difference:
            raise SystemExit(f"{output}: {difference}")
        found[change] = f"within {TOLERANCE:g}"
        print(f"{change}: {found[change]}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path("docs/survival.md"))
    parser.add_argument("--results", type=Path, help="keep results here, and take those that are there")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = make_shards(folder / "shards")
        whole = {mode: folder / f"whole-{mode}" for mode in MODES}
        for mode, output in whole.items():
            finished(shards, output, mode)
        parts = {
            "matrix": lambda: matrix(shards, folder, whole),
            "sizes": lambda: other_sizes(shards, folder, whole),
            "kills": lambda: {**random_kills(shards, folder, flags.kills, flags.steps, flags.seed), "of": flags.steps},
        }
        results = json.loads(flags.results.read_text()) if flags.results and flags.results.exists() else {}
        for part, run in parts.items():
            results[part] = results.get(part) or run()
            if flags.results:
                flags.results.write_text(json.dumps(results, indent=1))
    flags.output.write_text(page(results["matrix"], results["sizes"], results["kills"], TOLERANCE), encoding="utf-8")


if __name__ == "__main__":
    main()
