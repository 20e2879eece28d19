"""Documents: their words are the original's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bertworks.tasks.squad.documents import Document
from tests.tasks.squad import slow_squad


@given(st.text("ab \t\r\n\u202f\xa0\u3000\x0b\x00", max_size=30))
def test_words_are_the_originals(text: str) -> None:
    words, word_of = slow_squad.words_of(text)
    document = Document(text)
    assert document.words == words
    assert [text[begin:end] for begin, end in document.word_spans] == words
    assert [document.word_at(character) for character in range(len(text))] == word_of
