"""Pre-training instances as flat arrays, and what every source of them offers.

Shapes: T packed tokens, B instances, M masked words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Instances:
    """[CLS] a [SEP] b [SEP] instances, masked, laid end to end.

    Attributes:
        input_ids: [T] ids, with the masked words already replaced.
        segment_ids: [T] 0 up to and including the first [SEP], 1 after it.
        lengths: [B] tokens of each instance.
        rows: [M] positions in [T] of the words to predict, ascending.
        labels: [M] the words that stood there.
        is_random_next: [B] 1 where b does not follow a in its document, else 0.
    """

    input_ids: NDArray[np.int64]
    segment_ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    is_random_next: NDArray[np.int64]

    def __len__(self) -> int:
        """B, the number of instances."""
        return len(self.lengths)

    def part(self, first: int, last: int) -> Instances:
        """Instances first:last of these."""
        starts = np.concatenate([[0], np.cumsum(self.lengths)])
        token = slice(int(starts[first]), int(starts[last]))
        row = slice(*np.searchsorted(self.rows, [token.start, token.stop]).tolist())
        return Instances(
            input_ids=self.input_ids[token],
            segment_ids=self.segment_ids[token],
            lengths=self.lengths[first:last],
            rows=self.rows[row] - token.start,
            labels=self.labels[row],
            is_random_next=self.is_random_next[first:last],
        )


class Source(Protocol):
    """An endless sequence of instances: epoch after epoch, each in its own order, open at any place."""

    def instances(self, first: int, last: int) -> Instances:
        """Instances number first, ..., last - 1 of the sequence: a pure function of the numbers."""

    def identity(self) -> dict[str, object]:
        """What makes the sequence what it is (corpus, seed, lengths ...): flag name -> value, for resuming."""
