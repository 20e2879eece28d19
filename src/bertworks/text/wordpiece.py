"""A word to its pieces: greedy longest match first, as the original's WordpieceTokenizer."""

from __future__ import annotations

from collections.abc import Mapping

from bertworks.errors import InputError

CONTINUES = "##"
# A word made of this character and a number stands for the piece of that number. Text cannot hold it: NUL is deleted.
VERBATIM = "\0"

_PREFIX = 3


class WordPiece:
    """The original's WordpieceTokenizer over one vocabulary, words to lists of ids."""

    def __init__(self, vocab: Mapping[str, int], unknown: str, max_input_chars_per_word: int, vocab_file: str) -> None:
        """Greedy matching against `vocab`; a word that cannot be matched, or is longer than allowed, is `unknown`."""
        self._heads = dict(vocab)
        self._tails = {token.removeprefix(CONTINUES): i for token, i in vocab.items() if token.startswith(CONTINUES)}
        self._head_reach = _reach(self._heads)
        self._tail_reach = _reach(self._tails)
        self._unknown = unknown
        self._vocab_file = vocab_file
        self.max_input_chars_per_word = max_input_chars_per_word

    def ids(self, word: str) -> list[int]:
        """The pieces of a word.

        Raises:
            InputError: the word is unknown and the vocabulary has no token for that.
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
        """What stands for a word that has no pieces."""
        if self._unknown not in self._heads:
            raise InputError(f"{self._vocab_file}: has no {self._unknown}, which this text needs; mend --vocab_file")
        return [self._heads[self._unknown]]


def _reach(pieces: Mapping[str, int]) -> dict[str, int]:
    """How long a piece can be that begins with these three letters; with others it has at most two."""
    reach: dict[str, int] = {}
    for piece in pieces:
        prefix = piece[:_PREFIX]
        if len(prefix) == _PREFIX and reach.get(prefix, 0) < len(piece):
            reach[prefix] = len(piece)
    return reach
