"""The floating-point operations that a result needs, a multiplication and an addition counting as two.

Padding, recomputation and predictions of words that are not masked are not needed; the last block counts in full.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bertworks.config import BertConfig

# A backward pass has two products for each one of the forward pass.
_TRAINING = 3


def forward_operations(config: BertConfig, lengths: NDArray[np.int64], masked: int = 0) -> float:
    """Return the operations of a forward pass over sequences, and of the head on `masked` words."""
    h, i, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    linear = 2 * layers * (4 * h * h + 2 * h * i) * float(lengths.sum())
    attention = 4 * layers * h * float((lengths.astype(np.float64) ** 2).sum())
    head = 2 * masked * float(h * h + h * config.vocab_size)
    return linear + attention + head


def training_operations(config: BertConfig, lengths: NDArray[np.int64], masked: int = 0) -> float:
    """Return the operations of a step of training."""
    return _TRAINING * forward_operations(config, lengths, masked)
