"""Where words come from: the words of a text with the place of each of their characters in the text as it was given.

The same rules as `basic.normalized`, with one array carried along: for each character, the one it comes from. Cleaning,
lower-casing and decomposing may remove characters, make several of one, or put marks in another order.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.text import basic, unicode14
from bertworks.text.unicode14 import CJK, DELETED, MARK, PUNCTUATION, SPACE, UNASSIGNED

_BLANK = ord(" ")
_WORD = re.compile("[^ ]+")


class Words(NamedTuple):
    """The words of a text, and where their characters come from.

    Attributes:
        words: each word after normalization, and the place of its first character in the arrays; the others follow it.
        begins, ends: for each character of a word, its span [begin, end) in the original text.
    """

    words: list[tuple[str, int]]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]


def words_with_origins(text: str, lower: bool, strip: bool) -> Words:
    """The words of `basic.basic_tokenize`, in order. A mark that is dropped belongs to the character before it."""
    table = unicode14.kinds()
    codes = basic.code_points(text)
    kinds = table.take(codes)
    origins = np.flatnonzero((kinds & DELETED) == 0)
    codes = np.where(kinds & SPACE, np.uint32(_BLANK), codes)[origins]
    kinds = kinds[origins]
    if lower or strip:
        codes, sources = _folded(codes, kinds, lower, strip)
        kinds = table.take(codes)
        origins = origins[sources]
    kept = np.flatnonzero(((kinds & MARK) == 0) | (not strip))
    if not len(kept):
        return Words([], kept, kept)
    ends = np.maximum.reduceat(origins, kept) + 1
    codes, kinds, origins = codes[kept], kinds[kept], origins[kept]
    # Blanks around what stands apart, so that words can be found in a string; `places` leads back to the arrays.
    apart = (kinds & (PUNCTUATION | CJK)) != 0
    middles = np.cumsum(np.where(apart, 3, 1)) - 1 - apart
    spread = np.full(middles[-1] + 2, _BLANK, np.uint32)
    spread[middles] = codes
    places = np.zeros(len(spread), np.int64)
    places[middles] = np.arange(len(middles))
    matches = list(_WORD.finditer(basic.characters(spread)))
    firsts = places[[match.start() for match in matches]].tolist() if matches else []
    return Words([(match[0], first) for match, first in zip(matches, firsts, strict=True)], origins, ends)


def whitespace_words(text: str) -> NDArray[np.int64]:
    """For each character, the number of the whitespace-separated word it is in, from 0 on. Shape [len(text)].

    White space is what ends a word for the tokenizer; a character that it deletes is part of a word. A blank bears the
    number of the word before it.
    """
    inside = (unicode14.kinds().take(basic.code_points(text)) & SPACE) == 0
    return np.cumsum(inside & ~np.concatenate(([False], inside[:-1]))) - 1


def _folded(
    codes: NDArray[np.uint32], kinds: NDArray[np.uint8], lower: bool, strip: bool
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The code points of `basic.folded`, and for each the place in `codes` that it comes from."""
    folded = basic.code_points(basic.folded(codes, kinds, lower, strip))
    # Lower-casing knows its neighbours only to choose between two forms of sigma, which are equally long.
    distinct, which = np.unique(codes, return_inverse=True)
    parts = [
        chr(code) if kind & UNASSIGNED else basic.fold(chr(code), lower, strip)
        for code, kind in zip(distinct.tolist(), unicode14.kinds().take(distinct).tolist(), strict=True)
    ]
    sources = np.repeat(np.arange(len(codes)), np.array([len(part) for part in parts], np.int64)[which])
    if strip:
        # Canonical ordering: marks between two starters are sorted by combining class, equals staying in order.
        classes = _combining_classes(basic.code_points("".join([parts[i] for i in which.tolist()])))
        if classes.any():
            sources = sources[np.lexsort((classes, np.cumsum(classes == 0)))]
    return folded, sources


def _combining_classes(codes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The canonical combining class of each code point; 0 for one that Unicode 14.0 does not assign."""
    distinct, which = np.unique(codes, return_inverse=True)
    classes = [
        0 if kind & UNASSIGNED else unicodedata.combining(chr(code))
        for code, kind in zip(distinct.tolist(), unicode14.kinds().take(distinct).tolist(), strict=True)
    ]
    return np.array(classes, np.int64)[which]
