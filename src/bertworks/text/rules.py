"""The rules by which one tokenizer makes words: settings for `basic`, and the special tokens that it keeps whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle

import numpy as np

from bertworks.text import basic
from bertworks.text.offsets import OriginWords, words_with_origins
from bertworks.text.wordpiece import VERBATIM


@dataclass(frozen=True)
class Rules:
    """Settings.

    Attributes:
        lower: lower-case.
        strip: drop accents.
        kept: special tokens that stay whole if a text has them in exactly this spelling, and their ids. The text
            before and the text after one are tokenized separately.
    """

    lower: bool
    strip: bool
    kept: Mapping[str, int]

    def words(self, text: str) -> Iterator[str]:
        """Return the words of a text. A special token that is kept becomes a VERBATIM word."""
        for part, special in self._parts(text):
            if special:
                yield self._verbatim(part)
            else:
                yield from basic.basic_tokenize(part, self.lower, self.strip)

    def words_with_origins(self, text: str) -> OriginWords:
        """Return the same words, and the origins of their characters. A VERBATIM word counts as one character."""
        words: list[tuple[str, int]] = []
        begins, ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        at, known = 0, 0
        for part, special in self._parts(text):
            if special:
                found = OriginWords([(self._verbatim(part), 0)], np.array([0]), np.array([len(part)]))
            else:
                found = words_with_origins(part, self.lower, self.strip)
            words += [(word, first + known) for word, first in found.words]
            begins.append(found.begins + at)
            ends.append(found.ends + at)
            at += len(part)
            known += len(found.begins)
        return OriginWords(words, np.concatenate(begins), np.concatenate(ends))

    def normalized(self, block: bytes, first_line: int) -> bytes:
        """Normalize lines of UTF-8 (see `basic`). Special tokens that are kept become VERBATIM words.

        Raises:
            InputError: the block is not valid UTF-8. The message names the line; lines count from `first_line`.
        """
        if not self.kept:
            return basic.normalized_block(block, self.lower, self.strip, first_line)
        normalized = []
        # Latin-1 turns each byte into one character, which is enough to find ASCII tokens.
        for part, special in self._parts(block.decode("latin-1")):
            if special:
                normalized.append(f" {self._verbatim(part)} ".encode())
            else:
                lines = part.encode("latin-1")
                normalized.append(basic.normalized_block(lines, self.lower, self.strip, first_line))
                first_line += lines.count(b"\n")
        return b"".join(normalized)

    def _parts(self, text: str) -> Iterator[tuple[str, bool]]:
        """Yield the text between special tokens (False), and the special tokens that are kept (True), in order."""
        return zip([text] if not self.kept else self._pattern.split(text), cycle((False, True)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(f"({'|'.join(map(re.escape, self.kept))})")

    def _verbatim(self, token: str) -> str:
        return f"{VERBATIM}{self.kept[token]}"
