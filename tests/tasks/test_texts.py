"""Which texts are blank, and which are longer than a sequence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.sequences import encode
from bertworks.tasks.texts import LengthCount, is_blank
from bertworks.text.basic import basic_tokenize
from bertworks.text.tokenizer import Tokenizer
from tests.commands.runs import FIXTURES


@given(st.text(st.sampled_from("a1é\u4e2d.\u0301\u200b\u00ad\ufeff\ufffd\0\t\n \u3000")) | st.text())
def test_a_text_is_blank_if_no_word_is_left_of_it(text: str) -> None:
    assert is_blank(text) == (basic_tokenize(text) == [])


def test_long_texts_are_those_that_encoding_cuts() -> None:
    tokenizer = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
    texts = [
        "a text",
        ("a", "b c"),
        ("a text", ""),
        "",
        "a text of more words than there is room for",
        ("a b c", "d e f"),
    ]
    for longest in (3, 4, 5, 6, 8, 9, 16):
        counted = LengthCount(tokenizer, longest)
        counted.add(texts[:4])
        counted.add(texts[4:])
        pairs = [(text, None) if isinstance(text, str) else (text[0], text[1] or None) for text in texts]
        assert (counted.texts, counted.long) == (len(texts), encode(tokenizer, pairs, longest).cut)
        assert bool(counted.remarks()) == (counted.long > 0)
