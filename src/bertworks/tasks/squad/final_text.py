"""From predicted tokens back to the document: the text as it stands there, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Place(NamedTuple):
    """Where an answer stands: from a character of a word to before a character of a word, both by their numbers."""

    first_word: int
    first_character: int
    last_word: int
    end_character: int


def joined(tokens: Sequence[str]) -> str:
    """Tokens joined to words: "steve", "smith", "##s" -> "steve smiths"."""
    text = " ".join(tokens)
    if "##" in text:
        text = text.replace(" ##", "").replace("##", "")
    return " ".join(text.split())


def final_text(predicted: str, words: Sequence[str], tokenized: Sequence[str], number: int = 0) -> tuple[str, Place]:
    """A predicted text as it stands in the document: "steve smith" in "Steve Smith's" is "Steve Smith".

    The original's `get_final_text`: where the predicted text is not found among the words' tokens, or where these and
    the words have not as many characters, it is the words as they are. So numbers of characters, blanks left out, lead
    from one to the other.

    Args:
        predicted: tokens, `joined`.
        words: those that the tokens are of, at least one, without blanks in them.
        tokenized: for each word, its basic tokens joined by blanks.
        number: that of the first of `words` in the document.

    Returns:
        the text, and where it stands.
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
        return whole, Place(number, 0, number + len(words) - 1, len(words[-1]))
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
    place = Place(number + first_word, before, number + last_word, len(words[last_word]) - after)
    return whole[first + before : last - after], place
