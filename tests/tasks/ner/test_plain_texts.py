"""Running text, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.ner.plain_texts import is_running_text, read_plain
from bertworks.tasks.ner.words import TagUnit


@pytest.mark.parametrize(
    ("content", "unit", "expected"),
    [
        ("Anna met Bob.\n\nThey went to Kyoto.\n", "word", True),
        ("Anna O\nmet O\n\nBob B-PER\n", "word", False),
        ("Anna\nmet\n\nBob\n", "word", False),
        ("Anna met\tO\nBob O\n", "word", False),
        ("# Anna met Bob\nAnna\nmet\n", "word", False),
        ("Anna O\n" * 30 + "broken\n", "word", False),
        ("小林在青湖镇\n他笑\n", "character", True),
        ("小林在青湖镇\n他笑\n", "word", False),
        ("小\n林\n2004\n", "character", False),
        ("", "word", False),
    ],
)
def test_running_text(tmp_path: Path, content: str, unit: TagUnit, expected: bool) -> None:
    path = tmp_path / "some.txt"
    path.write_text(content)
    assert is_running_text(path, unit) is expected


def test_lines_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_text("Anna met Bob.\n\nThey went.\n")
    first, second = read_plain(path, BadRows())
    assert (first.text, first.spans, second.id) == ("Anna met Bob.", None, "1")
    assert second.location == f"{path}, line 3"
    path.write_bytes(b"good\n\xff\n")
    bad = BadRows("skip")
    assert [text.text for text in read_plain(path, bad)] == ["good"]
    with pytest.raises(InputError, match=r"line 2: is not UTF-8"):
        list(read_plain(path, BadRows()))
