"""Lists in the cells of a table, as Python, JSON and NumPy write them."""

import json

import numpy as np
import pytest

from bertworks.tasks.written_lists import list_of

TEXTS = ["Anna's", "came", 'a "word"', "[UNK]", "."]


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
