"""The words of a text, and whether its characters are tagged."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.tasks.ner.words import sentences_of, unit_of, words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Marta Olsen sails.", "Marta|Olsen|sails|."),
        (
            ' "He re-elected 1.5%," said J. Doe of the U.S. today. ',
            '"|He|re-elected|1.5|%|,|"|said|J.|Doe|of|the|U.S.|today|.',
        ),
        ("Olsen's boat, Marta’s", "Olsen|'s|boat|,|Marta|’s"),
        ("小林在Porto。", "小|林|在|Porto|。"),
        ("naïve cafe\u0301\u3000हिन्दी", "naïve|cafe\u0301|हिन्दी"),
        ("...", ".|.|."),
        ("", ""),
    ],
)
def test_words_of_a_text(text: str, expected: str) -> None:
    assert "|".join(text[begin:end] for begin, end in words_of(text)) == expected


@given(st.text(max_size=30))
def test_words_cover_all_but_white_space(text: str) -> None:
    places = words_of(text)
    assert all(begin < end for begin, end in places)
    assert all(one[1] <= other[0] for one, other in pairwise(places))
    covered = {i for begin, end in places for i in range(begin, end)}
    assert not any(
        character.strip() and not character.isspace() and i not in covered for i, character in enumerate(text)
    )
    assert words_of(text, "character") == [(i, i + 1) for i in range(len(text))]


@pytest.mark.parametrize(
    ("texts", "unit"),
    [
        (["Berlin"], "word"),
        (["Anna met 小林 in Kyoto."], "word"),
        (["小林在Porto。"], "character"),
        (["きょうはいい天気"], "character"),
        (["วันนี้ฝนตก"], "character"),
        (["오늘은 비가 온다"], "word"),
        ([], "word"),
    ],
)
def test_scripts_without_blanks_are_tagged_by_characters(texts: list[str], unit: str) -> None:
    assert unit_of(texts) == unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        ('  He said: "Go." Then (it rained.) He went.\n', ['He said: "Go."', "Then (it rained.)", "He went."]),
        (
            "Dr. J. Smith of the U.S. Navy paid 3.5 million. OK",
            ["Dr. J. Smith of the U.S. Navy paid 3.5 million.", "OK"],
        ),
        ("it is e.g. this. so it goes on", ["it is e.g. this. so it goes on"]),
        ("小林在青湖镇。他说：“走。”然后走了！", ["小林在青湖镇。", "他说：“走。”", "然后走了！"]),
        ("a title\n \nand a text\nof two lines", ["a title", "and a text\nof two lines"]),
        (" \n", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[begin:end] for begin, end in sentences_of(text)] == expected


@given(st.text(st.sampled_from('ab A.?!"\n。”)')))
def test_sentences_leave_nothing_but_white_space_out(text: str) -> None:
    places = sentences_of(text)
    assert "".join(text[begin:end] for begin, end in places).replace(" ", "").replace("\n", "") == "".join(text.split())
    assert all(a[1] <= b[0] for a, b in pairwise(places))
