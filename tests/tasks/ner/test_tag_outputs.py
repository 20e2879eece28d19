"""Files of predicted tags."""

from __future__ import annotations

from pathlib import Path

from bertworks.data.bad_rows import BadRows
from bertworks.tasks.ner.annotated_texts import read_cluener
from bertworks.tasks.ner.entities import spans
from bertworks.tasks.ner.tag_files import read_columns
from bertworks.tasks.ner.tag_outputs import write_cluener, write_columns

FIXTURES = Path(__file__).parents[2] / "fixtures" / "tags"


def test_cluener_there_and_back(tmp_path: Path) -> None:
    first, second = read_cluener(FIXTURES / "cluener_test.json", BadRows())
    assert (first.id, first.tags, second.words) == ("7", None, tuple("云 很 高"))
    answers = [("7", "小林来了", spans(("B-name", "I-name", "O", "O"))), ("x8", "云 很 高", [])]
    path = tmp_path / "answers.json"
    write_cluener(path, answers)
    assert path.read_text(encoding="utf-8") == (
        '{"id": 7, "label": {"name": {"小林": [[0, 1]]}}}\n{"id": "x8", "label": {}}\n'
    )


def test_columns_for_conlleval(tmp_path: Path) -> None:
    path = tmp_path / "tagged.txt"
    write_columns(path, [[("New York", "B-X", "O"), ("\u3000", "O", "O")], [("a", "O", "O")]])
    assert path.read_text() == "NewYork B-X O\n_ O O\n\na O O\n\n"
    assert [row.tags for row in read_columns(path, BadRows())] == [("O", "O"), ("O",)]
