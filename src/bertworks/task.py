"""What the training loop asks of a task. Pre-training and every fine-tuning are values of this one type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from bertworks.data.batch import PackedBatch


@dataclass(frozen=True)
class Cut:
    """How much of a step one process trains on, and in what portions.

    Attributes:
        rank, world: this process among how many.
        token_budget: the most tokens of a micro-batch.
    """

    rank: int = 0
    world: int = 1
    token_budget: int = 1 << 30


@dataclass(frozen=True)
class Task:
    """A job as four functions; the loop knows nothing else of it.

    Losses and metrics are named sums over predictions. A step's loss is the sum over `losses` of
    sum / (count + offset), where the count is that of the whole step over all micro-batches and processes; so any cut
    of a step into micro-batches gives the same gradient.

    Attributes:
        batches: (step, cut) -> the micro-batches of this process in this step, on the host. `step` counts finished
            optimizer steps, from 0. A pure function: the same for the same arguments, in any order.
        counts: batch -> how many predictions each term of it has, on the host, before any forward pass.
        sums: (model, batch, dropout key or None) -> each term's sum over the batch, as a scalar on the device. The
            terms that are not in `losses` are metrics: only reported.
        evaluate: model -> results by name, for the report and `eval_results.txt`. Runs in every process.
        losses: the terms that are trained on, each with the offset of its divisor (the original's masked-word loss
            divides by count + 1e-5).
    """

    batches: Callable[[int, Cut], Sequence[PackedBatch]]
    counts: Callable[[PackedBatch], Mapping[str, float]]
    sums: Callable[[nn.Module, PackedBatch, int | None], Mapping[str, Tensor]]
    evaluate: Callable[[nn.Module], Mapping[str, float]]
    losses: Mapping[str, float]
