"""The original BERT's tokenizer, with the same result, for single texts and for gigabytes.

Text becomes words (`basic`), and words become pieces of a vocabulary (`wordpiece`). Single texts go through these two
functions. Blocks of lines go through `words` and `PieceCache`, which remember every word and work on arrays. Characters
are classified by Unicode 14.0 on every Python (`unicode14`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.text import basic
from bertworks.text.offsets import Aligned, aligned
from bertworks.text.pairs import Pair, joined
from bertworks.text.rules import AddedToken, Rules
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
from bertworks.text.wordpiece import CONTINUES, Ids, PieceCache, WordPiece


class Tokenizer:
    """Text to the pieces of a vocabulary.

    The methods that return lists work on single texts and keep nothing. `encode_batch` and `encode_lines` remember the
    words that they meet (see `PieceCache`), so they are not thread-safe.

    Attributes:
        tokens: id -> token.
        vocab: token -> id. Of equal tokens the last one counts.
        dtype: the type of ids in arrays: uint16, or uint32 above 65,536 tokens.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        do_lower_case: bool = True,
        *,
        strip_accents: bool | None = None,
        split_special_tokens: bool = True,
        max_input_chars_per_word: int = 200,
        split_ideographs: bool = True,
        added: Sequence[AddedToken] = (),
        vocab_file: Path | str = "the vocabulary",
    ) -> None:
        """Make a tokenizer from tokens in the order of their ids; `added` ones stay whole, as special ones may."""
        self.tokens = list(tokens)
        self.vocab = {token: i for i, token in enumerate(self.tokens)}
        self.do_lower_case = do_lower_case
        self.strip_accents = strip_accents
        self.split_special_tokens = split_special_tokens
        self.max_input_chars_per_word = max_input_chars_per_word
        self.split_ideographs = split_ideographs
        self.added = tuple(added)
        self.vocab_file = str(vocab_file)
        self.dtype = np.dtype(np.uint16 if len(self.tokens) <= 1 << 16 else np.uint32)
        kept = [token for token in self._whole_tokens() if not (split_special_tokens and token.special)]
        self._rules = Rules(do_lower_case, basic.drops_accents(do_lower_case, strip_accents), kept, split_ideographs)

    @classmethod
    def from_vocab(
        cls,
        vocab_file: Path | str,
        do_lower_case: bool = True,
        *,
        strip_accents: bool | None = None,
        split_special_tokens: bool = True,
        max_input_chars_per_word: int = 200,
        split_ideographs: bool = True,
    ) -> Tokenizer:
        """Make a tokenizer from a vocabulary file: one token on each line, whose number from 0 is the token's id.

        Args:
            do_lower_case: lower-case the text, and drop its accents unless `strip_accents` is False.
            strip_accents: drop accents. None means the same as `do_lower_case`, as in the original.
            split_special_tokens: "[MASK]" in a text becomes the three words "[", "mask", "]", as in the original. With
                False, a special token that a text has in exactly its spelling is kept whole.
            max_input_chars_per_word: a longer word is unknown.
            split_ideographs: every CJK ideograph is a word, as in the original.

        Raises:
            InputError: the file cannot be read, is empty or is not UTF-8.
        """
        return cls(
            read_vocab(vocab_file),
            do_lower_case,
            strip_accents=strip_accents,
            split_special_tokens=split_special_tokens,
            max_input_chars_per_word=max_input_chars_per_word,
            split_ideographs=split_ideographs,
            vocab_file=vocab_file,
        )

    # The vocabulary

    @property
    def vocab_size(self) -> int:
        """The number of ids."""
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
        """Whether each token continues a word. Shape [V]."""
        return np.array([token.startswith(CONTINUES) for token in self.tokens])

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the tokens joined by newlines. It does not depend on the line ends of the file."""
        return hashlib.sha256("\n".join(self.tokens).encode()).hexdigest()

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Return the id of each token.

        Raises:
            InputError: the vocabulary lacks a token.
        """
        try:
            return [self.vocab[token] for token in tokens]
        except KeyError as missing:
            raise InputError(f"{self.vocab_file}: has no token {missing.args[0]!r}; fix --vocab_file") from None

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the token of each id.

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

        `longest` is the most tokens that the model can read, to which those tools should cut texts.
        """
        write_vocab(Path(folder) / "vocab.txt", self.tokens)
        write_hugging_face(
            folder,
            self._pieces,
            sorted(self._whole_tokens(), key=lambda token: token.id),
            do_lower_case=self.do_lower_case,
            strip_accents=self.strip_accents,
            split_special_tokens=self.split_special_tokens,
            max_input_chars_per_word=self.max_input_chars_per_word,
            split_ideographs=self.split_ideographs,
            longest=longest,
        )

    def _whole_tokens(self) -> list[AddedToken]:
        """Return the five special tokens that the vocabulary has, and the added ones."""
        added = {token.content for token in self.added}
        specials = [token for token in SPECIAL_TOKENS if token in self.vocab and token not in added]
        return [*(AddedToken(self.vocab[token], token, special=True, is_piece=True) for token in specials), *self.added]

    # Single texts

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text, without special tokens."""
        return [self.tokens[i] for i in self.encode(text)]

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens.

        Raises:
            InputError: a word is unknown and the vocabulary has no [UNK].
        """
        return [piece for word in self._rules.words(text) for piece in self._wordpiece.ids(word)]

    def encode_pair(self, text_a: str, text_b: str | None = None, max_seq_length: int | None = None) -> Pair:
        """Encode one text or two with [CLS] and [SEP], cut to `max_seq_length` as in the original's classifier.

        A second text without tokens does not count. Of two texts the longer one (the second if they are equal) loses
        its last token until both fit.

        Raises:
            InputError: `max_seq_length` leaves no room for the special tokens, or the vocabulary lacks them.
        """
        a, b = self.encode(text_a), self.encode(text_b) if text_b else []
        return joined(a, b, self.cls_id, self.sep_id, max_seq_length)

    def encode_with_offsets(self, text: str) -> Aligned:
        """Return the ids of a text as `encode` does, with the span and the whitespace-separated word of each."""
        found = self._rules.words_with_origins(text)
        return aligned(text, found, self._wordpiece, self.tokens, self.dtype)

    # Many texts

    def encode_batch(self, texts: Sequence[str | bytes]) -> tuple[Ids, NDArray[np.int64]]:
        """Return the ids of many texts, without special tokens, in one flat array.

        Args:
            texts: strings, or UTF-8 as bytes.

        Returns:
            ids [T], and the start of each text in them with the end of the last: starts [len(texts) + 1].

        Raises:
            InputError: bytes are not UTF-8 (the message counts texts as lines); a word is unknown, without [UNK].
        """
        if not texts:
            return np.empty(0, self.dtype), np.zeros(1, np.int64)
        lines = [text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text for text in texts]
        block = b"\n".join(lines)
        if block.count(b"\n") != len(lines) - 1:
            block = b"\n".join([line.replace(b"\n", b" ") for line in lines])
        return self.encode_lines(block + b"\n")

    def encode_lines(self, block: bytes) -> tuple[Ids, NDArray[np.int64]]:
        """Return the ids of the lines of a block of UTF-8, without special tokens, in one flat array: the fastest way.

        Only the byte b"\\n" ends a line ("\\r", "\\x0b", U+2028 and others do not). A newline at the end of the block
        ends its last line and does not begin another.

        Returns:
            ids [T], and the start of each line in them with the end of the last: starts [lines + 1].

        Raises:
            InputError: a line is not UTF-8 (lines count from 1); a word is unknown, without [UNK].
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

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the words met so far, which may be many."""
        return {name: value for name, value in self.__dict__.items() if name != "_cache"}

    @property
    def _pieces(self) -> dict[str, int]:
        """What words are cut into: the vocabulary without the tokens that were only added."""
        added = {token.content for token in self.added if not token.is_piece}
        return {token: i for token, i in self.vocab.items() if token not in added}

    def _special(self, token: str) -> int:
        """Return the id of a special token, which the vocabulary must have."""
        if token not in self.vocab:
            raise InputError(f"{self.vocab_file}: has no {token}; fix --vocab_file")
        return self.vocab[token]

    @cached_property
    def _wordpiece(self) -> WordPiece:
        return WordPiece(self._pieces, UNK, self.max_input_chars_per_word, self.vocab_file)

    @cached_property
    def _cache(self) -> PieceCache:
        return PieceCache(self._wordpiece, self.dtype)
