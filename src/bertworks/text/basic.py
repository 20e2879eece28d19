"""From text to words: the rules of the original's BasicTokenizer, for a string or a block of many lines.

Both give *normalized* text: cleaned, lower-cased and without accents as the settings say, and with its words apart. In
normalized text only a blank or a newline ends a word, there is a newline only where the input has one, and an ASCII
sign is a word by itself, with or without blanks around it.

The order is the original's: delete characters and turn others into blanks, lower-case, decompose (NFD) and drop marks,
then set punctuation and CJK ideographs apart. The original sets ideographs apart first. The result is the same, because
lower-casing and dropping accents never make or remove an ideograph, and neither looks beyond a blank.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.text import unicode14
from bertworks.text.unicode14 import CJK, DELETED, MARK, PUNCTUATION, SPACE, UNASSIGNED

ASCII_SIGNS = bytes(code for code in range(33, 127) if not chr(code).isalnum())
_ASCII_DELETED = bytes(code for code in (*range(32), 127) if code not in b"\t\n\r")
_ASCII_BLANKS = bytes.maketrans(b"\t\r", b"  ")
_ASCII_LOWER = _ASCII_BLANKS.lower()
_ASCII_RULES = {code: f" {chr(code)} " for code in ASCII_SIGNS} | dict.fromkeys(_ASCII_DELETED) | {9: " ", 13: " "}

_BLANK = ord(" ")
_NEWLINE = ord("\n")
# Words with non-ASCII characters are normalized as one piece of text if at most this many words apart.
_NEAR = 3
# The arrays for a stretch of this size fit into a processor's second-level cache.
STRETCH_BYTES = 1 << 18
_ANY_BLANK = re.compile(rb"[ \n]")


def basic_tokenize(
    text: str, do_lower_case: bool = True, strip_accents: bool | None = None, split_ideographs: bool = True
) -> list[str]:
    """Return the words of `text`, as the original's BasicTokenizer does.

    Args:
        text: any string. Unpaired surrogates are treated as letters.
        do_lower_case: lower-case the text, and drop its accents unless `strip_accents` is False.
        strip_accents: drop accents (NFD without non-spacing marks). None means the same as `do_lower_case`, as in the
            original.
        split_ideographs: make every CJK ideograph a word, as the original does.
    """
    return normalized(text, do_lower_case, drops_accents(do_lower_case, strip_accents), split_ideographs).split()


def drops_accents(do_lower_case: bool, strip_accents: bool | None) -> bool:
    """Resolve `strip_accents`: None follows the original, where lower-casing drops accents."""
    return do_lower_case if strip_accents is None else strip_accents


def normalized(text: str, lower: bool, strip: bool, ideographs: bool = True) -> str:
    """Normalize a string (see the top of this file). Here ASCII signs get blanks around them.

    CJK ideographs are set apart unless `ideographs` is False.
    """
    if text.isascii():
        return (text.lower() if lower else text).translate(_ASCII_RULES)
    codes, kinds = _clean(text, lower, strip)
    widths = _widths(strip, ideographs).take(kinds)
    ends = np.cumsum(widths, dtype=np.int64)
    spread = np.repeat(codes, widths)
    apart = ends[widths == 3]
    spread[apart - 1] = _BLANK
    spread[apart - 3] = _BLANK
    return characters(spread)


def clean(text: str, lower: bool, strip: bool) -> str:
    """Normalize a string, but set no words apart."""
    codes, kinds = _clean(text, lower, strip)
    return characters(codes[((kinds & MARK) == 0) | (not strip)])


def _clean(text: str, lower: bool, strip: bool) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Return the code points of a cleaned, lower-cased and decomposed string, marks included, and their kinds."""
    table = unicode14.kinds()
    codes = code_points(text)
    kinds = table.take(codes)
    # The newline is a space that stays. The ASCII blank needs no change.
    blanks = ((kinds & SPACE) != 0) & (codes != _NEWLINE)
    kept = (kinds & DELETED) == 0
    if blanks.any() or not kept.all():
        codes = np.where(blanks, np.uint32(_BLANK), codes)[kept]
        kinds = kinds[kept]
    if lower or strip:
        codes = code_points(folded(codes, kinds, lower, strip))
        kinds = table.take(codes)
    return codes, kinds


def normalized_block(block: bytes, lower: bool, strip: bool, first_line: int = 1, ideographs: bool = True) -> bytes:
    """Normalize lines of UTF-8 (see the top of this file). ASCII lines take only `bytes.translate`.

    Raises:
        InputError: the block is not valid UTF-8. The message names the line; lines count from `first_line`.
    """
    table = _ASCII_LOWER if lower else _ASCII_BLANKS
    if block.isascii():
        return block.translate(table, _ASCII_DELETED)
    parts = []
    for part in stretches(block):
        folded = part if part.isascii() else _fold_beyond_ascii(part, lower, strip, first_line, ideographs)
        parts.append(folded.translate(table, _ASCII_DELETED))
        first_line += part.count(b"\n")
    return b"".join(parts)


def stretches(block: bytes) -> Iterator[bytes]:
    """Cut a block into stretches of about 256 kB, after a newline if possible, else after a blank.

    No rule looks beyond either, so the words stay the same. A word is never cut, however long it is.
    """
    begin = 0
    while len(block) - begin > STRETCH_BYTES:
        limit = begin + STRETCH_BYTES
        end = block.rfind(b"\n", begin, limit) + 1 or block.rfind(b" ", begin, limit) + 1
        if not end:
            blank = _ANY_BLANK.search(block, limit)
            end = blank.end() if blank else len(block)
        yield block[begin:end]
        begin = end
    if begin < len(block):
        yield block[begin:]


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of a string, which may have unpaired surrogates. Shape [len(text)]."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def characters(codes: NDArray[np.uint32]) -> str:
    """Return the string of some code points."""
    return codes.tobytes().decode("utf-32-le", "surrogatepass")


def folded(codes: NDArray[np.uint32], kinds: NDArray[np.uint8], lower: bool, strip: bool) -> str:
    """Lower-case and decompose text. Characters unassigned in Unicode 14.0 stay, and the rules stop at them."""
    pieces = []
    begin = 0
    for unassigned in np.flatnonzero(kinds & UNASSIGNED).tolist():
        pieces.append(fold(characters(codes[begin:unassigned]), lower, strip))
        pieces.append(chr(codes[unassigned]))
        begin = unassigned + 1
    pieces.append(fold(characters(codes[begin:]), lower, strip))
    return "".join(pieces)


def fold(text: str, lower: bool, strip: bool) -> str:
    """Apply Python's lower-casing (with its rule for the final sigma) and canonical decomposition."""
    text = text.lower() if lower else text
    return unicodedata.normalize("NFD", text) if strip else text


@cache
def _widths(strip: bool, ideographs: bool) -> NDArray[np.uint8]:
    """Return how many characters a character of each kind becomes: three if set apart, none for a dropped mark."""
    kinds = np.arange(2 * UNASSIGNED)
    dropped = ((kinds & MARK) != 0) & strip
    apart = PUNCTUATION | CJK if ideographs else PUNCTUATION
    return np.where(dropped, 0, np.where(kinds & apart, 3, 1)).astype(np.uint8)


def _fold_beyond_ascii(block: bytes, lower: bool, strip: bool, first_line: int, ideographs: bool) -> bytes:
    """Normalize every word of the block that has non-ASCII characters. The other words stay as they are.

    Words are separated by ASCII blanks here: no rule looks beyond one.
    """
    data = np.frombuffer(block, np.uint8)
    blanks = np.flatnonzero((data == _BLANK) | (data == _NEWLINE) | (data == 9) | (data == 13))
    beyond = data >= 128
    runs = np.flatnonzero(beyond & ~np.concatenate(([False], beyond[:-1])))
    # Word w is between blanks w-1 and w. Line numbers keep a piece of text inside its line.
    words = np.searchsorted(blanks, runs)
    lines = np.searchsorted(np.flatnonzero(data == _NEWLINE), runs)
    parted = np.flatnonzero((np.diff(words) > _NEAR) | (np.diff(lines) > 0))
    edges = np.concatenate(([-1], blanks, [len(block)]))
    begins = edges[words[np.concatenate(([0], parted + 1))]] + 1
    ends = edges[words[np.concatenate((parted, [len(words) - 1]))] + 1]
    spans = [block[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
    try:
        text = b"\n".join(spans).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise InputError(_where_not_utf8(block, first_line)) from None
    folded = normalized(text, lower, strip, ideographs).encode("utf-8", "surrogatepass").split(b"\n")
    gaps = [block[end:begin] for end, begin in zip([0, *ends.tolist()], [*begins.tolist(), len(block)], strict=True)]
    return b"".join(chain.from_iterable(zip(gaps, [*folded, b""], strict=True)))


def _where_not_utf8(block: bytes, first_line: int) -> str:
    """Return the message for a block that is not UTF-8."""
    good = block.decode("utf-8", "ignore").encode()
    offset = next((i for i, (ours, theirs) in enumerate(zip(block, good, strict=False)) if ours != theirs), len(good))
    line = first_line + block.count(b"\n", 0, offset)
    return f"line {line}: byte {block[offset]:#04x} is not valid UTF-8; convert the text to UTF-8"
