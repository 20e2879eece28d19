"""The spans of pieces in the text as it was given."""

from __future__ import annotations

import itertools
import re

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bertworks import Tokenizer
from bertworks.text import unicode14
from bertworks.text.basic import basic_tokenize
from tests.text.texts import LETTERS, TEXTS, vocabulary


def test_spans_are_places_in_the_text_as_given() -> None:
    tokenizer = Tokenizer(vocabulary("x straße ##e i ##le 中 国 ᄀ ##ᅡ ##ᆨ ca ##fe ! ae"))
    text = "  CAFE\u0301! \x00中国\u200b İle\t각 Qq a\u0000é"
    aligned = tokenizer.encode_with_offsets(text)
    assert tokenizer.convert_ids_to_tokens(aligned.ids) == [
        *("ca", "##fe", "!", "中", "国", "i", "##le", "ᄀ", "##ᅡ", "##ᆨ", "[UNK]", "ae")
    ]
    assert [text[begin:end] for begin, end in aligned.spans] == [
        *("CA", "FE\u0301", "!", "中", "国", "İ", "le", "각", "각", "각", "Qq", "a\0é")
    ]
    assert aligned.words.tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 5]
    # Canonical ordering turns these two around.
    turned = Tokenizer(vocabulary("a ##\U00016ff0 ##\u302e")).encode_with_offsets("a\u302e\U00016ff0")
    assert (turned.ids.tolist(), turned.spans.tolist()) == ([5, 6, 7], [[0, 1], [2, 3], [1, 2]])
    for nothing in ("", " \n", "\u0301"):
        assert tokenizer.encode_with_offsets(nothing).spans.shape == (0, 2)


@given(TEXTS, st.booleans())
@example("\u302e\U00016ff0", True)  # canonical ordering turns them round
@settings(max_examples=200, deadline=None)
def test_spans_cover_the_text_and_say_what_they_hold(text: str, lower: bool) -> None:
    tokenizer = Tokenizer(vocabulary(LETTERS), lower)
    aligned = tokenizer.encode_with_offsets(text)
    covered = set(itertools.chain.from_iterable(range(begin, end) for begin, end in aligned.spans))
    kinds = unicode14.kinds()
    for place, character in enumerate(text):
        kind = kinds[ord(character)]
        if kind & unicode14.SPACE:
            assert place not in covered
        elif not kind & (unicode14.DELETED | unicode14.MARK):
            assert place in covered
    words = re.sub("[" + "".join(map(chr, np.flatnonzero(kinds & unicode14.SPACE))) + "]", " ", text).split(" ")
    words = [word for word in words if word]
    for piece, (begin, end), word in zip(aligned.ids, aligned.spans, aligned.words, strict=True):
        assert 0 <= begin < end <= len(text)
        assert text[begin] in words[word]
        held = "".join(basic_tokenize(text[begin:end], lower))
        token = tokenizer.tokens[piece].removeprefix("##")
        if token != "[UNK]":
            assert token.replace("ς", "σ") in held.replace("ς", "σ")
