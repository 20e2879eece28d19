"""Labels: as a flag lists them, as a trained model's configuration has them, and as a file has them."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Sequence

from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.names import listed


def labels_of(text: str, flag: str = "--labels") -> tuple[str, ...]:
    """Read the labels of a flag, in order, as a line of a .csv: a label with a comma in it is in quotes.

    Args:
        text: such as `neg, pos` or `"Science, technology",Sports`.
        flag: its name in error messages.

    Raises:
        InputError: fewer than two labels, a label without a name, or the same label twice.
    """
    given = f"{flag}={' '.join(text.split())}"
    try:
        found = tuple(label.strip() for label in next(csv.reader([text], skipinitialspace=True, strict=True), []))
    except csv.Error:
        raise InputError(
            f'{given}: give labels with commas between; put a label that has a comma in quotes: "a, b",c'
        ) from None
    if "" in found:
        raise InputError(f"{given}: label {found.index('') + 1} of {len(found)} has no name; remove a comma")
    if twice := next((label for label in found if found.count(label) > 1), None):
        raise InputError(f"{given}: {twice} is named twice")
    if len(found) < 2:
        raise InputError(f"{given}: is one label; give at least two, with commas between")
    return found


def names_of_outputs(config: BertConfig, count: int) -> tuple[str, ...]:
    """Return the names of a classifier's outputs, in order; LABEL_0, LABEL_1, ... if the configuration has none."""
    names = config.labels or ()
    return names if len(names) == count else tuple(f"LABEL_{i}" for i in range(count))


def score(location: str, written: str) -> float:
    """Return a label that is a number.

    Raises:
        InputError: it is not a number, or not finite; the message begins with `location`.
    """
    try:
        value = float(written)
    except ValueError:
        raise InputError(f"{location}: the score {written!r:.40} is not a number") from None
    if not math.isfinite(value):
        raise InputError(f"{location}: the score is {value}; give a number")
    return value


def unknown(label: str, labels: Sequence[str]) -> str:
    """Return the message for an unknown label, with the nearest known one."""
    near = difflib.get_close_matches(label, labels, 1, 0.6)
    hint = f"did you mean {listed(near)}?" if near else f"known are {listed(labels)}"
    return f"{label!r:.60} is no label; {hint}"
