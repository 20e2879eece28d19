"""Text to words: the rules, against the plain implementation and on every Python."""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings

from bertworks.text import basic, unicode14
from bertworks.text.basic import basic_tokenize
from tests.text import slow_tokenizer
from tests.text.texts import TEXTS, same_unicode


@same_unicode
def test_the_frozen_table_is_that_of_unicode_14() -> None:
    def letter(code: int) -> str:
        character, category = chr(code), unicodedata.category(chr(code))
        if character in "\t\n\r " or category in ("Zs", "Zl", "Zp"):
            return "s"
        if character in "\0\ufffd" or category in ("Cc", "Cf"):
            return "d"
        if category.startswith("P") or (code < 128 and not character.isalnum()):
            return "p"
        return {"Mn": "m", "Cn": "u"}.get(category, "o")

    runs = [(key, len(list(group))) for key, group in itertools.groupby(map(letter, range(0x110000)))]
    assert "".join(f"{count if count > 1 else ''}{key}" for key, count in runs) == unicode14.RUNS


@pytest.mark.parametrize("lower", [True, False])
def test_every_code_point_between_two_letters(lower: bool) -> None:
    kinds = unicode14.kinds()
    for begin in range(0, 0x110000, 1 << 16):
        known = [code for code in range(begin, begin + (1 << 16)) if not kinds[code] & unicode14.UNASSIGNED]
        codes = range(begin, begin + (1 << 16)) if unicodedata.unidata_version == "14.0.0" else known
        text = " ".join([f"a{chr(code)}b" for code in codes])
        expected = slow_tokenizer.words(text, lower)
        assert basic_tokenize(text, lower) == expected
        block = basic.normalized_block(text.encode("utf-8", "surrogatepass"), lower, lower)
        signs_apart = re.sub(rb"([!-/:-@\[-`{-~])", rb" \1 ", block)
        assert signs_apart.decode("utf-8", "surrogatepass").split() == expected


@pytest.mark.parametrize(
    ("lower", "frozen"),
    [
        (True, "9f7c34f08042a79f9558125390f9a5c8ba56d35dd0573b23b9068b5962cd2064"),
        (False, "94cc0f8792dd1c69c398022bf8e0f7327e858d9802c054f3ad9fe321201a4ba4"),
    ],
)
def test_every_code_point_gives_the_same_on_every_python(lower: bool, frozen: str) -> None:
    """The digest of what Python 3.11 gives, where the plain implementation above has the same Unicode."""
    digest = hashlib.sha256()
    for begin in range(0, 0x110000, 0x400):
        text = " ".join(f"a{chr(code)}b" for code in range(begin, begin + 0x400) if not 0xD800 <= code < 0xE000)
        digest.update("\x1f".join(basic_tokenize(text, lower)).encode())
    assert digest.hexdigest() == frozen


@pytest.mark.parametrize("lower", [True, False])
def test_characters_unknown_to_unicode_14_pass_untouched_on_a_newer_python(
    monkeypatch: pytest.MonkeyPatch, lower: bool
) -> None:
    unassigned = [chr(code) for code in np.flatnonzero(unicode14.kinds() == unicode14.UNASSIGNED)[::97]]
    text = " ".join(f"Σ{character}Σ\u0301{character}é" for character in unassigned)
    fold, seen = basic.fold, []

    def newer(text: str, lower: bool, strip: bool) -> str:
        seen.append(text)
        return fold(text, lower, strip)

    monkeypatch.setattr(basic, "fold", newer)
    words = basic_tokenize(text, lower)
    assert bool(seen) == lower
    assert not set("".join(seen)) & set(unassigned)
    between = "σ{0}σ{0}e" if lower else "Σ{0}Σ\u0301{0}é"
    assert words == [between.format(character) for character in unassigned]


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_lower_casing_that_keeps_accents(text: str) -> None:
    kept = basic_tokenize(text, True, strip_accents=False)
    assert kept == slow_tokenizer.words(" ".join(slow_tokenizer.words(text, False)).lower(), False) or "Σ" in text
    block = basic.normalized_block(text.encode("utf-8", "surrogatepass"), True, False)
    assert b"".join(block.split()).decode("utf-8", "surrogatepass") == "".join(kept)


def test_accents_may_be_kept_or_dropped_whatever_the_case() -> None:
    assert basic_tokenize("Über ÉTÉ", True, strip_accents=False) == ["über", "été"]
    assert basic_tokenize("Über ÉTÉ", False, strip_accents=True) == ["Uber", "ETE"]
