"""The files that are scored: a data set's answers, predictions and no-answer scores, checked as they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from bertworks.errors import InputError
from bertworks.tasks.squad import json_stream
from bertworks.tasks.squad.reading import paragraphs, place_of
from bertworks.tasks.squad.score import Gold

# No score is larger; it also keeps infinity and what is not a number out.
_LARGEST = 1e18


class DataSet(NamedTuple):
    """What a file of questions says of their answers.

    Attributes:
        version: as the file states it; "" where it does not.
        gold: the answers of each question.
        is_version_2: some question may be without an answer: the version says so, or a question does.
    """

    version: str
    gold: Gold
    is_version_2: bool


def read_data_set(path: Path) -> DataSet:
    """The answers of a file in SQuAD's form, 1.1 or 2.0.

    Raises:
        InputError: the file is not of this form, has no question, or has an id twice; says where.
    """
    others: dict[str, Any] = {}
    gold: dict[str, list[str]] = {}
    impossible = False
    for paragraph in paragraphs(path, others):
        for name, qa in paragraph.questions.items():
            place = place_of(paragraph.place, name)
            gold[name] = [json_stream.text(answer, "text", place) for answer in json_stream.items(qa, "answers", place)]
            impossible = impossible or not gold[name] or bool(qa.get("is_impossible"))
    if not gold:
        raise InputError(f"{path}: has no question")
    version = others.get("version", "")
    version = version if isinstance(version, str) else str(version)
    return DataSet(version, gold, impossible or version.lower().removeprefix("v").startswith("2"))


def read_predictions(path: Path) -> dict[str, str]:
    """predictions.json: question id -> answer.

    Raises:
        InputError: the file is not of this form; says which question.
    """
    content = json_stream.whole(path)
    for question, answer in content.items():
        if not isinstance(answer, str):
            name = json_stream.short(question)
            raise InputError(f"{path}: the prediction of question {name} is not a text; give predictions.json")
    return content


def read_na_probs(path: Path) -> dict[str, float]:
    """null_odds.json or a file of no-answer probabilities: question id -> number; whole numbers stay so.

    Raises:
        InputError: the file is not of this form; says which question.
    """
    content = json_stream.whole(path)
    for question, odds in content.items():
        if isinstance(odds, bool) or not isinstance(odds, int | float) or not -_LARGEST <= odds <= _LARGEST:
            name = json_stream.short(question)
            raise InputError(f"{path}: the no-answer score of question {name} is not a number; give null_odds.json")
    return content
