"""The interface of the original's tokenization.py, for programs that were written for it.

`bertworks.tokenization` has all of it under the original's names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from bertworks.text.basic import basic_tokenize
from bertworks.text.tokenizer import Tokenizer
from bertworks.text.vocab_file import UNK, read_vocab
from bertworks.text.wordpiece import VERBATIM, WordPiece

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class BasicTokenizer:
    """Cuts texts into words, as the original's BasicTokenizer."""

    def __init__(self, do_lower_case: bool = True) -> None:
        self.do_lower_case = do_lower_case

    def tokenize(self, text: str | bytes) -> list[str]:
        """Return the words of a text."""
        return basic_tokenize(convert_to_unicode(text), self.do_lower_case)


class WordpieceTokenizer:
    """Cuts words into pieces of a vocabulary, as the original's WordpieceTokenizer."""

    def __init__(self, vocab: Mapping[str, int], unk_token: str = UNK, max_input_chars_per_word: int = 200) -> None:
        self.vocab, self.unk_token, self.max_input_chars_per_word = vocab, unk_token, max_input_chars_per_word
        # Numbers of our own: the ids of a mapping need not be different.
        self._tokens = list(dict.fromkeys((*vocab, unk_token)))
        numbers = {token: i for i, token in enumerate(self._tokens)}
        self._pieces = WordPiece(numbers, unk_token, max_input_chars_per_word, "vocab")

    def tokenize(self, text: str | bytes) -> list[str]:
        """Return the pieces of the words of a text, which are apart by white space."""
        return [
            self.unk_token if word.startswith(VERBATIM) else self._tokens[piece]
            for word in whitespace_tokenize(convert_to_unicode(text))
            for piece in ([0] if word.startswith(VERBATIM) else self._pieces.ids(word))
        ]


class FullTokenizer:
    """A tokenizer with the names and methods of the original's FullTokenizer."""

    def __init__(self, vocab_file: Path | str, do_lower_case: bool = True) -> None:
        """Make a tokenizer from a vocabulary file, as `Tokenizer.from_vocab` does."""
        self.tokenizer = Tokenizer.from_vocab(vocab_file, do_lower_case)
        self.vocab = self.tokenizer.vocab
        self.inv_vocab = {i: token for token, i in self.vocab.items()}

    @cached_property
    def basic_tokenizer(self) -> BasicTokenizer:
        """What cuts texts into words."""
        return BasicTokenizer(self.tokenizer.do_lower_case)

    @cached_property
    def wordpiece_tokenizer(self) -> WordpieceTokenizer:
        """What cuts words into pieces."""
        return WordpieceTokenizer(self.vocab)

    def tokenize(self, text: str | bytes) -> list[str]:
        """Return the tokens of a text, without special tokens."""
        return self.tokenizer.tokenize(convert_to_unicode(text))

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Return the id of each token; KeyError if the vocabulary lacks one."""
        return convert_by_vocab(self.vocab, tokens)

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the token of each id; KeyError if there is no such id."""
        return convert_by_vocab(self.inv_vocab, ids)


def load_vocab(vocab_file: Path | str) -> OrderedDict[str, int]:
    """Return the tokens of a vocabulary file with their ids."""
    return OrderedDict((token, i) for i, token in enumerate(read_vocab(vocab_file)))


def convert_by_vocab(vocab: Mapping[_Key, _Value], items: Iterable[_Key]) -> list[_Value]:
    """Return the value of each item; KeyError if the vocabulary lacks one."""
    return [vocab[item] for item in items]


def convert_tokens_to_ids(vocab: Mapping[str, int], tokens: Iterable[str]) -> list[int]:
    """Return the id of each token; KeyError if the vocabulary lacks one."""
    return convert_by_vocab(vocab, tokens)


def convert_ids_to_tokens(inv_vocab: Mapping[int, str], ids: Iterable[int]) -> list[str]:
    """Return the token of each id; KeyError if there is no such id."""
    return convert_by_vocab(inv_vocab, ids)


def convert_to_unicode(text: str | bytes) -> str:
    """Return a text; bytes are taken for UTF-8, and those that are not are left out."""
    if isinstance(text, bytes):
        return text.decode("utf-8", "ignore")
    if isinstance(text, str):
        return text
    raise ValueError(f"Unsupported string type: {type(text)}")


def printable_text(text: str | bytes) -> str:
    """Return a text that `print` takes: the same as `convert_to_unicode`."""
    return convert_to_unicode(text)


def whitespace_tokenize(text: str) -> list[str]:
    """Return the parts of a text between white space."""
    return text.split()
