"""From predicted tokens back to the text of the document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def joined(tokens: Sequence[str]) -> str:
    """Join tokens to words: "steve", "smith", "##s" -> "steve smiths"."""
    text = " ".join(tokens)
    if "##" in text:
        text = text.replace(" ##", "").replace("##", "")
    return " ".join(text.split())


def characters(spans: NDArray[np.int64], first: int, last: int) -> tuple[int, int]:
    """Return begin and end, in characters, of tokens `first` to `last`, given the `spans` [T, 2] of all tokens."""
    chosen = spans[first : last + 1]
    # Canonical ordering may have moved the characters of a token, so look at all of them.
    return int(chosen[:, 0].min()), int(chosen[:, 1].max())


def final_text(predicted: str, words: Sequence[str], tokenized: Sequence[str]) -> str:
    """Find a predicted text in the document's words: "steve smith" in "Steve Smith's" is "Steve Smith".

    This is the original's `get_final_text`. The words and their tokens have equally many characters, blanks not
    counted, and counting characters leads from one to the other. If they have not, or if the tokens do not contain the
    predicted text, the words are returned unchanged.

    Args:
        predicted: tokens, `joined`.
        words: the words of these tokens, at least one, without blanks in them.
        tokenized: for each word, its basic tokens joined by blanks.
    """
    whole = " ".join(words)
    text = " ".join(filter(None, tokenized))
    begin = text.find(predicted)
    blanks = text.count(" ")
    if (
        begin < 0
        or len(predicted) in (0, len(text))  # not found; or everything, as most often
        or len(whole) - len(words) + 1 != len(text) - blanks
    ):
        return whole
    # Count the characters before and after the text. It begins near the first word and ends near the last.
    before = begin - text.count(" ", 0, begin)
    after = len(text) - blanks - before - len(predicted) + predicted.count(" ")
    first_word, last_word, first, last = 0, len(words) - 1, 0, len(whole)
    while before >= len(words[first_word]):
        before -= len(words[first_word])
        first += len(words[first_word]) + 1
        first_word += 1
    while after >= len(words[last_word]):
        after -= len(words[last_word])
        last -= len(words[last_word]) + 1
        last_word -= 1
    return whole[first + before : last - after]
