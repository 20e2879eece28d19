"""The original's tokenization rules one character at a time, slow and plain, to compare the fast code with.

Written from the rules alone; it shares no code with the package. It asks the running Python's `unicodedata`, as the
original does, so it is the truth where that is version 14.0, and elsewhere for characters that 14.0 knows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping


def is_blank(character: str) -> bool:
    return character in " \t\n\r" or unicodedata.category(character) == "Zs"


def is_deleted(character: str) -> bool:
    if character in "\t\n\r":
        return False
    return character in "\0\ufffd" or unicodedata.category(character) in ("Cc", "Cf")


def is_ideograph(character: str) -> bool:
    code = ord(character)
    if code < 0x3400:
        return False
    return (
        0x4E00 <= code <= 0x9FFF
        or 0x3400 <= code <= 0x4DBF
        or 0x20000 <= code <= 0x2A6DF
        or 0x2A700 <= code <= 0x2B73F
        or 0x2B740 <= code <= 0x2B81F
        or 0x2B820 <= code <= 0x2CEAF
        or 0xF900 <= code <= 0xFAFF
        or 0x2F800 <= code <= 0x2FA1F
    )


def is_punctuation(character: str) -> bool:
    code = ord(character)
    if 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126:
        return True
    return unicodedata.category(character).startswith("P")


def words(text: str, lower: bool) -> list[str]:
    """Basic tokenization: clean, set ideographs apart, split, lower-case, drop accents, split at punctuation."""
    cleaned = []
    for character in text:
        if is_deleted(character):
            continue
        if is_blank(character):
            cleaned.append(" ")
        elif is_ideograph(character):
            cleaned.append(f" {character} ")
        else:
            cleaned.append(character)
    found = []
    for chunk in "".join(cleaned).split():
        if lower:
            chunk = without_accents(chunk.lower())  # noqa: PLW2901
        found += [f" {character} " if is_punctuation(character) else character for character in chunk]
        found.append(" ")
    return "".join(found).split()


def without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text)
    return "".join([character for character in decomposed if unicodedata.category(character) != "Mn"])


def pieces(word: str, vocab: Mapping[str, int], max_characters: int = 200) -> list[str]:
    """WordPiece: the longest piece that fits, again and again; [UNK] for the whole word where none does."""
    if len(word) > max_characters:
        return ["[UNK]"]
    found = []
    begin = 0
    while begin < len(word):
        end = len(word)
        while end > begin:
            piece = word[begin:end] if begin == 0 else "##" + word[begin:end]
            if piece in vocab:
                break
            end -= 1
        if end == begin:
            return ["[UNK]"]
        found.append(piece)
        begin = end
    return found


def tokenize(text: str, vocab: Mapping[str, int], lower: bool) -> list[str]:
    return [piece for word in words(text, lower) for piece in pieces(word, vocab)]
