"""What the files of every task are read into: one row of labelled text.

`place` says where a row stands ("dev.tsv, line 17"), for messages. A row of a file without labels has None for its own.
"""

from __future__ import annotations

import csv
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.text.basic import basic_tokenize

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


def labels_of(text: str, flag: str = "--labels") -> tuple[str, ...]:
    """The labels that a flag names, in order, as a line of a .csv has them: one with a comma in it is in quotes.

    Args:
        text: such as `neg, pos` or `"Science, technology",Sports`.
        flag: what messages call it.

    Raises:
        InputError: fewer than two labels, one without a name, or one twice.
    """
    given = f"{flag}={' '.join(text.split())}"
    try:
        found = tuple(label.strip() for label in next(csv.reader([text], skipinitialspace=True, strict=True), []))
    except csv.Error:
        raise InputError(f'{given}: give labels with commas between; one with a comma in quotes: "a, b",c') from None
    if "" in found:
        raise InputError(f"{given}: label {found.index('') + 1} of {len(found)} has no name; leave a comma out")
    if twice := next((label for label in found if found.count(label) > 1), None):
        raise InputError(f"{given}: {twice} is named twice")
    if len(found) < 2:
        raise InputError(f"{given}: is one label; give at least two, with commas between")
    return found


def is_blank(text: str) -> bool:
    """Whether the model sees nothing of a text: no word is left of it, such as of zero-width blanks."""
    # A letter or a digit is part of a word by any rule; to look for words takes longer.
    return not text.lstrip()[:1].isalnum() and not basic_tokenize(text)
