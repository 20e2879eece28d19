"""Operations, against the formulas that the field uses."""

from __future__ import annotations

import numpy as np
import pytest

from bertworks.benchmark.operations import forward_operations, training_operations
from bertworks.config import BertConfig

BASE = BertConfig.from_size("base", 30522)


def test_base_at_128_tokens() -> None:
    """24 L H^2 in the layers and 4 L H S in attention for each token; the masked-word head on 15 % of them."""
    lengths = np.full(10, 128)
    layers, attention = 24 * 12 * 768**2, 4 * 12 * 768 * 128
    assert forward_operations(BASE, lengths) == pytest.approx(1280 * (layers + attention))
    head = 2 * 768 * (768 + 30522)
    assert training_operations(BASE, lengths, 192) == pytest.approx(3 * (1280 * (layers + attention) + 192 * head))


def test_only_real_tokens_attend() -> None:
    apart, together = forward_operations(BASE, np.array([64, 64])), forward_operations(BASE, np.array([128]))
    assert together - apart == pytest.approx(4 * 12 * 768 * (128**2 - 2 * 64**2))
