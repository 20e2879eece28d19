"""Places that are counted otherwise, in texts of all kinds."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.tasks.text_places import place_of

LETTERS = st.text("aé\u0301\u0327가ᄀ\u1161\U0001f600 ", max_size=8)
COUNTS = {
    "NFC": lambda text: len(normalize("NFC", text)),
    "NFD": lambda text: len(normalize("NFD", text)),
    "UTF-16": lambda text: len(text.encode("utf-16-le")) // 2,
    "UTF-8": lambda text: len(text.encode()),
}


@pytest.mark.parametrize("counted", COUNTS)
@given(before=LETTERS, answer=st.sampled_from(["été", "가", "zwölf \U0001f600", "noon"]), after=LETTERS)
def test_an_answer_is_found_where_another_count_says(counted: str, before: str, answer: str, after: str) -> None:
    context = f"{before}. é {answer} {after}"
    start = COUNTS[counted](f"{before}. é ")
    place = place_of(context, answer, start)
    assert place is not None
    # It may be at an earlier place too, if another way of counting says so.
    assert normalize("NFC", context[place.begin : place.end]) == normalize("NFC", answer)


@given(LETTERS, LETTERS, st.integers(-3, 60))
def test_what_is_found_is_the_answer(context: str, answer: str, start: int) -> None:
    place = place_of(context, answer, start)
    if place is not None:
        assert 0 <= place.begin < place.end <= len(context)
        found = context[place.begin : place.end]
        assert normalize("NFC", found).split() == normalize("NFC", answer).split()
