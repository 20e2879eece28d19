"""Reading what is scored: what a data set is, and one line for what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bertworks.errors import InputError
from bertworks.tasks.squad.answer_files import read_na_probs, read_predictions
from bertworks.tasks.squad.reader import GoldAnswers, read_gold_answers


def data_set(*questions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"data": [{"paragraphs": [{"context": "x", "qas": list(questions)}]}], **more}


def write(folder: Path, content: Any) -> Path:
    path = folder / "file.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(json.dumps(content))
    return path


ONE = {"id": "q", "answers": [{"text": "x", "answer_start": 0}]}


@pytest.mark.parametrize(
    ("more", "is_version_2"),
    [({"version": "1.1"}, False), ({}, False), ({"version": "v2.0"}, True), ({"version": 2.0}, True)],
)
def test_the_version(tmp_path: Path, more: dict[str, Any], is_version_2: bool) -> None:
    found = read_gold_answers(write(tmp_path, data_set(ONE, **more)))
    assert found == GoldAnswers(str(more.get("version", "")), {"q": ["x"]}, is_version_2)


def test_a_question_without_answer_tells_the_version(tmp_path: Path) -> None:
    assert read_gold_answers(write(tmp_path, data_set(ONE, {"id": "p", "answers": []}, version="1.1"))).is_version_2
    assert read_gold_answers(write(tmp_path, data_set({**ONE, "is_impossible": True}))).is_version_2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"data": [\n  }', "file.json, line 2, column 3: not the JSON expected (Expecting value)"),
        (b'{"data": "\xff"}', "file.json, line 1, byte 11: not UTF-8"),
        (b"[" * 100_000, "file.json, line 1, column 2: not the JSON expected (maximum recursion depth exceeded"),
        (b"1" * 5000, "file.json, line 1, column 1: not the JSON expected ('{' was expected)"),
        (b"", "file.json, line 1, column 1: not the JSON expected"),
        ([], "file.json: has no articles"),
        ({"q": "x"}, 'file.json: has no articles: a file in SQuAD form is {"data": [...]}'),
        ({"data": [{"paragraphs": [3]}]}, "file.json, article 1: 'paragraphs' should hold objects, but has int"),
        (data_set({"answers": []}), "article 1, paragraph 1: 'id' should be a text, but is missing"),
        (data_set({"id": "q"}), "article 1, paragraph 1, question 'q': 'answers' should be a list, but is missing"),
        (data_set(ONE, ONE), "article 1, paragraph 1: a second question has id 'q'"),
        (data_set({"id": "q", "answers": [{}]}), "paragraph 1, question 'q': 'text' should be a text, but is missing"),
        (data_set(), "file.json: has no question"),
    ],
)
def test_what_is_no_data_set(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_gold_answers(write(tmp_path, content))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_are_no_predictions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"file.json: the prediction of question 'q' is not a text"):
        read_predictions(write(tmp_path, {"p": "x", "q": [{"text": "x"}]}))
    with pytest.raises(InputError, match=r"file.json, line 1, column 1: not the JSON expected \('{' was expected\)"):
        read_predictions(write(tmp_path, ["x"]))
    with pytest.raises(InputError, match=r"file.json, line 1, column 7: not the JSON expected .Exceeds the limit"):
        read_predictions(write(tmp_path, b'{"q": ' + b"1" * 5000 + b"}"))
    with pytest.raises(InputError, match="a folder, not a file"):
        read_predictions(tmp_path)


@pytest.mark.parametrize(
    "odds", ["0.1", "true", '"1"', "NaN", "Infinity", "-Infinity", "1e30", "1" + 400 * "0", "null"]
)
def test_what_are_no_odds(tmp_path: Path, odds: str) -> None:
    path = write(tmp_path, f'{{"q": {odds}}}'.encode())
    if odds == "0.1":
        assert read_na_probs(path) == {"q": 0.1}
        return
    with pytest.raises(InputError, match="the no-answer score of question 'q' is not a number"):
        read_na_probs(path)


@pytest.mark.parametrize("read", [read_predictions, read_na_probs])
def test_an_id_of_two_lines_is_named_in_one(tmp_path: Path, read: Any) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path, {"a\nb": []}))
    assert "question 'a b' is not" in str(caught.value)
