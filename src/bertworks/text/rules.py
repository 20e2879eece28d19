"""The rules by which one tokenizer makes words: settings for `basic`, and the tokens that it keeps whole.

Those tokens are looked for as Hugging Face's `tokenizers` does: first the ones that a text has in exactly their
spelling, then, in the cleaned and lower-cased rest, the others. Where several begin at one place, the longest counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle

import numpy as np

from bertworks.text import basic
from bertworks.text.offsets import OriginText, OriginWords, clean_with_origins, words_of
from bertworks.text.wordpiece import VERBATIM


@dataclass(frozen=True)
class AddedToken:
    """A token that stays whole where a text has it.

    Attributes:
        id, content: the token.
        normalized: whether it is looked for in the cleaned and lower-cased text, in its own cleaned and lower-cased
            form, instead of in the text as it stands.
        special: whether it is one of the model's signs, such as [MASK].
        single_word: whether it must not touch a letter, a digit or an underscore.
        is_piece: whether words are cut into it, too: it is in the vocabulary of pieces.
    """

    id: int
    content: str
    normalized: bool = False
    special: bool = False
    single_word: bool = False
    is_piece: bool = False


@dataclass(frozen=True)
class Rules:
    """Settings.

    Attributes:
        lower: lower-case.
        strip: drop accents.
        ideographs: make every CJK ideograph a word.
        kept: the tokens that stay whole. The text before and the text after one are tokenized separately.
    """

    lower: bool
    strip: bool
    kept: Sequence[AddedToken] = ()
    ideographs: bool = True

    def words(self, text: str) -> Iterator[str]:
        """Return the words of a text. A token that is kept becomes a VERBATIM word."""
        for part, token in self._parts(text):
            if token:
                yield _verbatim(token)
            else:
                yield from basic.basic_tokenize(part, self.lower, self.strip, self.ideographs)

    def words_with_origins(self, text: str) -> OriginWords:
        """Return the same words, and the origins of their characters. A VERBATIM word counts as one character."""
        words: list[tuple[str, int]] = []
        begins, ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        known = 0
        for found in self._found_with_origins(text):
            words += [(word, first + known) for word, first in found.words]
            begins.append(found.begins)
            ends.append(found.ends)
            known += len(found.begins)
        return OriginWords(words, np.concatenate(begins), np.concatenate(ends))

    def normalized(self, block: bytes, first_line: int) -> bytes:
        """Normalize lines of UTF-8 (see `basic`). Tokens that are kept become VERBATIM words.

        Raises:
            InputError: the block is not valid UTF-8. The message names the line; lines count from `first_line`.
        """
        if self._cleaned is None and not any(content in block for content in self._spellings):
            return basic.normalized_block(block, self.lower, self.strip, first_line, self.ideographs)
        try:
            text = block.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            # Raises, too, with the line.
            return basic.normalized_block(block, self.lower, self.strip, first_line, self.ideographs)
        normalized = []
        for part, token in self._parts(text):
            if token:
                normalized.append(f" {_verbatim(token)} ".encode())
            else:
                lines = part.encode("utf-8", "surrogatepass")
                normalized.append(basic.normalized_block(lines, self.lower, self.strip, first_line, self.ideographs))
        return b"".join(normalized)

    def _parts(self, text: str) -> Iterator[tuple[str, AddedToken | None]]:
        """Cut the text into stretches (None) and tokens that are kept."""
        for part, is_token in _split(self._verbatim_ones, text):
            if is_token:
                yield part, self._by_spelling[part]
            elif self._cleaned is None:
                yield part, None
            else:
                for rest, is_cleaned in _split(self._cleaned, basic.clean(part, self.lower, self.strip)):
                    yield rest, self._by_cleaned[rest] if is_cleaned else None

    def _found_with_origins(self, text: str) -> Iterator[OriginWords]:
        """Yield the words of each stretch, and each token that is kept."""
        at = 0
        for part, is_token in _split(self._verbatim_ones, text):
            if is_token:
                yield _one(self._by_spelling[part], at, at + len(part))
            else:
                codes, begins, ends = clean_with_origins(part, self.lower, self.strip)
                cleaned = OriginText(codes, begins + at, ends + at)
                begin = 0
                for rest, is_cleaned in _split(self._cleaned, basic.characters(codes)):
                    end = begin + len(rest)
                    if is_cleaned:
                        token = self._by_cleaned[rest]
                        yield _one(token, int(cleaned.begins[begin:end].min()), int(cleaned.ends[begin:end].max()))
                    else:
                        yield words_of(cleaned.part(begin, end), self.ideographs)
                    begin = end
            at += len(part)

    @cached_property
    def _by_spelling(self) -> dict[str, AddedToken]:
        return {token.content: token for token in self.kept if not token.normalized and token.content}

    @cached_property
    def _by_cleaned(self) -> dict[str, AddedToken]:
        """The tokens that are looked for in cleaned text, by their cleaned form; of equal ones the first counts."""
        found: dict[str, AddedToken] = {}
        for token in self.kept:
            if token.normalized and (cleaned := basic.clean(token.content, self.lower, self.strip)):
                found.setdefault(cleaned, token)
        return found

    @cached_property
    def _spellings(self) -> list[bytes]:
        return [content.encode("utf-8", "surrogatepass") for content in self._by_spelling]

    @cached_property
    def _verbatim_ones(self) -> re.Pattern[str] | None:
        return _pattern(self._by_spelling)

    @cached_property
    def _cleaned(self) -> re.Pattern[str] | None:
        return _pattern(self._by_cleaned)


def _pattern(tokens: dict[str, AddedToken]) -> re.Pattern[str] | None:
    """Return a pattern for any of the tokens, the longest first; None where there are none."""
    if not tokens:
        return None
    choices = [
        rf"(?<!\w){re.escape(spelling)}(?!\w)" if tokens[spelling].single_word else re.escape(spelling)
        for spelling in sorted(tokens, key=len, reverse=True)
    ]
    return re.compile(f"({'|'.join(choices)})")


def _split(pattern: re.Pattern[str] | None, text: str) -> Iterator[tuple[str, bool]]:
    """Cut a text into stretches (False) and what the pattern matches (True), in turns."""
    return zip([text] if pattern is None else pattern.split(text), cycle((False, True)))


def _one(token: AddedToken, begin: int, end: int) -> OriginWords:
    """Return a token as the only word of a text."""
    return OriginWords([(_verbatim(token), 0)], np.array([begin]), np.array([end]))


def _verbatim(token: AddedToken) -> str:
    return f"{VERBATIM}{token.id}"
