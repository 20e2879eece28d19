"""Texts of the document from predicted tokens: equal to a slow, plain implementation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bertworks.tasks.squad.final_text import final_text
from bertworks.text.basic import basic_tokenize
from tests.tasks.squad.made_windows import texts
from tests.tasks.squad.slow_answers import slow_final_text


@given(texts, st.data(), st.booleans())
def test_final_text(words: list[str], data: st.DataObject, lower: bool) -> None:
    text = " ".join(" ".join(words).split(" "))
    tokens = basic_tokenize(text, lower)
    begin = data.draw(st.integers(0, len(tokens)))
    predicted = " ".join(tokens[begin : data.draw(st.integers(begin, len(tokens)))])
    predicted = predicted[data.draw(st.integers(0, 2)) :].strip()
    found = final_text(predicted, words, [" ".join(basic_tokenize(word, lower)) for word in words])
    assert found == slow_final_text(predicted, text, lower)
