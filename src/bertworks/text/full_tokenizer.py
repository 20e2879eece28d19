"""The interface of the original's tokenizer, for programs that were written for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bertworks.text.tokenizer import Tokenizer


class FullTokenizer:
    """A tokenizer with the names and methods of the original's FullTokenizer."""

    def __init__(self, vocab_file: Path | str, do_lower_case: bool = True) -> None:
        """Make a tokenizer from a vocabulary file, as `Tokenizer.from_vocab` does."""
        self.tokenizer = Tokenizer.from_vocab(vocab_file, do_lower_case)
        self.vocab = self.tokenizer.vocab
        self.inv_vocab = {i: token for token, i in self.vocab.items()}

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text, without special tokens."""
        return self.tokenizer.tokenize(text)

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Return the id of each token; KeyError if the vocabulary lacks one."""
        return [self.vocab[token] for token in tokens]

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the token of each id; KeyError if there is no such id."""
        return [self.inv_vocab[i] for i in ids]
