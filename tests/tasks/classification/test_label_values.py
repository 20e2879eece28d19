"""What labels mean is decided by their whole column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.tasks.classification.label_values import LabelValues, decide


def classes(values: Sequence[Any], **said: Any) -> tuple[str, tuple[str, ...], list[tuple[str, ...] | None]]:
    found = decide(values, **said)
    return found.kind, found.labels, [found.classes(value) for value in values]


# ------------------------------------------------------------------------------------------------- several at once
@given(st.integers(2, 5).flatmap(lambda k: st.lists(st.lists(st.sampled_from([0, 1]), min_size=k, max_size=k))))
def test_lists_of_0_and_1_are_a_class_for_each_place(rows: list[list[int]]) -> None:
    rows = [*rows, [1] * 3, [0] * 3] if not rows or len(rows[0]) == 3 else [*rows, [1] * len(rows[0])]
    expected = [tuple(str(i) for i, flag in enumerate(row) if flag) for row in rows]
    kind, labels, found = classes(rows)
    assert (kind, found) == ("multi", expected)
    assert labels == tuple(map(str, range(len(rows[0]))))
    names = tuple("abcde"[: len(rows[0])])
    assert decide(rows, labels=names).classes(rows[-2]) == tuple(names[int(i)] for i in expected[-2])
    assert classes([[bool(flag) for flag in row] for row in rows])[2] == expected
    assert classes([str(row) for row in rows])[2] == expected
    assert classes([str(row).replace(",", "") for row in rows])[2] == expected  # as NumPy writes them


def test_lists_of_one_1_are_one_class_a_row() -> None:
    rows = [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert classes(rows) == ("single", ("0", "1", "2"), [("1",), ("0",), ("2",)])
    assert decide(rows).notes == (
        "labels have 0 or 1 for each class (0, 1, 2), and each row has one 1; if a row may have several: --kind=multi",
    )
    assert decide(rows, kind="multi").kind == "multi"
    assert decide(rows, hot=("x", "y", "z")).labels == ("x", "y", "z")


@pytest.mark.parametrize("rows", [[[0], [1]], [[0], [0, 1]], [[1, 2], [0, 1]], [["a", "b"], ["a", "c"]]])
def test_other_lists_are_names(rows: list[list[object]]) -> None:
    kind, labels, found = classes(rows)
    assert kind == "multi"
    assert found == [tuple(map(str, row)) for row in rows]
    assert set(labels) == {str(part) for row in rows for part in row}


def test_lists_written_as_text_are_lists() -> None:
    values = ["['price', 'clean']", "['noise']", "[]", ""]
    expected = [("price", "clean"), ("noise",), (), ()]
    assert classes(values) == ("multi", ("clean", "noise", "price"), expected)
    assert decide(values).notes == ("labels such as \"['price', 'clean']\" are lists",)
    assert classes(['["a"]', '["a", "b"]'])[2] == [("a",), ("a", "b")]
    # Where one is no list, all are names.
    assert classes(["[a]", "['b']", "[a]"])[:2] == ("single", ("['b']", "[a]"))


@pytest.mark.parametrize(
    ("values", "separator"),
    [
        (["a;b", "a", "b", "", "b;a"], ";"),
        (["joy, love", "love", "joy", "fear", "fear, joy"], ","),
        (["2|7", "7", "2"], "|"),
        (["27", "2,27", "1,2,27", "1"], ","),
        (["Science, technology", "Sports", "Sports"], None),  # the parts do not recur
        (["news, local", "news, world", "sports, local club"], None),
        (["a", "b", "a"], None),
    ],
)
def test_names_that_recur_between_separators_are_several_classes(values: list[str], separator: str | None) -> None:
    found = decide(values)
    assert (found.kind, found.separator) == ("multi" if separator else "single", separator)
    if separator:
        assert [found.classes(v) for v in values] == [
            tuple(part.strip() for part in v.split(separator) if part) for v in values
        ]
        assert f"are several classes with {separator!r} between; if each is one class: --kind=single" in found.notes[0]
        assert decide(values, kind="single").separator is None
        assert decide(values, labels=("a", "b")).separator is None


def test_numbers_with_a_comma_are_asked() -> None:
    values = ["3,5", "4,5", "3,0", "4"]
    with pytest.raises(
        InputError, match="labels such as '3,5' may be numbers or several classes; give --kind=regression"
    ):
        decide(values)
    assert decide(values, kind="regression").kind == "regression"
    assert decide(values, kind="single").labels == ("3,0", "3,5", "4", "4,5")
    assert decide(values, separator=",").labels == ("0", "3", "4", "5")
    assert decide(["1", "2"]).notes == ()


def test_where_several_are_expected_any_separator_is_one() -> None:
    assert classes(["a; b", "c", ""], kind="multi") == ("multi", ("a", "b", "c"), [("a", "b"), ("c",), ()])
    assert classes(["a b", "c"], kind="multi")[1] == ("a b", "c")
    assert classes(["a/b", "c"], separator="/")[1] == ("a", "b", "c")


@pytest.mark.parametrize(
    ("value", "problem"),
    [([0, 1], r"has a list of 2 numbers, and there are 3 classes"), ([0, 2, 1], "2 is neither 0 nor 1")],
)
def test_other_numbers_than_0_and_1_are_told(value: list[int], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        decide([[0, 1, 1], [0, 0, 0]]).classes(value)


def test_names_for_another_number_of_classes_are_told() -> None:
    with pytest.raises(InputError, match="--labels: a, b: labels have 0 or 1 for 3 classes, a, b"):
        decide([[0, 1, 1], [0, 0, 0]], labels=("a", "b"))


# --------------------------------------------------------------------------------------------------------- no label
@pytest.mark.parametrize(
    ("values", "none"),
    [
        (["yes", "no"] * 10 + ["-"], "-"),
        (["yes", "no"] * 4 + ["-"], ""),  # more than a tenth
        (["+", "*"] * 10 + ["-"], ""),  # others are signs too
        (["yes", "no"] * 10 + ["-1"], "-1"),
        ([0, 1, 2] * 10 + [-1], "-1"),
        ([0.0, 1.0, 2.0] * 10 + [-1.0], "-1"),
        ([0, 1] * 10 + [-1], ""),  # negative, neutral, positive
        ([0, 1, 3] * 10 + [-1], ""),  # no numbers of classes
        ([-1, 1] * 10, ""),
    ],
)
def test_a_rare_sign_among_classes_means_no_label(values: list[Any], none: str) -> None:
    found = decide(values)
    assert found.none == (frozenset([none]) if none else frozenset())
    assert (found.classes(values[-1]) is None) == bool(none)
    assert len(found.labels) == len(set(values)) - bool(none)
    assert any(
        f"is taken for no label, in 1 of {len(values)} rows, which are left out" in note for note in found.notes
    ) == bool(none)


def test_what_labels_names_is_a_class() -> None:
    values = [0, 1, 2] * 10 + [-1]
    assert decide(values, labels=("-1", "0", "1", "2")).classes(-1) == ("-1",)
    assert decide([0, 1, -1] * 3, labels=("0", "1")).classes(-1) is None
    assert "-1 is taken for a class; if it means that there is no label" in decide([0, 1, -1] * 3).notes[0]


# ----------------------------------------------------------------------------------------------------------- numbers
def test_numbers_of_classes_are_no_scores_however_many() -> None:
    assert decide([*range(200)] * 2).kind == "single"
    assert decide([*range(200)]).kind == "regression"
    assert decide([*range(1, 201)] * 2).kind == "regression"


def test_spellings_are_merged_into_the_most_frequent() -> None:
    values = ["Pos", "pos", "neg", "pos", "Neg ", "neg"]
    kind, labels, found = classes(values, merge=True)
    assert (kind, labels) == ("single", ("neg", "pos"))
    assert found == [("pos",), ("pos",), ("neg",), ("pos",), ("neg",), ("neg",)]
    assert decide(values, merge=True).notes == (
        "2 spellings are merged (--merge_labels): 'Pos' is 'pos', 'Neg' is 'neg'",
    )
    assert decide(values, merge=True, labels=("POS", "NEG")).classes("pos") == ("POS",)
    assert decide(values).labels == ("Neg", "Pos", "neg", "pos")


VALUES = st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.text(st.sampled_from("ab,;[]'01 -"))


@given(st.lists(VALUES | st.lists(VALUES.filter(lambda v: v is not None), max_size=3), max_size=10))
def test_every_class_of_a_row_is_among_the_labels(values: list[Any]) -> None:
    found: LabelValues = decide(values)
    if found.kind != "regression":
        for value in values:
            for name in found.classes(value) or ():
                assert name in found.labels or name.lstrip("-") in ("nan", "inf")
