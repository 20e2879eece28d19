"""Lists that stand as texts in the cells of a table, as pandas and `datasets` write them into CSV."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

# NumPy's list of numbers: [0 1 0].
_NUMBERS = re.compile(r"\[\s*-?[0-9.]+(\s+-?[0-9.]+)*\s*\]")

# NumPy's list of texts: ['a' 'b'], with blanks and line ends between.
_TEXT = r"""(?:'[^'\n]*'|"[^"\n]*")"""
_TEXTS = re.compile(rf"\[{_TEXT}(?:\s+{_TEXT})+\]")


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
