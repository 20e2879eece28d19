"""The labels of a flag, and lists in the cells of a table as Python, JSON and NumPy write them."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.tasks.labels import labels_of, list_of

TEXTS = ["Anna's", "came", 'a "word"', "[UNK]", "."]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("neg,pos", ("neg", "pos")),
        (" neg, pos ", ("neg", "pos")),
        ('"Science, technology", Sports', ("Science, technology", "Sports")),
        ("5 o'clock,no", ("5 o'clock", "no")),
    ],
)
def test_labels_are_a_line_of_a_csv(text: str, labels: tuple[str, ...]) -> None:
    assert labels_of(text) == labels


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,b,", "--labels=a,b,: label 3 of 3 has no name; remove a comma"),
        ("a,,b", "--labels=a,,b: label 2 of 3 has no name"),
        ("a,b, a", "--labels=a,b, a: a is named twice"),
        ("a", "--labels=a: is one label; give at least two"),
        ('"a,b', '--labels="a,b: give labels with commas between; put a label that has a comma in quotes: "a, b",c'),
        ("a\nb", "--labels=a b: give labels with commas between"),
    ],
)
def test_labels_that_are_none_are_told_in_a_line(text: str, problem: str) -> None:
    with pytest.raises(InputError) as error:
        labels_of(text)
    assert str(error.value).startswith(problem)
    assert "\n" not in str(error.value)


@given(st.lists(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1), min_size=2))
def test_any_labels_can_be_said(labels: list[str]) -> None:
    names = list(dict.fromkeys(name.strip() for name in labels if name.strip()))
    if len(names) > 1:
        text = io.StringIO()
        csv.writer(text).writerow(names)
        assert labels_of(text.getvalue().strip("\r\n")) == tuple(names)


@pytest.mark.parametrize("written", [str(TEXTS), json.dumps(TEXTS), f" {TEXTS} "])
def test_lists_of_texts(written: str) -> None:
    assert list_of(written) == TEXTS


@pytest.mark.parametrize("texts", [["a", "b"], ["Anna's", "came", "x" * 30, "y" * 30, "z" * 30], ["O"]])
def test_lists_of_texts_of_numpy(texts: list[str]) -> None:
    assert list_of(str(np.array(texts, object))) == texts


@pytest.mark.parametrize(("written", "found"), [("[0 1 0]", ["0", "1", "0"]), ("[1, 2.5]", [1, 2.5]), ("[]", [])])
def test_lists_of_numbers(written: str, found: list[object]) -> None:
    assert list_of(written) == found


@pytest.mark.parametrize(
    "text", ["plain", "[see below]", "[1, [2]]", "[" * 100_000 + "]" * 100_000, "[open", "['a' 'b' ...]", None, 3]
)
def test_what_is_no_list(text: object) -> None:
    assert list_of(text) is None
