"""The words of a text: what a tagger tags in texts that are not cut into words yet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import numpy as np

from bertworks.text import basic, unicode14

TagUnit = Literal["word", "character"]

# A word, in a text whose characters are replaced by their kinds: c Chinese, p punctuation, o other, blank.
_WORD = re.compile(rb"[cp]|o(?:[op]*o)?")
_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.){2,}|[A-Z]\.")
_CLITICS = ("'s", "’s")

_SENTENCE_END = re.compile("[.!?…][\"'”’)\\]]*(?=\\s+[^a-z\\s])|[。！？；][”’」』）]*|\n[ \\t]*\n")
_SHORTENED = ("Dr.", "Mr.", "Mrs.", "Ms.", "Prof.", "St.", "vs.", "No.", "Nos.", "e.g.", "i.e.", "cf.", "Fig.", "Inc.")

# Letters of scripts that are written without blanks: Thai to Lao, Myanmar, Khmer, kana, ideographs.
_UNDIVIDED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def words_of(text: str, unit: TagUnit = "word") -> list[tuple[int, int]]:
    """Find the words of a text for a model trained on words, or all its characters for one trained on characters.

    Words are cut by simple rules, nearly as in the CoNLL files: at white space, around each Chinese character, around
    punctuation at the beginning or end of a word, and before "'s". Punctuation inside a word stays ("1.5",
    "re-elected"), and so does the full stop of an abbreviation ("U.S.", "J.").

    Returns:
        begin and end of each, in characters.
    """
    if unit == "character":
        return [(i, i + 1) for i in range(len(text))]
    kinds = unicode14.kinds().take(basic.code_points(text))
    choices = [(kinds & unicode14.SPACE) != 0, (kinds & unicode14.CJK) != 0, (kinds & unicode14.PUNCTUATION) != 0]
    shape = np.select(choices, [ord(" "), ord("c"), ord("p")], ord("o")).astype(np.uint8).tobytes()
    words: list[tuple[int, int]] = []
    for match in _WORD.finditer(shape):
        begin, end = match.span()
        if words and words[-1][1] == begin and _ABBREVIATION.fullmatch(text, words[-1][0], end):
            words[-1] = (words[-1][0], end)
        elif end - begin > 2 and text[end - 2 : end] in _CLITICS:
            words += [(begin, end - 2), (end - 2, end)]
        else:
            words.append((begin, end))
    return words


def sentences_of(text: str) -> list[tuple[int, int]]:
    """Find the sentences of a text: begin and end of each, in characters, white space at the ends left out.

    A sentence ends at a full stop, a question or an exclamation mark, with closing quotation marks and brackets, if a
    blank and no small letter follows; at one of Chinese text; and at an empty line. A full stop of an abbreviation
    ("U.S.", "J.", "Dr.") does not end one.
    """
    found, begin = [], 0
    for match in _SENTENCE_END.finditer(text):
        word = text[begin : match.start() + 1].rpartition(" ")[2]
        if match[0][0] == "." and (_ABBREVIATION.fullmatch(word.lstrip("(\"'")) or word in _SHORTENED):
            continue
        found.append((begin, match.end()))
        begin = match.end()
    found.append((begin, len(text)))
    stripped = [(first, text[first:last]) for first, last in found]
    return [
        (first + len(part) - len(part.lstrip()), first + len(part.rstrip())) for first, part in stripped if part.strip()
    ]


def unit_of(texts: Iterable[str]) -> TagUnit:
    """Return what to tag in texts: characters if a third of them are of scripts without blanks."""
    undivided = total = 0
    for text in texts:
        undivided += len(_UNDIVIDED.findall(text))
        total += len("".join(text.split()))
    return "character" if undivided and 3 * undivided >= total else "word"
