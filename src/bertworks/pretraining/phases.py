"""Phases of a training: which steps have which length, batch size, share of masks and objective.

A flag with several values, such as `--max_seq_length=128,512`, has one for each phase; a flag with one value keeps it.
`--phase_shares=0.9,0.1` says how many of the steps each phase has. So what a step trains on remains a pure function of
its number. Instances of one length are one sequence, and a phase continues where the last phase of its length ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from bertworks.errors import InputError

# The flags that may have a value for each phase.
LISTED = ("max_seq_length", "train_batch_size", "masked_lm_prob", "objective")


class PhaseFlags(Protocol):
    """The flags that phases are made of, one value or a tuple each."""

    @property
    def max_seq_length(self) -> int | tuple[int, ...]: ...  # noqa: D102
    @property
    def train_batch_size(self) -> int | tuple[int, ...]: ...  # noqa: D102
    @property
    def masked_lm_prob(self) -> float | tuple[float, ...]: ...  # noqa: D102
    @property
    def objective(self) -> str | tuple[str, ...]: ...  # noqa: D102
    @property
    def phase_shares(self) -> float | tuple[float, ...] | None: ...  # noqa: D102
    @property
    def num_train_steps(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class TrainingPhase:
    """A part of the steps.

    Attributes:
        first_step, last_step: finished steps where it begins and where it ends.
        first_instance: the number of its first instance among those of its length.
    """

    first_step: int
    last_step: int
    first_instance: int
    max_seq_length: int
    train_batch_size: int
    masked_lm_prob: float
    objective: str


def phases_of(flags: PhaseFlags) -> tuple[TrainingPhase, ...]:
    """Return the phases of a training, in order.

    Raises:
        InputError: lists differ in length, shares are missing or do not sum to 1, or a phase has no step.
    """
    lists = {name: value for name in LISTED if isinstance(value := getattr(flags, name), tuple)}
    count = _common_length(lists)
    borders = _borders(flags.phase_shares, count, flags.num_train_steps, lists)
    found: list[TrainingPhase] = []
    used: dict[int, int] = {}
    for number, (first, last) in enumerate(pairwise(borders)):
        values: dict[str, Any] = {
            name: lists[name][number] if name in lists else getattr(flags, name) for name in LISTED
        }
        length = values["max_seq_length"]
        found.append(TrainingPhase(first, last, used.get(length, 0), **values))
        used[length] = used.get(length, 0) + (last - first) * values["train_batch_size"]
    return tuple(found)


def _common_length(lists: dict[str, tuple[Any, ...]]) -> int:
    counts = {name: len(values) for name, values in lists.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"--{name} has {count}" for name, count in counts.items())
        raise InputError(f"{said}: lists of phases must be equally long; repeat a value that stays")
    return next(iter(counts.values()), 1)


def _borders(
    shares: float | tuple[float, ...] | None, count: int, steps: int, lists: dict[str, tuple[Any, ...]]
) -> Sequence[int]:
    """Return the first step of each phase, and the number of steps."""
    if count == 1:
        if shares not in (None, 1):
            raise InputError(f"--phase_shares={_shown(shares)}: no flag has a value for each phase")
        return 0, steps
    if shares is None:
        raise InputError(f"--{next(iter(lists))}: give --phase_shares too, the share of the steps for each of {count}")
    given = shares if isinstance(shares, tuple) else (shares,)
    if len(given) != count or abs(sum(given) - 1) > 1e-6:
        raise InputError(f"--phase_shares={_shown(given)}: give {count} shares whose sum is 1")
    borders = [round(steps * sum(given[:number])) for number in range(count)] + [steps]
    empty = next((number for number in range(count) if borders[number] >= borders[number + 1]), None)
    if empty is not None:
        raise InputError(f"--phase_shares={_shown(given)}: phase {empty + 1} of {count} has none of {steps} steps")
    return borders


def _shown(shares: Any) -> str:
    return ",".join(f"{share:g}" for share in (shares if isinstance(shares, tuple) else (shares,)))


def described(phases: Sequence[TrainingPhase]) -> list[str]:
    """Return a line for each phase, for a person; none where there is one phase."""
    if len(phases) == 1:
        return []
    return [
        f"phase {number}, steps {phase.first_step:,} to {phase.last_step:,}: length {phase.max_seq_length}, "
        f"{phase.train_batch_size} instances a step, "
        + ("each word from those before it" if phase.objective == "causal_lm" else f"{phase.masked_lm_prob:.0%} masked")
        for number, phase in enumerate(phases, 1)
    ]
