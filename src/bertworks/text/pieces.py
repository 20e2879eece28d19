"""Blocks of normalized text to ids: the pieces of every word met are kept, by word number, and looked up on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bertworks.errors import InputError
from bertworks.text.wordpiece import WordPiece
from bertworks.text.words import WordNumbers

Ids = NDArray[np.unsignedinteger[Any]]

_MAX_WORDS = 1 << 20
_MAX_BYTES = 1 << 25


class PieceCache:
    """The pieces of every word met so far. When it is full it begins anew, which changes no result.

    It is full at `max_words` words or `max_bytes` bytes of them: some 60 MB of memory. Not for several threads at once.
    """

    def __init__(
        self, wordpiece: WordPiece, dtype: DTypeLike, max_words: int = _MAX_WORDS, max_bytes: int = _MAX_BYTES
    ) -> None:
        self._wordpiece = wordpiece
        self._dtype = np.dtype(dtype)
        self._max_words = max_words
        self._max_bytes = max_bytes
        self.clear()

    def clear(self) -> None:
        """Forget every word."""
        # A word of more bytes than this has more characters than WordPiece looks at.
        self._numbers = WordNumbers(max_word_bytes=4 * self._wordpiece.max_input_chars_per_word)
        self._bytes = 0
        # By word number: how many pieces it has, the first of them, and where the others begin in `_others`.
        self._counts = _Growing(np.int32)
        self._firsts = _Growing(self._dtype)
        self._begins = _Growing(np.int64)
        self._others = _Growing(self._dtype)

    def encode(self, normalized: bytes) -> tuple[Ids, NDArray[np.int64]]:
        """The ids of a block of normalized text, and how many of them come before each newline.

        Raises:
            InputError: a word is unknown and the vocabulary has no token for that.
        """
        if self._numbers.count >= self._max_words or self._bytes >= self._max_bytes:
            self.clear()
        numbers, words_before, new = self._numbers.look_up(normalized)
        if new:
            self._learn(new)
        counts = self._counts.values.take(numbers)
        ends = np.zeros(len(numbers) + 1, np.int64)
        np.cumsum(counts, out=ends[1:])
        ids = np.empty(ends[-1], self._dtype)
        ids[ends[:-1]] = self._firsts.values.take(numbers)
        longer = np.flatnonzero(counts > 1)
        spread = counts.take(longer) - 1
        step = np.arange(spread.sum()) - np.repeat(np.cumsum(spread) - spread, spread)
        sources = np.repeat(self._begins.values.take(numbers.take(longer)), spread) + step
        ids[np.repeat(ends.take(longer) + 1, spread) + step] = self._others.values.take(sources)
        return ids, ends.take(words_before)

    def _learn(self, words: list[bytes]) -> None:
        """Find the pieces of new words, the numbers of which follow those known."""
        try:
            texts = b"\n".join(words).decode("utf-8", "surrogatepass").split("\n")
            pieces = [self._wordpiece.ids(text) for text in texts]
        except InputError:
            self.clear()
            raise
        self._bytes += sum(map(len, words))
        counts = np.array([len(ids) for ids in pieces], np.int32)
        others = np.cumsum(counts - 1)
        self._counts.extend(counts)
        self._firsts.extend([ids[0] for ids in pieces])
        self._begins.extend(len(self._others.values) + others - (counts - 1))
        self._others.extend([piece for ids in pieces for piece in ids[1:]])


class _Growing:
    """An array that grows at its end, doubling its room when that is used up."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._room = np.empty(1024, dtype)
        self.values = self._room[:0]

    def extend(self, more: Any) -> None:
        """Append the values of an array or list."""
        begin, end = len(self.values), len(self.values) + len(more)
        if end > len(self._room):
            room = np.empty(2 * end, self._room.dtype)
            room[:begin] = self.values
            self._room = room
        self._room[begin:end] = more
        self.values = self._room[:end]
