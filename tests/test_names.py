"""Names compared and listed, and errors in one line."""

from __future__ import annotations

from bertworks.errors import one_line
from bertworks.names import listed, plain_name


def test_names_that_differ_in_case_and_signs_are_the_same() -> None:
    assert plain_name("CoNLL-2003") == plain_name("conll 2003") == "conll2003"


def test_lists_are_one_short_line() -> None:
    assert listed([]) == "none"
    assert listed(["a\nb", "c" * 70]) == f"a b, {'c' * 60}"
    assert listed([str(number) for number in range(21)]).endswith("18, 19, ...")


def test_an_error_is_never_empty() -> None:
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(ValueError()) == "ValueError"
