"""The shared batch as peers take it: padded arrays. Only numpy is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def read_batch(folder: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of `batch.npz`: flat tokens and the lengths of their sequences."""
    with np.load(Path(folder) / "batch.npz") as stored:
        return dict(stored)


def padded(batch: dict[str, NDArray[Any]], length: int = 0) -> dict[str, Ids]:
    """Return the batch as Hugging Face's models take it, [B, L]: padded to `length`, or to its longest sequence.

    There is no mask if nothing is padded.
    """
    lengths = batch["lengths"]
    real = np.arange(max(length, int(lengths.max()))) < lengths[:, None]
    labels = np.full(len(batch["input_ids"]), -100, np.int64)
    labels[batch["rows"]] = batch["labels"]

    def spread(values: NDArray[Any], fill: int) -> Ids:
        rows = np.full(real.shape, fill, np.int64)
        rows[real] = values
        return rows

    arrays = {
        "input_ids": spread(batch["input_ids"], 0),
        "token_type_ids": spread(batch["segment_ids"], 0),
        "labels": spread(labels, -100),
    }
    return arrays if real.all() else {**arrays, "attention_mask": real.astype(np.int64)}


def unit_vectors(vectors: NDArray[Any]) -> NDArray[Any]:
    """Return vectors [N, H] of the length 1, because some libraries give no others."""
    scaled: NDArray[Any] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled
