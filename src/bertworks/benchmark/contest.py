"""The loop that measures: contestants do the same work in turns, round after round.

Whatever slows the machine for a while meets all of them, so figures are compared within a round only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError

# What a pass's time is: of the clock on the wall, or of the processor, which neighbours do not lengthen.
Clock = Literal["wall", "processor"]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one contestant did in one round.

    Attributes:
        seconds: of each pass over the work.
        peak: operations a second of the best matrix product, measured in the same process right before; None if it
            could not be.
        memory: the most bytes that the process had so far; on a GPU those of its tensors in this turn.
        watts: the mean power of the machine's processors, or of the GPU; None if the machine does not tell.
        value: what the work gave to report: the loss.
        latencies: the seconds of each request of the last pass, where a pass has requests.
    """

    seconds: tuple[float, ...]
    peak: float | None = None
    memory: int = 0
    watts: float | None = None
    value: float | None = None
    latencies: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A contestant that cannot take part, and why: it stands in the table all the same."""

    name: str
    settings: str
    precision: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A library with its settings, ready to work on a contest's inputs.

    Attributes:
        name: of the library.
        version: of the library.
        settings: in a few words.
        precision: what it computes in.
        turn: does one measured turn of this many passes.
        answers: gives what the work results in, to be compared with ours.
        padded_tokens: what it computes in a pass, padding included; 0 if that is not known.
    """

    name: str
    version: str
    settings: str
    precision: str
    turn: Callable[[int], Turn]
    answers: Callable[[], NDArray[Any]]
    padded_tokens: int = 0

    @property
    def is_ours(self) -> bool:
        """Whether it is this package."""
        return self.name == OURS

    def absent(self, error: InputError) -> Absent:
        """Return what stands in the table when it failed."""
        return Absent(name=self.name, settings=self.settings, precision=self.precision, reason=str(error))


def largest_difference(answers: NDArray[Any], ours: NDArray[Any]) -> float:
    """Return the largest difference; infinity for another number of answers, or for one that is no number."""
    if answers.shape != ours.shape or np.isnan(answers).any():
        return math.inf
    return float(np.abs(answers - ours).max(initial=0.0))


def unlike(answers: NDArray[Any], ours: NDArray[Any]) -> float:
    """Return how many answers are not equal; infinity for another number of answers."""
    return float((answers != ours).sum()) if answers.shape == ours.shape else math.inf


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Work for several contestants, and its amount in one pass.

    Attributes:
        name: what is worked on, as the table shows it.
        entrants: contestants to be started, in the order of the table; ours come first.
        passes: passes of a turn.
        clock: whose seconds count.
        sequences, tokens: of the inputs, without padding.
        operations: floating-point operations that the result needs; 0 if they are not counted.
        megabytes: of text.
        model: the size of the model, or its name.
        longest: the most tokens of a sequence.
        difference: of a peer's answers from ours.
    """

    name: str
    entrants: Sequence[AbstractContextManager[Contestant | Absent]] = field(repr=False, default=())
    passes: int = 1
    clock: Clock = "wall"
    sequences: int = 0
    tokens: int = 0
    operations: float = 0.0
    megabytes: float = 0.0
    model: str = ""
    longest: int = 0
    difference: Callable[[NDArray[Any], NDArray[Any]], float] = largest_difference


OURS = "bertworks"


def take_turns(
    contestants: Sequence[Contestant],
    rounds: int,
    passes: int,
    *,
    warm_up: int = 1,
    advance: Callable[[], object] = lambda: None,
) -> list[list[Turn] | Absent]:
    """Measure contestants in turns; return the turns of each, or why it failed.

    Every round begins with another contestant, so that none always has the same place. A peer that fails takes no more
    turns, and the others go on.

    Args:
        contestants: who is measured.
        rounds: measured rounds.
        passes: passes of a turn.
        warm_up: rounds before these that are not kept.
        advance: called after each turn.

    Raises:
        InputError: ours failed.
    """
    turns: list[list[Turn]] = [[] for _ in contestants]
    failures: dict[int, Absent] = {}
    for number in range(-warm_up, rounds):
        for place in range(len(contestants)):
            which = (place + number) % len(contestants)
            if which not in failures:
                try:
                    turn = contestants[which].turn(passes if number >= 0 else 1)
                    turns[which] += [turn] if number >= 0 else []
                except InputError as error:
                    if contestants[which].is_ours:
                        raise
                    failures[which] = contestants[which].absent(error)
            advance()
    return [failures.get(which, found) for which, found in enumerate(turns)]
