"""A large JSON object read member by member: the same values as at once, and errors with line and column."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.tasks.squad import json_stream

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def read(content: str | bytes, step: int = 1) -> list[Any]:
    """The members of "data", the file being read `step` characters at a time or more."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "READ_CHARACTERS", step)
        path = Path(folder) / "some.json"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        try:
            return list(json_stream.members(path, "data"))
        except InputError as error:
            raise InputError(str(error).replace(str(path), "FILE")) from None


@given(st.lists(VALUE), VALUE, VALUE, st.sampled_from([None, 1]), st.integers(1, 9))
def test_members_are_those_of_the_whole(data: list[Any], before: Any, after: Any, indent: int, step: int) -> None:
    content = json.dumps({"before": before, "data": data, "after": after}, indent=indent, ensure_ascii=indent == 1)
    assert read(content, step) == data
    assert read(b"\xef\xbb\xbf" + content.encode() + b"\r\n ", step) == data


@given(st.lists(VALUE), st.dictionaries(st.text(max_size=3), VALUE), st.integers(1, 9))
def test_a_whole_object_and_what_stands_beside_a_list(data: list[Any], more: dict[str, Any], step: int) -> None:
    content = {**more, "data": data}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "READ_CHARACTERS", step)
        path = Path(folder) / "some.json"
        path.write_text(json.dumps(content))
        assert json_stream.whole(path) == content
        others: dict[str, Any] = {}
        assert list(json_stream.members(path, "data", others)) == data
        assert others == {name: value for name, value in more.items() if name != "data"}
        path.write_text(json.dumps(data))
        assert list(json_stream.members(path, "data")) == data


def test_of_a_large_file_only_what_is_needed_to_see_a_mistake_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text('{"data": [{"a": 1 2}' + " " * (4 * json_stream.READ_CHARACTERS) + "]}")
    with path.open() as stream:
        parser = json_stream.JsonParser(path, stream)
        with pytest.raises(InputError, match="line 1, column 19: not the JSON expected"):
            list(parser.members("data", {}))
        left = len(stream.read())
    assert len(path.read_text()) - left == json_stream.READ_CHARACTERS


@given(st.lists(VALUE, min_size=1), st.data(), st.integers(1, 50))
def test_a_file_that_was_cut_off_is_no_json(data: list[Any], draw: st.DataObject, step: int) -> None:
    content = json.dumps({"data": data})
    with pytest.raises(InputError, match=r"^FILE, line 1, column \d+: not the JSON expected"):
        read(content[: draw.draw(st.integers(0, len(content) - 1))], step)


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize(
    ("content", "place", "what"),
    [
        ("", "line 1, column 1", "'{' was expected"),
        ('"data"', "line 1, column 1", "'{' was expected"),
        ("[1,]", "line 1, column 4", "Expecting value"),
        ('{"a": 1,}', "line 1, column 9", "a name in quotation marks was expected"),
        ('{"data": [1], 2: 3}', "line 1, column 15", "a name in quotation marks was expected"),
        ('{"data": {}}', "line 1, column 10", "'[' was expected"),
        ('{"data": [1, 2],\n "a": 1}\n\n x', "line 4, column 2", "more behind its end"),
        ('{"data": [1\n2]}', "line 2, column 1", "',' was expected"),
        ('{"data": [1,\n{"a": "b" "c"}]}', "line 2, column 11", "Expecting ',' delimiter"),
        ('{"data": [\r\n\r\n"é" , "b]}', "line 3, column 7", "Unterminated string starting at"),
        ('{"data": [' + "[" * 100_000, "line 1, column 11", "lists or objects are nested too deeply"),
    ],
)
def test_what_is_no_json_is_found(content: str, place: str, what: str, step: int) -> None:
    with pytest.raises(InputError) as caught:
        read(content, step)
    assert str(caught.value).startswith(f"FILE, {place}: not the JSON expected ({what}")


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^FILE, line 2, byte 4: not UTF-8"):
        read(b'{"data":\n ["\xff"]}')
    with pytest.raises(InputError, match="no such file"):
        list(json_stream.members(tmp_path / "none.json", "data"))
    with pytest.raises(InputError, match="a folder, not a file"):
        list(json_stream.members(tmp_path, "data"))
    (tmp_path / "a.csv").write_text("id,question\n")
    with pytest.raises(InputError, match=r"a\.csv: is a table of text; questions come as JSON"):
        list(json_stream.members(tmp_path / "a.csv", "data"))


def test_unpaired_surrogates_and_numbers_that_are_none_are_as_in_python() -> None:
    first, second = read(b'\xef\xbb\xbf{"data": ["\\ud800", NaN]}')
    assert first == "\ud800"
    assert second != second  # noqa: PLR0124
