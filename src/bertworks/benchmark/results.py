"""What a benchmark found: an entry for each contestant of each contest, and what follows from its turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.benchmark.contest import OURS, Absent, Contest, Contestant, Turn, largest_difference
from bertworks.benchmark.machine import Machine
from bertworks.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times as fast ours is: the median of the rounds, the least and the greatest."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the table: a contestant, its turns, and the amount of the work of a pass.

    Attributes:
        contest: the name of the work.
        padded_tokens: computed in a pass; 0 if that is not known.
        model: its size or name.
        longest: the most tokens of a sequence.
        difference: the largest difference of its answers from ours; None if they were not compared.
        missing: why it did not take part; its turns are empty then.
    """

    contest: str
    name: str
    version: str = ""
    settings: str = ""
    precision: str = ""
    turns: tuple[Turn, ...] = ()
    sequences: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    operations: float = 0.0
    megabytes: float = 0.0
    model: str = ""
    longest: int = 0
    difference: float | None = None
    missing: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether it is this package."""
        return self.name == OURS

    @property
    def rounds(self) -> list[float]:
        """The seconds of a pass in each round: the median of its passes."""
        return [median(turn.seconds) for turn in self.turns]

    @property
    def passes(self) -> list[float]:
        """The seconds of every pass of every round."""
        return [seconds for turn in self.turns for seconds in turn.seconds]

    @property
    def seconds(self) -> float:
        """The seconds of a pass: the median of the rounds."""
        return median(self.rounds)

    @property
    def share(self) -> float | None:
        """The share of the matrix-product peak that the needed operations are, measured in the same process."""
        shares = [
            self.operations / median(turn.seconds) / turn.peak for turn in self.turns if turn.peak and self.operations
        ]
        return median(shares) if shares else None

    @property
    def peak(self) -> float | None:
        """The best matrix product's operations a second, the median of the rounds."""
        peaks = [turn.peak for turn in self.turns if turn.peak]
        return median(peaks) if peaks else None

    @property
    def watts(self) -> float | None:
        """The mean power."""
        powers = [turn.watts for turn in self.turns if turn.watts is not None]
        return fmean(powers) if powers else None

    @property
    def memory(self) -> int:
        """The most bytes."""
        return max((turn.memory for turn in self.turns), default=0)

    def percentile(self, percent: float) -> float:
        """Return the seconds that so many percent of the requests, or else of the passes, did not exceed."""
        requests = [seconds for turn in self.turns for seconds in turn.latencies]
        return float(np.percentile(requests or self.passes, percent))

    def price(self, an_hour: float) -> float | None:
        """Return the price of a million real tokens."""
        return an_hour / 3600 * self.seconds / self.tokens * 1e6 if self.tokens else None


@dataclass(frozen=True, kw_only=True)
class BenchmarkReport:
    """All entries, and where they were measured.

    Attributes:
        kind: train, finetune, encode, latency, serve, tokenize or data.
        about: sentences that say what was measured.
        power: what the watts are of.
        price: of an hour; None if it was not given.
    """

    kind: str
    title: str
    about: tuple[str, ...]
    machine: Machine
    rounds: int
    power: str
    price: float | None = None
    entries: tuple[Entry, ...] = field(default=())

    def ours(self, entry: Entry) -> Entry | None:
        """Return our entry that an entry is compared with: the first of its contest in its precision."""
        for one in self.entries:
            if one.is_ours and not one.missing and (one.contest, one.precision) == (entry.contest, entry.precision):
                return one
        return None

    def ratio(self, entry: Entry) -> Ratio | None:
        """Return how many times as fast ours is, round by round; None for ours, or without ours in this precision."""
        ours = self.ours(entry)
        if ours is None or entry.is_ours or not entry.turns:
            return None
        ratios = [theirs / mine for theirs, mine in zip(entry.rounds, ours.rounds, strict=True)]
        return Ratio(median=median(ratios), least=min(ratios), greatest=max(ratios))

    def contests(self) -> dict[str, list[Entry]]:
        """Return the entries of each contest, in order."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.contest, []).append(entry)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return everything, with what follows from the turns."""
        values = asdict(self)
        for entry, found in zip(self.entries, values["entries"], strict=True):
            if entry.difference == math.inf:
                found["difference"] = "other answers"  # JSON has no infinity
            if entry.turns:
                ratio = self.ratio(entry)
                found["seconds_of_a_pass"] = entry.seconds
                found["tokens_per_second"] = entry.tokens / entry.seconds or None
                found["sequences_per_second"] = entry.sequences / entry.seconds or None
                found["share_of_peak"] = entry.share
                found["times_as_fast_is_ours"] = None if ratio is None else asdict(ratio)
        return values


Compared = tuple[Contestant | Absent, float | None]


def compared(
    started: Sequence[Contestant | Absent],
    difference: Callable[[NDArray[Any], NDArray[Any]], float] = largest_difference,
) -> list[Compared]:
    """Return each contestant and how much its answers differ from ours; None if they are not compared.

    They are compared with ours in the same precision, or in float32 if we do not compute in it. Ours must come before.
    A peer without answers is absent. Training changes the answers, so this comes before the turns.
    """
    reference: dict[str, NDArray[Any]] = {}
    found: list[Compared] = []
    for one in started:
        if isinstance(one, Absent):
            found.append((one, None))
            continue
        try:
            answers = one.answers()
        except InputError as error:
            if one.is_ours:
                raise
            found.append((one.absent(error), None))
            continue
        ours = reference.get(one.precision, None if one.is_ours else reference.get("fp32"))
        found.append((one, None if ours is None else difference(answers, ours)))
        if one.is_ours:
            reference.setdefault(one.precision, answers)
    return found


def entries_of(contest: Contest, found: Sequence[Compared], turns: Sequence[Sequence[Turn] | Absent]) -> list[Entry]:
    """Return the entries of a contest.

    Args:
        contest: the work.
        found: all who were to take part, and how much their answers differ.
        turns: of those of them that could.
    """
    entries: list[Entry] = []
    rest = iter(turns)
    for one, difference in found:
        entry = Entry(
            contest=contest.name,
            model=contest.model,
            longest=contest.longest,
            name=one.name,
            settings=one.settings,
            precision=one.precision,
        )
        measured = one if isinstance(one, Absent) else next(rest)
        if isinstance(measured, Absent):
            # A library that is not there is told once, not for each of its settings.
            if not any((e.name, e.missing) == (one.name, measured.reason) for e in entries):
                entries.append(replace(entry, missing=measured.reason))
            continue
        assert isinstance(one, Contestant)
        entries.append(
            replace(
                entry,
                version=one.version,
                turns=tuple(measured),
                sequences=contest.sequences,
                tokens=contest.tokens,
                padded_tokens=one.padded_tokens,
                operations=contest.operations,
                megabytes=contest.megabytes,
                difference=difference,
            )
        )
    return entries
