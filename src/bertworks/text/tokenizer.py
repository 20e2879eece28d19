"""The original BERT's tokenizer, exactly, from one text at a time to gigabytes.

Text becomes words (`basic`), words become pieces of a vocabulary (`wordpiece`). A single text goes through both as they
are; blocks of lines go through `words` and `pieces`, which remember every word and work on arrays. Unicode is that of
version 14.0 on every Python (`unicode14`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.text import basic
from bertworks.text.offsets import whitespace_words
from bertworks.text.pairs import Pair, joined
from bertworks.text.pieces import Ids, PieceCache
from bertworks.text.rules import Rules
from bertworks.text.vocab_file import (
    CLS,
    MASK,
    PAD,
    SEP,
    SPECIAL_TOKENS,
    UNK,
    read_vocab,
    write_hugging_face,
    write_vocab,
)
from bertworks.text.wordpiece import CONTINUES, VERBATIM, WordPiece


class Aligned(NamedTuple):
    """The pieces of a text and where they come from.

    Attributes:
        ids: the pieces. Shape [P].
        spans: begin and end of each piece in the text, in characters. Shape [P, 2]. Accents that were dropped belong to
            the letter before them; pieces of one character that became several share its span.
        words: the number of the whitespace-separated word each piece belongs to, from 0 on. Shape [P].
    """

    ids: Ids
    spans: NDArray[np.int64]
    words: NDArray[np.int64]


class Tokenizer:
    """Text to the pieces of a vocabulary.

    What gives lists works on single texts and keeps nothing. `encode_batch` and `encode_lines` remember the words they
    meet (see `PieceCache` for how many), so they are for one thread at a time.

    Attributes:
        tokens: id -> token.
        vocab: token -> id; of equal tokens, the last one's.
        dtype: of arrays of ids: uint16, or uint32 above 65,536 tokens.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        do_lower_case: bool = True,
        *,
        strip_accents: bool | None = None,
        split_special_tokens: bool = True,
        max_input_chars_per_word: int = 200,
        vocab_file: Path | str = "the vocabulary",
    ) -> None:
        """A tokenizer over tokens in the order of their ids; `vocab_file` is what messages call them."""
        self.tokens = list(tokens)
        self.vocab = {token: i for i, token in enumerate(self.tokens)}
        self.do_lower_case = do_lower_case
        self.strip_accents = strip_accents
        self.split_special_tokens = split_special_tokens
        self.max_input_chars_per_word = max_input_chars_per_word
        self.vocab_file = str(vocab_file)
        self.dtype = np.dtype(np.uint16 if len(self.tokens) <= 1 << 16 else np.uint32)
        kept = (
            {}
            if split_special_tokens
            else {token: self.vocab[token] for token in SPECIAL_TOKENS if token in self.vocab}
        )
        self._rules = Rules(do_lower_case, basic.drops_accents(do_lower_case, strip_accents), kept)

    @classmethod
    def from_vocab(
        cls,
        vocab_file: Path | str,
        do_lower_case: bool = True,
        *,
        strip_accents: bool | None = None,
        split_special_tokens: bool = True,
        max_input_chars_per_word: int = 200,
    ) -> Tokenizer:
        """A tokenizer over a vocabulary file: one token a line, the line's number from 0 on being its id.

        Args:
            vocab_file: the file.
            do_lower_case: lower-case the text, and unless `strip_accents` is False drop its accents.
            strip_accents: drop accents; None, as in the original, when lower-casing.
            split_special_tokens: "[MASK]" in a text is the three words "[", "mask", "]", as in the original; with
                False, it and the other special tokens are found in texts, in just that spelling, and kept.
            max_input_chars_per_word: a word of more characters is unknown.

        Raises:
            InputError: the file cannot be read, is empty or is not UTF-8.
        """
        return cls(
            read_vocab(vocab_file),
            do_lower_case,
            strip_accents=strip_accents,
            split_special_tokens=split_special_tokens,
            max_input_chars_per_word=max_input_chars_per_word,
            vocab_file=vocab_file,
        )

    # The vocabulary

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return len(self.tokens)

    @property
    def pad_id(self) -> int:
        """The id of [PAD]."""
        return self._special(PAD)

    @property
    def unk_id(self) -> int:
        """The id of [UNK]."""
        return self._special(UNK)

    @property
    def cls_id(self) -> int:
        """The id of [CLS]."""
        return self._special(CLS)

    @property
    def sep_id(self) -> int:
        """The id of [SEP]."""
        return self._special(SEP)

    @property
    def mask_id(self) -> int:
        """The id of [MASK]."""
        return self._special(MASK)

    @cached_property
    def is_continuation(self) -> NDArray[np.bool_]:
        """Whether a token continues a word. Shape [V]."""
        return np.array([token.startswith(CONTINUES) for token in self.tokens])

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the tokens joined by newlines: the same however the file was written."""
        return hashlib.sha256("\n".join(self.tokens).encode()).hexdigest()

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Token by token.

        Raises:
            InputError: the vocabulary lacks one.
        """
        try:
            return [self.vocab[token] for token in tokens]
        except KeyError as missing:
            raise InputError(f"{self.vocab_file}: has no token {missing.args[0]!r}; mend --vocab_file") from None

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Id by id.

        Raises:
            InputError: there is no such id.
        """
        ids = [int(i) for i in ids]
        wrong = next((i for i in ids if not 0 <= i < len(self.tokens)), None)
        if wrong is not None:
            raise InputError(f"{self.vocab_file}: has {len(self.tokens)} tokens, so none of id {wrong}")
        return [self.tokens[i] for i in ids]

    def save(self, folder: Path | str, longest: int | None = None) -> None:
        """Write `vocab.txt`, and `tokenizer.json` and `tokenizer_config.json` for Hugging Face's tools.

        `longest`: how many tokens the model beside it can read, where those tools are to cut texts.
        """
        write_vocab(Path(folder) / "vocab.txt", self.tokens)
        write_hugging_face(
            folder,
            self.tokens,
            self.do_lower_case,
            self.strip_accents,
            self.split_special_tokens,
            self.max_input_chars_per_word,
            longest,
        )

    # Single texts

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text, without special ones."""
        return [self.tokens[i] for i in self.encode(text)]

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without special tokens.

        Raises:
            InputError: a word is unknown and the vocabulary has no [UNK].
        """
        return [piece for word in self._rules.words(text) for piece in self._wordpiece.ids(word)]

    def encode_pair(self, text_a: str, text_b: str | None = None, max_seq_length: int | None = None) -> Pair:
        """One text or two with [CLS] and [SEP], cut to `max_seq_length` as the original's classifier cuts them.

        A second text without tokens is none. Of two, the longer one (the second where they are equal) loses its last
        token until both fit.

        Raises:
            InputError: `max_seq_length` leaves no room for the special tokens, or the vocabulary lacks them.
        """
        a, b = self.encode(text_a), self.encode(text_b) if text_b else []
        return joined(a, b, self.cls_id, self.sep_id, max_seq_length)

    def encode_with_offsets(self, text: str) -> Aligned:
        """The ids of a text as `encode` gives them, with the span and the whitespace-separated word of each."""
        found = self._rules.words_with_origins(text)
        ids: list[int] = []
        firsts: list[int] = []
        lasts: list[int] = []
        for word, first in found.words:
            pieces = self._wordpiece.ids(word)
            # The first piece is what the others leave: all of the word where it is one piece or [UNK].
            lengths = [len(self.tokens[piece].removeprefix(CONTINUES)) for piece in pieces[1:]]
            length = 1 if word.startswith(VERBATIM) else len(word)
            edges = list(accumulate(lengths, initial=first + length - sum(lengths)))
            ids += pieces
            firsts += [first, *edges[:-1]]
            lasts += edges
        # Over all characters of a piece: canonical ordering may have moved the one that came first.
        edges_of_all = np.array([firsts, lasts], np.int64).T.ravel()
        begins = np.minimum.reduceat(np.append(found.begins, 0), edges_of_all)[::2]
        ends = np.maximum.reduceat(np.append(found.ends, 0), edges_of_all)[::2]
        spans = np.stack((begins, ends), axis=1)
        return Aligned(np.array(ids, self.dtype), spans, whitespace_words(text).take(spans[:, 0]))

    # Many texts

    def encode_batch(self, texts: Sequence[str | bytes]) -> tuple[Ids, NDArray[np.int64]]:
        """The ids of many texts, without special tokens, in one flat array.

        Args:
            texts: strings, or UTF-8 as bytes.

        Returns:
            ids [T], and where each text begins in them, with the end of the last: starts [len(texts) + 1].

        Raises:
            InputError: bytes that are not UTF-8 (the message counts texts as lines); an unknown word, and no [UNK].
        """
        if not texts:
            return np.empty(0, self.dtype), np.zeros(1, np.int64)
        lines = [text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text for text in texts]
        block = b"\n".join(lines)
        if block.count(b"\n") != len(lines) - 1:
            block = b"\n".join([line.replace(b"\n", b" ") for line in lines])
        return self.encode_lines(block + b"\n")

    def encode_lines(self, block: bytes) -> tuple[Ids, NDArray[np.int64]]:
        """The ids of the lines of a block of UTF-8, without special tokens, in one flat array: the fastest way.

        Only the byte b"\\n" ends a line (so "\\r", "\\x0b", U+2028 and the like do not). A newline at the end of the
        block ends its last line; it does not begin another.

        Returns:
            ids [T], and where each line begins in them, with the end of the last: starts [lines + 1].

        Raises:
            InputError: a line that is not UTF-8 (lines count from 1); an unknown word, and no [UNK].
        """
        ids: list[Ids] = [np.empty(0, self.dtype)]
        starts: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        count, lines = 0, 1
        for part in basic.stretches(block):
            more, newlines = self._cache.encode(self._rules.normalized(part, lines))
            ids.append(more)
            starts.append(newlines + count)
            count += len(more)
            lines += len(newlines)
        if block and not block.endswith(b"\n"):
            starts.append(np.array([count]))
        return np.concatenate(ids), np.concatenate(starts)

    # Within

    def __getstate__(self) -> dict[str, Any]:
        """Without the words met so far, which may be many."""
        return {name: value for name, value in self.__dict__.items() if name != "_cache"}

    def _special(self, token: str) -> int:
        """The id of a special token, for one who needs it."""
        if token not in self.vocab:
            raise InputError(f"{self.vocab_file}: has no {token}; mend --vocab_file")
        return self.vocab[token]

    @cached_property
    def _wordpiece(self) -> WordPiece:
        return WordPiece(self.vocab, UNK, self.max_input_chars_per_word, self.vocab_file)

    @cached_property
    def _cache(self) -> PieceCache:
        return PieceCache(self._wordpiece, self.dtype)


class FullTokenizer:
    """The original's tokenizer by its own name and methods, for programs written against it."""

    def __init__(self, vocab_file: Path | str, do_lower_case: bool = True) -> None:
        """A tokenizer over a vocabulary file, as `Tokenizer.from_vocab`."""
        self.tokenizer = Tokenizer.from_vocab(vocab_file, do_lower_case)
        self.vocab = self.tokenizer.vocab
        self.inv_vocab = {i: token for token, i in self.vocab.items()}

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text, without special ones."""
        return self.tokenizer.tokenize(text)

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Token by token; KeyError for one that the vocabulary lacks."""
        return [self.vocab[token] for token in tokens]

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Id by id; KeyError where there is none."""
        return [self.inv_vocab[i] for i in ids]
