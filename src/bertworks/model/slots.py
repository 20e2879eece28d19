"""Room for sequences in groups of equal padded length: where each row lies, and back.

Shapes: see `attention.py`; "slots" counts padding, "rows" does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.ragged import within


@dataclass(frozen=True)
class Slots:
    """Where the rows of sequences lie when each sequence has room for as many rows as the longest of its group.

    Attributes:
        row_of_slot: [slots] the row in each slot; padding repeats a row of the same sequence. None: slots are rows.
        slot_of_row: [rows] the inverse.
        padding: the slots that hold nothing real.
    """

    row_of_slot: Tensor | None
    slot_of_row: Tensor
    padding: Tensor

    @classmethod
    def of(cls, lengths: NDArray[np.int64], order: NDArray[np.int64], room: NDArray[np.int64]) -> Slots:
        """Slots for sequences taken in `order`, the i-th of them having `room[i]` slots."""
        starts = (np.cumsum(lengths) - lengths)[order]
        place = within(room)
        inside = np.minimum(place, np.repeat(np.maximum(lengths[order], 1) - 1, room))
        row = np.repeat(starts, room) + inside
        real = place < np.repeat(lengths[order], room)
        slot = np.empty(int(lengths.sum()), np.int64)
        slot[row[real]] = np.flatnonzero(real)
        plain = len(row) == len(slot) and bool((row == np.arange(len(row))).all())
        return cls(
            None if plain else torch.from_numpy(np.minimum(row, max(len(slot) - 1, 0))),
            torch.from_numpy(slot),
            torch.from_numpy(np.flatnonzero(~real)),
        )

    def spread(self, x: Tensor) -> Tensor:
        """[rows, ...] -> [slots, ...]."""
        return x if self.row_of_slot is None else x.index_select(0, self.row_of_slot)

    def spread_gradient(self, x: Tensor) -> Tensor:
        """The same with zeros in the padding."""
        return self.spread(x).index_fill_(0, self.padding, 0) if len(self.padding) else self.spread(x)

    def collect(self, x: Tensor) -> Tensor:
        """[slots, ...] -> [rows, ...], forgetting the padding."""
        return x if self.row_of_slot is None else x.index_select(0, self.slot_of_row)
