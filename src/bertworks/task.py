"""`Task`: what the training loop asks of pre-training and of every fine-tuning; each is a value of this type.

A *task known by name*, such as MRPC, is something else: a table of `datasets/tasks.toml`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from bertworks.data.batch import PackedBatch, cut_by_tokens
from bertworks.data.sequences import shuffled


@dataclass(frozen=True)
class Partition:
    """How a step is divided: over `world` processes, of which this is number `rank`, and into micro-batches.

    Attributes:
        token_budget: the most tokens of a micro-batch, unless one sequence has more.
    """

    rank: int = 0
    world: int = 1
    token_budget: int = 1 << 30

    def rows(self, step: int, batch_size: int) -> tuple[int, int]:
        """Return (first, last) of the examples that this process takes in a step: one of `world` equal runs."""
        begin = step * batch_size
        return begin + batch_size * self.rank // self.world, begin + batch_size * (self.rank + 1) // self.world

    def by_tokens(self, lengths: NDArray[np.int64]) -> slice:
        """Return which examples of a step this process takes: one of `world` runs with about as many tokens each."""
        ends = np.cumsum(lengths)
        middles, total = ends - lengths / 2, ends[-1] if len(ends) else 0
        first, last = np.searchsorted(middles, [total * self.rank / self.world, total * (self.rank + 1) / self.world])
        return slice(int(first), int(last))


@dataclass(frozen=True)
class Task:
    """Pre-training or a fine-tuning: four functions and the names of its losses. The loop knows nothing else about it.

    Losses and metrics are named sums over predictions. The loss of a step is the sum over `losses` of
    weight * sum / (count + offset), where the count is that of the whole step, over all micro-batches and processes. So
    every partition of a step gives the same gradient.

    Attributes:
        batches: (step, partition) -> the micro-batches of this process in this step, on the host. `step` counts
            finished optimizer steps, from 0. A pure function: the result depends on the arguments only.
        counts: batch -> the number of predictions of each term, on the host, before any forward pass.
        sums: (model, batch, dropout key or None) -> the sum of each term over the batch, a scalar on the device. Terms
            that are not in `losses` are metrics: they are only reported.
        evaluate: model -> results by name, for the report and `eval_results.txt`. Every process runs it, takes its
            share of the work (`processes.py`), and gets all results.
        losses: the terms to train on, each with the offset of its divisor (the original's masked-word loss divides by
            count + 1e-5). A step without one of them, which `counts` does not name, trains on the others.
        weights: of those losses that do not have the weight 1 in the loss of a step; each is reported without it.
    """

    batches: Callable[[int, Partition], Sequence[PackedBatch]]
    counts: Callable[[PackedBatch], Mapping[str, float]]
    sums: Callable[[nn.Module, PackedBatch, int | None], Mapping[str, Tensor]]
    evaluate: Callable[[nn.Module], Mapping[str, float]]
    losses: Mapping[str, float]
    weights: Mapping[str, float] = field(default_factory=dict)


class TrainingExamples(Protocol):
    """What a fine-tuning trains on: a data set that is tokenized."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def tokens_of(self, examples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of tokens of each of these examples."""

    def packed(self, examples: NDArray[np.int64], first_key: int) -> PackedBatch:
        """Pack these examples; `first_key` is the position of the first one in the step, its dropout key."""


def micro_batches(
    train: TrainingExamples | None, batch_size: int, seed: int, step: int, partition: Partition
) -> list[PackedBatch]:
    """Return this process's share of a fine-tuning step, in micro-batches; without a share there is an empty one.

    Args:
        train: in the order of `shuffled`; None where nothing is trained, and no step is taken.
        batch_size: examples of a step, over all processes.
    """
    assert train is not None
    chosen = shuffled(seed, len(train), step * batch_size, (step + 1) * batch_size)
    lengths = train.tokens_of(chosen)
    own = partition.by_tokens(lengths)
    parts = cut_by_tokens(lengths[own], partition.token_budget) or [slice(0, 0)]
    return [train.packed(chosen[own][part], own.start + part.start) for part in parts]
