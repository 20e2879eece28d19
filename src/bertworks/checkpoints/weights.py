"""What a reader makes of a checkpoint in any format: named weights that are still on the disk, and what lay beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertworks.config import BertConfig


@dataclass(frozen=True)
class Weight:
    """One tensor of a checkpoint, read when asked for.

    Attributes:
        stored_as: its name in the file, for messages.
        shape: in our layout ([out, in] for dense weights).
        read: reads it from the disk, checked as far as the format can be: an array of `shape`, possibly a view with
            its axes exchanged, possibly backed by the file. Raises InputError.
    """

    stored_as: str
    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.float32]]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, opened.

    Attributes:
        path: what was opened, for messages.
        format: its kind, for people.
        weights: by our names (names.py); tensors that are none of BERT's keep the names they are stored under.
        config: the configuration that lay beside the weights, in our dialect; None where there was none.
        hidden_act: the activation that the weights were trained with; None where nothing tells.
        vocab_file: the vocabulary that lay beside the weights.
        do_lower_case: whether that vocabulary wants lower-cased text; None where nothing tells.
        notes: what was set aside or changed on the way, one line each.
    """

    path: Path
    format: str
    weights: Mapping[str, Weight]
    config: BertConfig | None = None
    hidden_act: str | None = None
    vocab_file: Path | None = None
    do_lower_case: bool | None = None
    notes: tuple[str, ...] = ()


def padding(rows: int, words: int) -> bool:
    """Whether `rows` is a vocabulary of `words` filled up for the hardware: to a multiple of 8, by less than 128."""
    return words < rows < words + 128 and rows % 8 == 0
