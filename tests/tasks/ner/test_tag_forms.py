"""The forms of tags in files."""

from __future__ import annotations

from collections import Counter

import pytest

from bertworks.errors import InputError
from bertworks.tasks.ner.tag_forms import PREFIXED, are_tags, form_of


@pytest.mark.parametrize(
    ("tags", "read"),
    [
        (["O", "PER-B", "PER-I", "new_place-B"], ["O", "B-PER", "I-PER", "B-new_place"]),
        (["O", "PER_B", "PER_S"], ["O", "B-PER", "S-PER"]),
        (["O", "PER", "art-film", "LOC2"], ["O", "I-PER", "I-art-film", "I-LOC2"]),
    ],
)
def test_other_forms(tags: list[str], read: list[str]) -> None:
    form = form_of(set(tags))
    assert [form.read(tag) for tag in tags] == read
    assert form.note
    with pytest.raises(InputError, match="'XX-' is no tag; the others of the file are"):
        form.read("XX-")


def test_numbers_have_the_names_that_a_flag_gives() -> None:
    form = form_of({"0", "2", "1"}, ["O", "PER-B", "PER-I"])
    assert (form.read("0"), form.read("2"), form.is_of_numbers) == ("O", "I-PER", True)
    with pytest.raises(InputError, match="its tags are numbers; name them in their order: --labels=O,B-PER"):
        form_of({"0", "2"})
    with pytest.raises(InputError, match="has the tag 3, but --labels names 2, number 0 to 1"):
        form_of({"0", "1", "3", "11"}, ["O", "B-X"])


@pytest.mark.parametrize(
    "tags", [["O"], ["O", "B-PER", "Q"], ["B", "I", "O"], ["O", "X-PER"], ["NN", "VB"], ["O", "S_name"], []]
)
def test_all_else_is_taken_for_the_usual_form(tags: list[str]) -> None:
    assert form_of(tags) is PREFIXED


@pytest.mark.parametrize(
    ("values", "labels", "expected"),
    [
        ("O O B-PER I-PER O", [], True),
        ("O PER-B PER-I", [], True),
        ("O O PER O", [], True),
        ("O " * 19 + "typo", [], True),
        ("the O Canada I sang", [], False),
        ("NN VB NN", [], False),
        ("0 1 0 0", ["O", "B-X"], True),
        ("0 1 0 0", [], False),
    ],
)
def test_columns_of_tags(values: str, labels: list[str], expected: bool) -> None:
    assert are_tags(Counter(values.split()), labels) is expected
