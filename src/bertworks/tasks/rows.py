"""What the files of every task are read into: one row of labelled text.

`place` says where a row stands ("dev.tsv, line 17"), for messages. A row of a file without labels has None for its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.data.tables import BadRows, OnBadRow

__all__ = ["AnyRow", "BadRows", "ChoiceRow", "EncodedRow", "Label", "OnBadRow", "Row", "TaggedRow"]

# A class, a number (regression), or several classes at once.
Label = str | float | tuple[str, ...]


class Row(NamedTuple):
    """A text, or a pair of them, to be classified."""

    place: str
    id: str
    text: str
    pair: str | None
    label: Label | None


class ChoiceRow(NamedTuple):
    """A beginning and several ways to go on; `label` is the number of the right one, from 0."""

    place: str
    id: str
    text: str
    choices: tuple[str, ...]
    label: int | None


class EncodedRow(NamedTuple):
    """A text or a pair that is tokenized already, as the original's record files have it.

    `ids` begin with [CLS] and end with [SEP]; the first `first` of them are of segment 0.
    """

    place: str
    id: str
    ids: NDArray[np.unsignedinteger]
    first: int
    label: str | None


# What is classified.
AnyRow = Row | ChoiceRow | EncodedRow


class TaggedRow(NamedTuple):
    """A sentence as words (or characters of Chinese text), and a tag for each of them."""

    place: str
    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None
