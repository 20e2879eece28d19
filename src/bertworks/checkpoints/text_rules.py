"""The rules that a model's files have for text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TextRules:
    """How a model's files say that text becomes words; the defaults are the original's.

    Attributes:
        do_lower_case: None where nothing tells.
        strip_accents: None: where text is lower-cased.
        split_ideographs, split_special_tokens, max_input_chars_per_word: see `Tokenizer.from_vocab`.
        longest: the most tokens of a sequence; None where nothing tells.
        notes: what has no effect here, one line each.
        refusal: why these are not BERT's rules; None where they are.
    """

    do_lower_case: bool | None = None
    strip_accents: bool | None = None
    split_ideographs: bool = True
    split_special_tokens: bool = True
    max_input_chars_per_word: int = 200
    longest: int | None = None
    notes: tuple[str, ...] = ()
    refusal: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the rules as arguments of `Tokenizer`."""
        return {
            "strip_accents": self.strip_accents,
            "split_ideographs": self.split_ideographs,
            "split_special_tokens": self.split_special_tokens,
            "max_input_chars_per_word": self.max_input_chars_per_word,
        }
