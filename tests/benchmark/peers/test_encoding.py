"""Texts in padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bertworks.benchmark.peers.encoding import PaddedEncoder, fastest, one_after_the_other, setting_name
from bertworks.benchmark.peers.inputs import Ids, padded
from bertworks.benchmark.peers.order import Order

TEXTS = ["a", "bbbb", "cc", "ddd", "eeeee"]


def tokenize(texts: Sequence[str]) -> list[list[int]]:
    return [[ord(letter) for letter in text] for text in texts]


def encoder(batch_size: int, by_length: bool, shapes: list[tuple[int, int]]) -> PaddedEncoder:
    def run(ids: Ids, mask: Ids) -> np.ndarray:
        shapes.append(ids.shape)
        assert ((ids > 0) == (mask == 1)).all()
        return np.stack([ids.sum(1), mask.sum(1)], 1).astype(float)

    return PaddedEncoder(tokenize, one_after_the_other(run), batch_size, by_length)


@pytest.mark.parametrize("by_length", [True, False])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
def test_vectors_are_in_the_order_of_the_texts(batch_size: int, by_length: bool) -> None:
    shapes: list[tuple[int, int]] = []
    made = encoder(batch_size, by_length, shapes)
    expected = [[sum(map(ord, text)), len(text)] for text in TEXTS]
    assert made.encode(TEXTS).tolist() == expected
    assert made.padded_tokens(TEXTS) == sum(rows * length for rows, length in shapes)


def test_texts_of_similar_length_come_together() -> None:
    assert encoder(2, True, []).padded_tokens(TEXTS) < encoder(2, False, []).padded_tokens(TEXTS)


def test_the_fastest_way(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("bertworks.benchmark.peers.encoding.time.perf_counter", lambda: clock[0])

    def encode(texts: Sequence[str], way: float) -> None:
        clock[0] += way

    assert fastest([3.0, 1.0, 2.0], encode, TEXTS) == 1.0


def test_padded_arrays() -> None:
    batch = {
        "input_ids": np.array([1, 2, 3, 4, 5]),
        "segment_ids": np.array([0, 1, 0, 0, 1]),
        "lengths": np.array([2, 3]),
        "rows": np.array([1, 4]),
        "labels": np.array([8, 9]),
    }
    found = padded(batch)
    assert found["input_ids"].tolist() == [[1, 2, 0], [3, 4, 5]]
    assert found["token_type_ids"].tolist() == [[0, 1, 0], [0, 0, 1]]
    assert found["labels"].tolist() == [[-100, 8, -100], [-100, -100, 9]]
    assert found["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert padded(batch, 4)["input_ids"].shape == (2, 4)
    assert "attention_mask" not in padded({**batch, "lengths": np.array([5])})


def test_settings_have_names_of_their_own() -> None:
    """Files like those of known benchmarks are called by them."""
    rest: dict[str, Any] = {"folder": "", "precision": "fp32", "device": "cpu", "threads": 1, "max_seq_length": 8}
    orders = [Order(module="", work="span", setting=one, **rest) for one in ("best", "defaults", "compiled")]
    assert len({setting_name(order).partition(":")[0] for order in orders}) == 3
