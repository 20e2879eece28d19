"""Which texts are blank."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bertworks.tasks.texts import is_blank
from bertworks.text.basic import basic_tokenize


@given(st.text(st.sampled_from("a1é\u4e2d.\u0301\u200b\u00ad\ufeff\ufffd\0\t\n \u3000")) | st.text())
def test_a_text_is_blank_if_no_word_is_left_of_it(text: str) -> None:
    assert is_blank(text) == (basic_tokenize(text) == [])
