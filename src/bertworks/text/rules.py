"""How one tokenizer makes words: its settings for the rules of `basic`, and the special tokens that it keeps whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle

import numpy as np

from bertworks.text import basic
from bertworks.text.offsets import Words, words_with_origins
from bertworks.text.wordpiece import VERBATIM


@dataclass(frozen=True)
class Rules:
    """Settings.

    Attributes:
        lower: lower-case.
        strip: drop accents.
        kept: special tokens that stay whole where a text has them in just this spelling, and their ids. Text on either
            side of one is tokenized by itself.
    """

    lower: bool
    strip: bool
    kept: Mapping[str, int]

    def words(self, text: str) -> Iterator[str]:
        """The words of a text; a special token that is kept is a VERBATIM word."""
        for part, special in self._parts(text):
            if special:
                yield self._verbatim(part)
            else:
                yield from basic.basic_tokenize(part, self.lower, self.strip)

    def words_with_origins(self, text: str) -> Words:
        """The same words, and where their characters come from; a VERBATIM word counts as one character."""
        words: list[tuple[str, int]] = []
        begins, ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        at, known = 0, 0
        for part, special in self._parts(text):
            if special:
                found = Words([(self._verbatim(part), 0)], np.array([0]), np.array([len(part)]))
            else:
                found = words_with_origins(part, self.lower, self.strip)
            words += [(word, first + known) for word, first in found.words]
            begins.append(found.begins + at)
            ends.append(found.ends + at)
            at += len(part)
            known += len(found.begins)
        return Words(words, np.concatenate(begins), np.concatenate(ends))

    def normalized(self, block: bytes, first_line: int) -> bytes:
        """Normalized text (see `basic`) of lines of UTF-8, with VERBATIM words among the others.

        Raises:
            InputError: the block is not valid UTF-8; the message names the line, the block's first being `first_line`.
        """
        if not self.kept:
            return basic.normalized_block(block, self.lower, self.strip, first_line)
        normalized = []
        # Latin-1 shows bytes as characters one to one, which is enough to find ASCII tokens.
        for part, special in self._parts(block.decode("latin-1")):
            if special:
                normalized.append(f" {self._verbatim(part)} ".encode())
            else:
                lines = part.encode("latin-1")
                normalized.append(basic.normalized_block(lines, self.lower, self.strip, first_line))
                first_line += lines.count(b"\n")
        return b"".join(normalized)

    def _parts(self, text: str) -> Iterator[tuple[str, bool]]:
        """The text cut into stretches (False) and special tokens that are kept (True), in turns."""
        return zip([text] if not self.kept else self._pattern.split(text), cycle((False, True)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(f"({'|'.join(map(re.escape, self.kept))})")

    def _verbatim(self, token: str) -> str:
        return f"{VERBATIM}{self.kept[token]}"
