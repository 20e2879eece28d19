"""Rows of sequences, copied so that all sequences of a group have the same padded length, and back.

Shapes: R rows; P padded rows, which are rows and padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks import ragged


@dataclass(frozen=True)
class PaddedGroups:
    """Where each row goes when sequences are padded and sorted into groups.

    Attributes:
        row_of_padded: [P] the row that each padded row copies; padding copies a row of the same sequence. None where
            nothing is padded or moved.
        padded_of_row: [R] the inverse.
        padding: the padded rows that are padding.
    """

    row_of_padded: Tensor | None
    padded_of_row: Tensor
    padding: Tensor

    @classmethod
    def of(cls, lengths: NDArray[np.int64], order: NDArray[np.int64], padded: NDArray[np.int64]) -> PaddedGroups:
        """Take sequences of `lengths` in `order`, and pad the i-th of these to length `padded[i]`."""
        first, own = ragged.starts(lengths)[order], lengths[order]
        row = ragged.runs(first, padded)
        real = row < np.repeat(first + own, padded)
        row = np.minimum(row, np.repeat(first + np.maximum(own, 1) - 1, padded))
        padded_of_row = np.empty(int(lengths.sum()), np.int64)
        padded_of_row[row[real]] = np.flatnonzero(real)
        unchanged = len(row) == len(padded_of_row) and bool((row == np.arange(len(row))).all())
        return cls(
            None if unchanged else torch.from_numpy(np.minimum(row, max(len(padded_of_row) - 1, 0))),
            torch.from_numpy(padded_of_row),
            torch.from_numpy(np.flatnonzero(~real)),
        )

    def pad(self, x: Tensor) -> Tensor:
        """Map [R, ...] to [P, ...], with copies of rows as padding."""
        return x if self.row_of_padded is None else x.index_select(0, self.row_of_padded)

    def pad_with_zeros(self, x: Tensor) -> Tensor:
        """Map [R, ...] to [P, ...], with zeros as padding."""
        return self.pad(x).index_fill_(0, self.padding, 0) if len(self.padding) else self.pad(x)

    def unpad(self, x: Tensor) -> Tensor:
        """Map [P, ...] to [R, ...]."""
        return x if self.row_of_padded is None else x.index_select(0, self.padded_of_row)


# Rows of groups without padding.
UNMOVED = PaddedGroups(None, torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
