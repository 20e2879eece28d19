"""Find answers whose `answer_start` is right in another way of counting characters than Python's.

Some annotators write composed letters and others decomposed ones (Unicode NFC and NFD); JavaScript counts UTF-16 units,
and other programs count bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple
from unicodedata import normalize


class AnswerPlace(NamedTuple):
    """Where a context has an answer: characters begin, ..., end - 1. `why` says how the file differs, for a message."""

    begin: int
    end: int
    why: str


def _composed(text: str) -> int:
    return len(normalize("NFC", text))


# What a file counts -> the length of a text. The first is Python's own count.
_COUNTS: dict[str, Callable[[str], int]] = {
    "the answer and the context differ in Unicode composition only": len,
    "answer_start counts characters of the composed text (Unicode NFC)": _composed,
    "answer_start counts characters of the decomposed text (Unicode NFD)": lambda text: len(normalize("NFD", text)),
    "answer_start counts UTF-16 units": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "answer_start counts UTF-8 bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
}


def place_of(context: str, answer: str, start: int) -> AnswerPlace | None:
    """Find an answer where its `answer_start` points in one of these ways of counting.

    The whole answer must be there; only its Unicode composition may differ. None if it is at none of these places.
    """
    wanted = normalize("NFC", answer)
    # In ASCII all counts are the same, and most answers that are elsewhere are nowhere.
    if not wanted or start < 0 or (context.isascii() and answer.isascii()) or wanted not in normalize("NFC", context):
        return None
    for why, count in _COUNTS.items():
        begin = _longest(context, start, count)
        if count(context[:begin]) != start:
            continue
        end = begin + _longest(context[begin:], len(wanted), _composed)
        if normalize("NFC", context[begin:end]) == wanted:
            return AnswerPlace(begin, end, why)
    return None


def _longest(text: str, most: int, count: Callable[[str], int]) -> int:
    """Return the length of the longest beginning of a text that counts at most so many."""
    return bisect_right(range(len(text) + 1), most, key=lambda length: count(text[:length])) - 1
