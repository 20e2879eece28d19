"""Which examples a process trains on in a step, cut into micro-batches: the same for every fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from bertworks.data.batch import cut_by_tokens
from bertworks.data.sequences import shuffled
from bertworks.data.stream import rows_of_step
from bertworks.task import Cut


def micro_batches(
    count: int,
    lengths: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    *,
    batch_size: int,
    seed: int,
    step: int,
    cut: Cut,
) -> Iterator[tuple[NDArray[np.int64], int]]:
    """This process's share of a step, in micro-batches of at most the cut's tokens; one empty one if it has none.

    Args:
        count: how many examples there are; their order is `shuffled`.
        lengths: from the numbers of examples to the tokens of each.
        batch_size: examples of a step, over all processes.
        seed: of the order.
        step, cut: as the loop gives them.

    Yields:
        the examples of a micro-batch, and the place of its first one in the step, which is its dropout key.
    """
    first, last = rows_of_step(step, cut.rank, cut.world, batch_size)
    chosen = shuffled(seed, count, first, last)
    for part in cut_by_tokens(lengths(chosen), cut.token_budget) or [slice(0, 0)]:
        yield chosen[part], first - step * batch_size + part.start
