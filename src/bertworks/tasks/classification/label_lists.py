"""Names of classes, and lists of them: as texts, and with 0 or 1 for each class."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from typing import Any

# A whole number written with decimals.
_WHOLE = re.compile(r"-?[0-9]+\.0+")

# A number with a decimal comma, or a whole one.
_DECIMAL_COMMA = re.compile(r"-?[0-9]+(,[0-9]+)?")

# A list as NumPy writes it: [0 1 0].
_NUMPY_LIST = re.compile(r"\[\s*-?[0-9.]+(\s+-?[0-9.]+)*\s*\]")


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


def list_of(text: object) -> list[Any] | None:
    """Return the list that a text is, as Python, JSON or NumPy write it; None if it is none."""
    if not isinstance(text, str) or not (text.strip().startswith("[") and text.strip().endswith("]")):
        return None
    if _NUMPY_LIST.fullmatch(text.strip()):
        return text.strip().strip("[]").split()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash before a letter
            value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    plain = isinstance(value, list) and all(isinstance(part, str | int | float) for part in value)
    return value if plain else None


def are_hot(lists: Sequence[Sequence[object]]) -> bool:
    """Tell whether lists have 0 or 1 for each class: all are as long, and they could not be numbers of classes."""
    length = len(lists[0])
    if length < 2 or any(len(row) != length for row in lists):
        return False
    rows = {tuple(flag_of(part) for part in row) for row in lists}
    if any(flag is None for row in rows for flag in row):
        return False
    return any(len(set(row)) < length for row in rows) or len(rows) > 1
