"""The rows that are classified, as files have them.

`location` is where a row is ("dev.tsv, line 17"), for messages. `label` is None in a file without labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# A class, a number (regression), or several classes at once.
Label = str | float | tuple[str, ...]


class Row(NamedTuple):
    """A text, or a pair of texts."""

    location: str
    id: str
    text: str
    pair: str | None
    label: Label | None


class ChoiceRow(NamedTuple):
    """A beginning and several continuations; `label` is the number of the right one, from 0."""

    location: str
    id: str
    text: str
    choices: tuple[str, ...]
    label: int | None


class EncodedRow(NamedTuple):
    """A text or a pair as token ids, from a record file of the original.

    `ids` begin with [CLS] and end with [SEP]; the first `first` of them have segment 0.
    """

    location: str
    id: str
    ids: NDArray[np.unsignedinteger]
    first: int
    label: str | None


AnyRow = Row | ChoiceRow | EncodedRow


def texts_of(row: AnyRow) -> Iterable[tuple[str, str | None]]:
    """Return the text, or pairs of texts, that a row is read as."""
    if isinstance(row, ChoiceRow):
        return [(row.text, choice) for choice in row.choices]
    assert isinstance(row, Row)
    return [(row.text, row.pair)]
