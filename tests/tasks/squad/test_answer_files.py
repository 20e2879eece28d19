"""The files of answers: written as by the standard library, and one line for what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertworks.errors import InputError
from bertworks.tasks.squad.answer_files import read_na_probs, read_predictions, write_answers
from bertworks.tasks.squad.nbest import AnswerSettings, Question, find_answers
from tests.tasks.squad.made_windows import as_plain, token_windows


def write(folder: Path, content: Any) -> Path:
    path = folder / "file.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(json.dumps(content))
    return path


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


@pytest.mark.parametrize("with_null", [True, False])
def test_files_are_those_of_the_standard_library(tmp_path: Path, with_null: bool) -> None:
    words = ['"é"', "\\b", "\ud800", "李白"]
    questions = [Question(f'q"{i}', words) for i in range(3)]
    windows = [window for i in range(3) for window in token_windows(i, words, True, 99, 99)]
    draw = np.random.default_rng(0)
    logits = [tuple(draw.normal(size=(2, len(window.tokens))).astype(np.float32)) for window in windows]
    found = list(find_answers(questions, windows, logits, AnswerSettings(version_2_with_negative=with_null)))
    paths = write_answers(tmp_path, questions, found, with_null)
    plain = {question.id: as_plain(answer) for question, answer in zip(questions, found, strict=True)}
    for path, name in zip(paths, ("prediction", "nbest", "odds"), strict=False):
        values = {question: answer[name] for question, answer in plain.items()}
        assert path.read_text() == json.dumps(values, indent=4) + "\n"
    assert [path.name for path in paths] == ["predictions.json", "nbest_predictions.json", "null_odds.json"][
        : 2 + with_null
    ]
    write_answers(tmp_path, [], [], with_null)
    assert (tmp_path / "predictions.json").read_text() == "{}\n"
