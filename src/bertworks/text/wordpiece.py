"""From words to the ids of pieces: greedy longest match first, as the original's WordpieceTokenizer.

`WordPiece` takes one word. `PieceCache` takes blocks of normalized text: it remembers the pieces of every word that it
meets, by word number, and looks them up with array operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bertworks.errors import InputError
from bertworks.ragged import runs, starts
from bertworks.text.words import WordNumbers

Ids = NDArray[np.unsignedinteger[Any]]

CONTINUES = "##"
# This character and a number make a word that stands for the piece of that number. Text has no NUL: it is deleted.
VERBATIM = "\0"

_PREFIX = 3


class WordPiece:
    """The original's WordpieceTokenizer over one vocabulary: words to lists of ids."""

    def __init__(self, vocab: Mapping[str, int], unknown: str, max_input_chars_per_word: int, vocab_file: str) -> None:
        """Match against `vocab`. A word that cannot be matched, or that is longer than allowed, becomes `unknown`."""
        self._heads = dict(vocab)
        self._tails = {token.removeprefix(CONTINUES): i for token, i in vocab.items() if token.startswith(CONTINUES)}
        self._head_reach = _reach(self._heads)
        self._tail_reach = _reach(self._tails)
        self._unknown = unknown
        self._vocab_file = vocab_file
        self.max_input_chars_per_word = max_input_chars_per_word

    def ids(self, word: str) -> list[int]:
        """Return the ids of a word's pieces.

        Raises:
            InputError: the word is unknown and the vocabulary lacks the token for unknown words.
        """
        if word.startswith(VERBATIM):
            return [int(word[1:])]
        if len(word) > self.max_input_chars_per_word:
            return self.unknown()
        whole = self._heads.get(word)
        if whole is not None:
            return [whole]
        ids = []
        pieces, reach = self._heads, self._head_reach
        begin, length = 0, len(word)
        while begin < length:
            longest = begin + reach.get(word[begin : begin + _PREFIX], _PREFIX - 1)
            for end in range(min(longest, length), begin, -1):
                piece = pieces.get(word[begin:end])
                if piece is not None:
                    break
            else:
                return self.unknown()
            ids.append(piece)
            begin = end
            pieces, reach = self._tails, self._tail_reach
        return ids

    def unknown(self) -> list[int]:
        """Return the ids for a word that has no pieces."""
        if self._unknown not in self._heads:
            raise InputError(f"{self._vocab_file}: has no {self._unknown}, which this text needs; fix --vocab_file")
        return [self._heads[self._unknown]]


def _reach(pieces: Mapping[str, int]) -> dict[str, int]:
    """Return the length of the longest piece for each beginning of three letters. Other pieces have at most two."""
    reach: dict[str, int] = {}
    for piece in pieces:
        prefix = piece[:_PREFIX]
        if len(prefix) == _PREFIX and reach.get(prefix, 0) < len(piece):
            reach[prefix] = len(piece)
    return reach


class PieceCache:
    """The pieces of every word met so far. A full cache is emptied, which changes no result.

    It is full with `max_words` words, or with `max_bytes` bytes of words: about 60 MB of memory. Not thread-safe.
    """

    def __init__(
        self, wordpiece: WordPiece, dtype: DTypeLike, max_words: int = 1 << 20, max_bytes: int = 1 << 25
    ) -> None:
        self._wordpiece = wordpiece
        self._dtype = np.dtype(dtype)
        self._max_words = max_words
        self._max_bytes = max_bytes
        self.clear()

    def __len__(self) -> int:
        """The number of words that are remembered."""
        return self._numbers.count

    def clear(self) -> None:
        """Forget every word."""
        # A word of more bytes than this has more characters than WordPiece looks at.
        self._numbers = WordNumbers(max_word_bytes=4 * self._wordpiece.max_input_chars_per_word)
        self._bytes = 0
        # By word number: the number of pieces, the first piece, and the index in `_others` of the other pieces.
        self._counts = _Growing(np.int32)
        self._firsts = _Growing(self._dtype)
        self._begins = _Growing(np.int64)
        self._others = _Growing(self._dtype)

    def encode(self, normalized: bytes) -> tuple[Ids, NDArray[np.int64]]:
        """Return the ids of a block of normalized text, and how many of them come before each newline.

        Raises:
            InputError: a word is unknown and the vocabulary lacks the token for unknown words.
        """
        if len(self) >= self._max_words or self._bytes >= self._max_bytes:
            self.clear()
        numbers, words_before, new = self._numbers.look_up(normalized)
        if new:
            self._learn(new)
        counts = self._counts.values.take(numbers)
        edges = starts(counts)
        ids = np.empty(edges[-1], self._dtype)
        ids[edges[:-1]] = self._firsts.values.take(numbers)
        longer = np.flatnonzero(counts > 1)
        others = counts.take(longer) - 1
        sources = runs(self._begins.values.take(numbers.take(longer)), others)
        ids[runs(edges.take(longer) + 1, others)] = self._others.values.take(sources)
        return ids, edges.take(words_before)

    def _learn(self, words: list[bytes]) -> None:
        """Find the pieces of new words, whose numbers follow the known ones."""
        try:
            texts = b"\n".join(words).decode("utf-8", "surrogatepass").split("\n")
            pieces = [self._wordpiece.ids(text) for text in texts]
        except InputError:
            self.clear()
            raise
        self._bytes += sum(map(len, words))
        counts = np.array([len(ids) for ids in pieces], np.int32)
        self._counts.extend(counts)
        self._firsts.extend([ids[0] for ids in pieces])
        self._begins.extend(len(self._others.values) + starts(counts - 1)[:-1])
        self._others.extend([piece for ids in pieces for piece in ids[1:]])


class _Growing:
    """An array that grows at its end. It doubles its capacity when that is used up."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._capacity = np.empty(1024, dtype)
        self.values = self._capacity[:0]

    def extend(self, more: Any) -> None:
        """Append the values of an array or list."""
        begin, end = len(self.values), len(self.values) + len(more)
        if end > len(self._capacity):
            capacity = np.empty(2 * end, self._capacity.dtype)
            capacity[:begin] = self.values
            self._capacity = capacity
        self._capacity[begin:end] = more
        self.values = self._capacity[:end]
