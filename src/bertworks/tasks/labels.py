"""Names of labels: as a flag lists them, and as a trained model's configuration has them."""

from __future__ import annotations

import csv

from bertworks.config import BertConfig
from bertworks.errors import InputError


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
        raise InputError(f'{given}: give labels with commas between; one with a comma in quotes: "a, b",c') from None
    if "" in found:
        raise InputError(f"{given}: label {found.index('') + 1} of {len(found)} has no name; leave a comma out")
    if twice := next((label for label in found if found.count(label) > 1), None):
        raise InputError(f"{given}: {twice} is named twice")
    if len(found) < 2:
        raise InputError(f"{given}: is one label; give at least two, with commas between")
    return found


def names_of_outputs(config: BertConfig, count: int) -> tuple[str, ...]:
    """Return the names of a classifier's outputs, in order; LABEL_0, LABEL_1, ... if the configuration has none."""
    names = config.labels or ()
    return names if len(names) == count else tuple(f"LABEL_{i}" for i in range(count))
