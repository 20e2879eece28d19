"""Lines of a file, with where they stand."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.text.lines import decoded_lines


@given(st.text(), st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_lines_are_the_text_without_a_byte_order_mark_in_front(text: str, mark: bytes) -> None:
    text = text.lstrip("\ufeff").encode("utf-8", "ignore").decode()
    found = list(decoded_lines(io.BytesIO(mark + text.encode()), "some.txt"))
    assert "".join(line for _, line in found) == text
    assert [location for location, _ in found] == [f"some.txt, line {n}" for n in range(1, len(found) + 1)]


def test_a_byte_order_mark_counts_in_later_lines() -> None:
    assert [line for _, line in decoded_lines([b"a\n", "\ufeffb".encode()], "x")] == ["a\n", "\ufeffb"]


def test_a_line_that_is_not_utf_8_is_told() -> None:
    lines = decoded_lines([b"a\n", b"\xff\n"], "some.txt")
    assert next(lines) == ("some.txt, line 1", "a\n")
    with pytest.raises(InputError, match=r"^some\.txt, line 2: is not valid UTF-8; fix --input_file$"):
        next(lines)
