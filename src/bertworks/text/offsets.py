"""Offsets: the words and pieces of a text, and the characters of the original text that they come from.

The rules are those of `basic.normalized`. An additional array holds for each character the index of the character that
it comes from. Cleaning, lower-casing and decomposition may remove characters, make several of one, or reorder marks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bertworks.text import basic, unicode14
from bertworks.text.unicode14 import CJK, DELETED, MARK, PUNCTUATION, SPACE, UNASSIGNED
from bertworks.text.wordpiece import CONTINUES, VERBATIM, Ids, WordPiece

_BLANK = ord(" ")
_WORD = re.compile("[^ ]+")


class Aligned(NamedTuple):
    """The pieces of a text and the characters that they come from.

    Attributes:
        ids: the pieces. Shape [P].
        spans: begin and end of each piece in the text, in characters. Shape [P, 2]. Dropped accents belong to the
            letter before them. If one character became several pieces, they share its span.
        words: the number of the whitespace-separated word of each piece, from 0. Shape [P].
    """

    ids: Ids
    spans: NDArray[np.int64]
    words: NDArray[np.int64]


class OriginWords(NamedTuple):
    """The words of a text, and the origins of their characters.

    Attributes:
        words: each normalized word, and the index of its first character in the arrays; its other characters follow.
        begins, ends: the span [begin, end) in the original text of each character of a word.
    """

    words: list[tuple[str, int]]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]


class OriginText(NamedTuple):
    """The characters of `basic.clean`, and where they come from.

    Attributes:
        codes: code points.
        begins, ends: the span [begin, end) of each in the original text. A dropped mark belongs to the character before
            it.
    """

    codes: NDArray[np.uint32]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]

    def part(self, begin: int, end: int) -> OriginText:
        """Some of the characters."""
        return OriginText(self.codes[begin:end], self.begins[begin:end], self.ends[begin:end])


def clean_with_origins(text: str, lower: bool, strip: bool) -> OriginText:
    """Return the characters of `basic.clean` with their origins; every white space is a blank."""
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
        return OriginText(codes[:0], kept, kept)
    return OriginText(codes[kept], origins[kept], np.maximum.reduceat(origins, kept) + 1)


def words_of(text: OriginText, ideographs: bool = True) -> OriginWords:
    """Return the words of cleaned text."""
    codes, begins, ends = text
    if not len(codes):
        return OriginWords([], begins, ends)
    kinds = unicode14.kinds().take(codes)
    # Put blanks around signs and ideographs, so that a pattern finds the words. `indices` leads back to the arrays.
    apart = (kinds & (PUNCTUATION | CJK if ideographs else PUNCTUATION)) != 0
    middles = np.cumsum(np.where(apart, 3, 1)) - 1 - apart
    spread = np.full(middles[-1] + 2, _BLANK, np.uint32)
    spread[middles] = codes
    indices = np.zeros(len(spread), np.int64)
    indices[middles] = np.arange(len(middles))
    matches = list(_WORD.finditer(basic.characters(spread)))
    firsts = indices[[match.start() for match in matches]].tolist() if matches else []
    return OriginWords([(match[0], first) for match, first in zip(matches, firsts, strict=True)], begins, ends)


def whitespace_words(text: str) -> NDArray[np.int64]:
    """Return for each character the number of its whitespace-separated word, from 0. Shape [len(text)].

    White space is what ends a word for the tokenizer. Characters that it deletes are part of a word. A blank has the
    number of the word before it.
    """
    inside = (unicode14.kinds().take(basic.code_points(text)) & SPACE) == 0
    return np.cumsum(inside & ~np.concatenate(([False], inside[:-1]))) - 1


def aligned(text: str, found: OriginWords, wordpiece: WordPiece, tokens: Sequence[str], dtype: DTypeLike) -> Aligned:
    """Cut the words of a text into pieces, and trace the pieces back to the text.

    `tokens` are the tokens by id, and `dtype` is the type of ids.
    """
    ids: list[int] = []
    firsts: list[int] = []
    lasts: list[int] = []
    for word, first in found.words:
        pieces = wordpiece.ids(word)
        # The first piece gets what the others leave: the whole word if it is one piece or [UNK].
        lengths = [len(tokens[piece].removeprefix(CONTINUES)) for piece in pieces[1:]]
        length = 1 if word.startswith(VERBATIM) else len(word)
        edges = list(accumulate(lengths, initial=first + length - sum(lengths)))
        ids += pieces
        firsts += [first, *edges[:-1]]
        lasts += edges
    # The span covers all characters of a piece: canonical ordering may have moved the one that came first.
    edges_of_all = np.array([firsts, lasts], np.int64).T.ravel()
    begins = np.minimum.reduceat(np.append(found.begins, 0), edges_of_all)[::2]
    ends = np.maximum.reduceat(np.append(found.ends, 0), edges_of_all)[::2]
    spans = np.stack((begins, ends), axis=1)
    return Aligned(np.array(ids, dtype), spans, whitespace_words(text).take(spans[:, 0]))


def _folded(
    codes: NDArray[np.uint32], kinds: NDArray[np.uint8], lower: bool, strip: bool
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the code points of `basic.folded`, and for each the index in `codes` of its origin."""
    folded = basic.code_points(basic.folded(codes, kinds, lower, strip))
    # Lower-casing looks at neighbours only to choose between two forms of sigma, which are equally long.
    distinct, which = np.unique(codes, return_inverse=True)
    parts = [
        chr(code) if kind & UNASSIGNED else basic.fold(chr(code), lower, strip)
        for code, kind in zip(distinct.tolist(), unicode14.kinds().take(distinct).tolist(), strict=True)
    ]
    sources = np.repeat(np.arange(len(codes)), np.array([len(part) for part in parts], np.int64)[which])
    if strip:
        # Canonical ordering sorts the marks between two starters by combining class. The sort is stable.
        classes = _combining_classes(basic.code_points("".join([parts[i] for i in which.tolist()])))
        if classes.any():
            sources = sources[np.lexsort((classes, np.cumsum(classes == 0)))]
    return folded, sources


def _combining_classes(codes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the canonical combining class of each code point; 0 if Unicode 14.0 does not assign it."""
    distinct, which = np.unique(codes, return_inverse=True)
    classes = [
        0 if kind & UNASSIGNED else unicodedata.combining(chr(code))
        for code, kind in zip(distinct.tolist(), unicode14.kinds().take(distinct).tolist(), strict=True)
    ]
    return np.array(classes, np.int64)[which]
