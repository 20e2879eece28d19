"""Names of classes, and lists of them with 0 or 1 for each class."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A whole number written with decimals.
_WHOLE = re.compile(r"-?[0-9]+\.0+")

# A number with a decimal comma, or a whole one.
_DECIMAL_COMMA = re.compile(r"-?[0-9]+(,[0-9]+)?")


def class_name(label: object) -> str:
    """Return the name of a class: 1.0, as columns of whole numbers with gaps are stored, is 1, also in a text."""
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    name = str(label).strip()
    return name.partition(".")[0] if _WHOLE.fullmatch(name) else name


def flag_of(label: object) -> int | None:
    """Return whether a label says yes (1) or no (0) to a class; None if it does neither. An empty one says no."""
    return {"": 0, "0": 0, "false": 0, "1": 1, "true": 1}.get(class_name(label).lower())


def has_comma(label: object) -> bool:
    """Tell whether a label is a number whose decimals, if it has some, stand behind a comma."""
    return isinstance(label, str) and _DECIMAL_COMMA.fullmatch(label.strip()) is not None


def are_hot(lists: Sequence[Sequence[object]]) -> bool:
    """Tell whether lists have 0 or 1 for each class: all are as long, and they could not be numbers of classes."""
    length = len(lists[0])
    if length < 2 or any(len(row) != length for row in lists):
        return False
    rows = {tuple(flag_of(part) for part in row) for row in lists}
    if any(flag is None for row in rows for flag in row):
        return False
    return any(len(set(row)) < length for row in rows) or len(rows) > 1
