"""Find a part of a text whose offset is right in another way of counting characters than Python's.

Some annotators write composed letters and others decomposed ones (Unicode NFC and NFD); JavaScript counts UTF-16 units,
and other programs count bytes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple
from unicodedata import normalize


class TextPlace(NamedTuple):
    """Where a part of a text is: characters begin, ..., end - 1. `why` says how the file differs, for a message."""

    begin: int
    end: int
    why: str


def _composed(text: str) -> int:
    return len(normalize("NFC", text))


# What a file counts -> the length of a text. The first is Python's own count.
_COUNTS: dict[str, Callable[[str], int]] = {
    "only the Unicode composition differs": len,
    "the offset counts characters of the composed text (Unicode NFC)": _composed,
    "the offset counts characters of the decomposed text (Unicode NFD)": lambda text: len(normalize("NFD", text)),
    "the offset counts UTF-16 units": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "the offset counts UTF-8 bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
}


def place_of(text: str, part: str, offset: int) -> TextPlace | None:
    """Find a part of a text where its offset points in one of these ways of counting.

    The whole part must be there; only its Unicode composition may differ, or its white space where the offset counts
    as Python does. None if it is at none of these places.
    """
    if offset < 0 or not part.strip():
        return None
    spaced = re.compile(r"\s+".join(map(re.escape, part.split()))).match(text, min(offset, len(text)))
    if spaced is not None:
        return TextPlace(offset, spaced.end(), "only the white space differs")
    wanted = normalize("NFC", part)
    # In ASCII all counts are the same, and most parts that are elsewhere are nowhere.
    if (text.isascii() and part.isascii()) or wanted not in normalize("NFC", text):
        return None
    for why, count in _COUNTS.items():
        begin = _longest(text, offset, count)
        if count(text[:begin]) != offset:
            continue
        end = begin + _longest(text[begin:], len(wanted), _composed)
        if normalize("NFC", text[begin:end]) == wanted:
            return TextPlace(begin, end, why)
    return None


def _longest(text: str, most: int, count: Callable[[str], int]) -> int:
    """Return the length of the longest beginning of a text that counts at most so many."""
    return bisect_right(range(len(text) + 1), most, key=lambda length: count(text[:length])) - 1
