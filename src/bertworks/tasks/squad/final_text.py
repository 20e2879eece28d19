"""From predicted tokens back to the document: the text as it stands there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def joined(tokens: Sequence[str]) -> str:
    """Tokens joined to words: "steve", "smith", "##s" -> "steve smiths"."""
    text = " ".join(tokens)
    if "##" in text:
        text = text.replace(" ##", "").replace("##", "")
    return " ".join(text.split())


def characters(spans: NDArray[np.int64], first: int, last: int) -> tuple[int, int]:
    """Begin and end, in characters, of what tokens cover, given the `spans` [T, 2] of all of a document's tokens."""
    of_these = spans[first : last + 1]
    # Over all of them: canonical ordering may have moved the one that came first.
    return int(of_these[:, 0].min()), int(of_these[:, 1].max())


def final_text(predicted: str, words: Sequence[str], tokenized: Sequence[str]) -> str:
    """A predicted text as it stands in the document: "steve smith" in "Steve Smith's" is "Steve Smith".

    The original's `get_final_text`: where the predicted text is not found among the words' tokens, or where these and
    the words have not as many characters, it is the words as they are. So numbers of characters, blanks left out, lead
    from one to the other.

    Args:
        predicted: tokens, `joined`.
        words: those that the tokens are of, at least one, without blanks in them.
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
    # Characters before and after it. The beginning is near the first word, the end near the last.
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
