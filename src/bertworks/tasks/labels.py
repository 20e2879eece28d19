"""Labels: as a flag lists them, as a trained model's configuration has them, and as cells of a table have them."""

from __future__ import annotations

import ast
import csv
import difflib
import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.names import listed

# A whole number written with decimals.
_WHOLE = re.compile(r"-?[0-9]+\.0+")

# A number with a decimal comma, or a whole one.
_DECIMAL_COMMA = re.compile(r"-?[0-9]+(,[0-9]+)?")

# NumPy's list of numbers: [0 1 0].
_NUMBERS = re.compile(r"\[\s*-?[0-9.]+(\s+-?[0-9.]+)*\s*\]")

# NumPy's list of texts: ['a' 'b'], with blanks and line ends between.
_TEXT = r"""(?:'[^'\n]*'|"[^"\n]*")"""
_TEXTS = re.compile(rf"\[{_TEXT}(?:\s+{_TEXT})+\]")


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


def list_of(text: object) -> list[Any] | None:
    """Return the list that a text is, as Python, JSON or NumPy write it; None if it is none."""
    if not isinstance(text, str) or not (text.strip().startswith("[") and text.strip().endswith("]")):
        return None
    if _NUMBERS.fullmatch(text.strip()):
        return text.strip().strip("[]").split()
    if _TEXTS.fullmatch(text.strip()):
        return [item[1:-1] for item in re.findall(_TEXT, text)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash before a letter
            value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    plain = isinstance(value, list) and all(isinstance(part, str | int | float) for part in value)
    return value if plain else None
