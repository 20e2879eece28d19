"""Weights as int8, in numbers that no processor can add up wrongly.

Processors without VNNI multiply bytes with VPMADDUBSW (AVX2, AVX-512) or PMADDUBSW (SSE): each of 16 bits is the sum of
two products of an unsigned and a signed byte, and a sum beyond 16 bits is cut off in silence. An activation is 0 to
255, so two products of weights from -128 to 127 reach 255 * 128 * 2 = 65,280, twice what 16 bits hold. With weights
from -64 to 64 they reach 32,640 at most, and 32,767 is the largest number of 16 bits: nothing is ever cut off, whatever
the instruction, and every processor computes the same whole numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST = 64


def quantized_columns(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a weight [O, K] as int8 from -64 to 64, and the scale of each output [O]."""
    return _quantized(weight, MOST)


def quantized_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a table of embeddings [V, H] as int8, and the scale of each row [V, 1]; it is in no product."""
    numbers, scale = _quantized(table, 127)
    return numbers, scale[:, None]


def _quantized(weight: NDArray[np.float32], most: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Divide each row by its scale, so that its largest number is `most`, and round."""
    scale = np.maximum(np.abs(weight).max(1) / np.float32(most), np.finfo(np.float32).tiny).astype(np.float32)
    numbers = np.rint(weight / scale[:, None]).clip(-most, most).astype(np.int8)
    return numbers, scale
