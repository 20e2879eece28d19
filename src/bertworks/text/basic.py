"""Text to words: the rules of the original's BasicTokenizer, on a string or on a block of many lines.

Both give *normalized* text: the input cleaned, lower-cased and stripped of accents as asked, its words apart. In
normalized text only a blank or a newline ends a word, a newline only where the input has one, and an ASCII sign is a
word by itself whether or not blanks surround it (putting them there is work that nobody needs).

The order is the original's: delete and blank characters, lower-case, decompose (NFD) and drop marks, then set
punctuation and CJK ideographs apart. The original does the last for ideographs first, word by word; the result is the
same, because case and accents never make or unmake one, and both stop at a blank.
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
# Words with other than ASCII characters that lie this near to each other are normalized as one piece of text.
_NEAR = 3
# The arrays that a stretch of this size needs fit a processor's second-level cache.
_STRETCH_BYTES = 1 << 18
_ANY_BLANK = re.compile(rb"[ \n]")


def basic_tokenize(text: str, do_lower_case: bool = True, strip_accents: bool | None = None) -> list[str]:
    """The words of `text`, as the original's BasicTokenizer gives them.

    Args:
        text: any string; unpaired surrogates are letters like any other.
        do_lower_case: lower-case, and unless `strip_accents` is False drop accents, as the original does.
        strip_accents: drop accents (NFD without non-spacing marks); None is "when lower-casing". With False,
            lower-casing keeps them, which the original cannot do.
    """
    return normalized(text, do_lower_case, drops_accents(do_lower_case, strip_accents)).split()


def drops_accents(do_lower_case: bool, strip_accents: bool | None) -> bool:
    """What `strip_accents` means: None follows the original, where lower-casing drops accents."""
    return do_lower_case if strip_accents is None else strip_accents


def normalized(text: str, lower: bool, strip: bool) -> str:
    """Normalized text (see the top of this file) of a string, with ASCII signs surrounded by blanks too."""
    if text.isascii():
        return (text.lower() if lower else text).translate(_ASCII_RULES)
    table = unicode14.kinds()
    codes = code_points(text)
    kinds = table.take(codes)
    # The newline is a space that stays, and an ASCII blank is one already.
    blanks = ((kinds & SPACE) != 0) & (codes != _NEWLINE)
    kept = (kinds & DELETED) == 0
    if blanks.any() or not kept.all():
        codes = np.where(blanks, np.uint32(_BLANK), codes)[kept]
        kinds = kinds[kept]
    if lower or strip:
        codes = code_points(folded(codes, kinds, lower, strip))
        kinds = table.take(codes)
    widths = _widths(strip).take(kinds)
    ends = np.cumsum(widths, dtype=np.int64)
    spread = np.repeat(codes, widths)
    apart = ends[widths == 3]
    spread[apart - 1] = _BLANK
    spread[apart - 3] = _BLANK
    return characters(spread)


def normalized_block(block: bytes, lower: bool, strip: bool, first_line: int = 1) -> bytes:
    """Normalized text (see the top of this file) of lines of UTF-8, at the speed of memory where they are ASCII.

    Raises:
        InputError: the block is not valid UTF-8; the message names the line, the block's first being `first_line`.
    """
    table = _ASCII_LOWER if lower else _ASCII_BLANKS
    if block.isascii():
        return block.translate(table, _ASCII_DELETED)
    parts = []
    for part in stretches(block):
        folded = part if part.isascii() else _fold_beyond_ascii(part, lower, strip, first_line)
        parts.append(folded.translate(table, _ASCII_DELETED))
        first_line += part.count(b"\n")
    return b"".join(parts)


def stretches(block: bytes) -> Iterator[bytes]:
    """A block cut into stretches of about 256 kB, after a newline where possible, else after a blank.

    No rule reaches across either, so the words stay the same. Between two blanks there is no cut, however far apart.
    """
    begin = 0
    while len(block) - begin > _STRETCH_BYTES:
        limit = begin + _STRETCH_BYTES
        end = block.rfind(b"\n", begin, limit) + 1 or block.rfind(b" ", begin, limit) + 1
        if not end:
            blank = _ANY_BLANK.search(block, limit)
            end = blank.end() if blank else len(block)
        yield block[begin:end]
        begin = end
    if begin < len(block):
        yield block[begin:]


def code_points(text: str) -> NDArray[np.uint32]:
    """The code points of a string, unpaired surrogates among them. Shape [len(text)]."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def characters(codes: NDArray[np.uint32]) -> str:
    """The string of some code points."""
    return codes.tobytes().decode("utf-32-le", "surrogatepass")


def folded(codes: NDArray[np.uint32], kinds: NDArray[np.uint8], lower: bool, strip: bool) -> str:
    """Text lower-cased and decomposed; what Unicode 14.0 does not assign bounds these rules and stays as it is."""
    pieces = []
    begin = 0
    for unassigned in np.flatnonzero(kinds & UNASSIGNED).tolist():
        pieces.append(fold(characters(codes[begin:unassigned]), lower, strip))
        pieces.append(chr(codes[unassigned]))
        begin = unassigned + 1
    pieces.append(fold(characters(codes[begin:]), lower, strip))
    return "".join(pieces)


def fold(text: str, lower: bool, strip: bool) -> str:
    """Python's own lower-casing (with its rule for the final sigma) and canonical decomposition."""
    text = text.lower() if lower else text
    return unicodedata.normalize("NFD", text) if strip else text


@cache
def _widths(strip: bool) -> NDArray[np.uint8]:
    """Characters that a character of each kind becomes: three when it is set apart, none for a mark that is dropped."""
    kinds = np.arange(2 * UNASSIGNED)
    dropped = ((kinds & MARK) != 0) & strip
    return np.where(dropped, 0, np.where(kinds & (PUNCTUATION | CJK), 3, 1)).astype(np.uint8)


def _fold_beyond_ascii(block: bytes, lower: bool, strip: bool, first_line: int) -> bytes:
    """The block with every word that is not plain ASCII normalized; the other words stay as they are.

    Words here are what ASCII blanks part: no rule reaches across one.
    """
    data = np.frombuffer(block, np.uint8)
    blanks = np.flatnonzero((data == _BLANK) | (data == _NEWLINE) | (data == 9) | (data == 13))
    beyond = data >= 128
    runs = np.flatnonzero(beyond & ~np.concatenate(([False], beyond[:-1])))
    # Word w lies between blanks w-1 and w; line numbers keep a piece of text inside its line.
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
    folded = normalized(text, lower, strip).encode("utf-8", "surrogatepass").split(b"\n")
    gaps = [block[end:begin] for end, begin in zip([0, *ends.tolist()], [*begins.tolist(), len(block)], strict=True)]
    return b"".join(chain.from_iterable(zip(gaps, [*folded, b""], strict=True)))


def _where_not_utf8(block: bytes, first_line: int) -> str:
    """The message for a block that is not UTF-8."""
    good = block.decode("utf-8", "ignore").encode()
    place = next((at for at, (ours, theirs) in enumerate(zip(block, good, strict=False)) if ours != theirs), len(good))
    line = first_line + block.count(b"\n", 0, place)
    return f"line {line}: byte {block[place]:#04x} is not valid UTF-8; convert the text to UTF-8"
