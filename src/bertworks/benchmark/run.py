"""From flags to a report: the contests of a kind of benchmark, measured one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bertworks.benchmark import choices, inputs, lambda_labs, machine, nvidia
from bertworks.benchmark.contest import OURS, Absent, Contest, Contestant, take_turns
from bertworks.benchmark.flags import BenchmarkFlags
from bertworks.benchmark.plans import plan
from bertworks.benchmark.results import BenchmarkReport, Entry, compared, entries_of
from bertworks.benchmark.surroundings import Surroundings
from bertworks.errors import InputError
from bertworks.progress import progress, say


def run(flags: BenchmarkFlags, words: Sequence[str]) -> Iterator[BenchmarkReport]:
    """Measure; yield what was found so far after each contest, the whole at last. `words` are the command line."""
    choices.check(flags)
    with tempfile.TemporaryDirectory(prefix="bert-benchmark-") as temporary:
        around = Surroundings.of(flags, Path(temporary))
        about, contests = {"lambda": lambda_labs.plan, "nvidia": nvidia.plan}.get(flags.like or "", plan)(around)
        # Described once, so that all files of a run have the same date.
        here = machine.describe_machine(words, around.threads, inputs.device_name(around.device))
        entries: list[Entry] = []
        for number, contest in enumerate(contests, 1):
            entries += measure(contest, around.rounds, f"Starting {number} of {len(contests)}")
            yield report_of(around, about, entries, here)


def report_of(
    around: Surroundings, about: Sequence[str], entries: Sequence[Entry], here: machine.Machine
) -> BenchmarkReport:
    """Return what was found, with what is to be known of the machine and the run."""
    flags = around.flags
    return BenchmarkReport(
        kind=flags.what,
        title=choices.KINDS[flags.what].title,
        about=(*about, *_reading(around)),
        machine=here,
        rounds=around.rounds,
        power=around.meter.about(),
        price=flags.price,
        entries=tuple(entries),
    )


def measure(contest: Contest, rounds: int, starting: str) -> list[Entry]:
    """Start the contestants of a contest, let them take turns, and end them; `starting` is what the bar says first."""
    with ExitStack() as running:
        started: list[Contestant | Absent] = []
        with progress(starting, len(contest.entrants), "contestants") as advance:
            for one in contest.entrants:
                started.append(running.enter_context(one))
                _check_ours(started)
                advance(1)
        found = compared(started, contest.difference)
        for line in dict.fromkeys(f"{one.name}: {one.reason}" for one, _ in found if isinstance(one, Absent)):
            say(line)
        present = [one for one, _ in found if isinstance(one, Contestant)]
        with progress(contest.name, len(present) * (rounds + 1), "turns") as advance:
            turns = take_turns(present, rounds, contest.passes, advance=lambda: advance(1))
    return entries_of(contest, found, turns)


def _check_ours(started: Sequence[Contestant | Absent]) -> None:
    """Raise InputError if this package did not start in the way with which others are compared, the first."""
    *before, last = started
    is_first = all((one.name, one.precision) != (OURS, last.precision) for one in before)
    if isinstance(last, Absent) and last.name == OURS and is_first:
        raise InputError(f"{last.name} in {last.precision}: {last.reason}")


def _reading(around: Surroundings) -> Iterator[str]:
    """Yield how the figures are to be read."""
    yield (
        f"Contestants have a process each and take turns, {around.rounds} rounds after one that is not counted; "
        "figures are medians of the rounds. Ratios are within a round: the median (least to greatest), against ours in "
        "the same precision; above 1 ours is faster."
    )
    if around.flags.what in ("train", "finetune", "encode"):
        yield (
            "Share of peak: the operations that the result needs, without padding, against the best matrix product of "
            "the network's shape, measured in the same process right before."
        )
