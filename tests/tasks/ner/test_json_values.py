"""Files of JSON: what is one, and what its values are."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertworks.errors import InputError
from bertworks.tasks.ner.json_values import is_json, json_values


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", "", True),
        ("a.jsonl", "no", True),
        ("a.txt", '{"text": "a"}\n', True),
        ("a.txt", '\n["a", {"entities": []}]\n', True),
        ("a.txt", "[ O\nB O\n", False),
        ("a.txt", "[\n{\n", False),
        ("a.txt", "[" * 100_000, False),
        ("a.txt", "", False),
    ],
)
def test_what_is_json(tmp_path: Path, name: str, content: str, expected: bool) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert is_json(path) is expected


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ('{"text": "a", "data": 3}', [{"text": "a", "data": 3}]),
        ('{"text": "a", "annotations": [{"start": 0}]}', [{"text": "a", "annotations": [{"start": 0}]}]),
        ('{"data": {"text": "a"}, "annotations": []}', [{"data": {"text": "a"}, "annotations": []}]),
        ('["a", {"entities": []}]', [["a", {"entities": []}]]),
        ('[["a", {"entities": []}]]', [["a", {"entities": []}]]),
        ('{"a": 1}\n\n{"b": 2}\n', [{"a": 1}, {"b": 2}]),
        ('{\n"data": [\n{"a": 1}]}', [{"a": 1}]),
        ("", []),
    ],
)
def test_values(tmp_path: Path, content: str, values: list[object]) -> None:
    path = tmp_path / "some.json"
    path.write_text(content)
    assert [value.parsed() for value in json_values(path)] == values


def test_a_bad_first_line_is_one_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text('{"a": \n{"b": 2}\n')
    first, second = json_values(path)
    with pytest.raises(InputError, match=r"some.jsonl, line 1: is not JSON \("):
        first.parsed()
    assert second.parsed() == {"b": 2}
