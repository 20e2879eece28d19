"""Lines of a file, with where they stand."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.text.text_files import decoded_lines, decoded_text


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


@pytest.mark.parametrize(("pack", "by"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")])
def test_a_compressed_file_is_called_so(pack, by: str) -> None:
    data = pack(b"a text\n" * 99)
    with pytest.raises(InputError, match=rf"^some\.gz: is compressed with {by}; decompress it"):
        list(decoded_lines(io.BytesIO(data), "some.gz"))
    with pytest.raises(InputError, match=rf"^some\.gz: is compressed with {by}; decompress it$"):
        decoded_text(data, "some.gz")


def test_a_whole_file_is_one_text() -> None:
    assert decoded_text(b"\xef\xbb\xbfa\nb", "x") == "a\nb"
    with pytest.raises(InputError, match=r"^x: byte 3 is not valid UTF-8; convert it to UTF-8$"):
        decoded_text(b"ab\xff", "x")
