"""The files that are scored: a data set's answers, predictions and no-answer scores, checked as they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bertworks.errors import InputError
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
    content = _read_object(path)
    gold: dict[str, list[str]] = {}
    impossible = False
    for place, question in _questions(path, content):
        name = question.get("id")
        if not isinstance(name, str):
            raise InputError(f'{place}: has no "id" that is a text')
        if name in gold:
            raise InputError(f"{place}: the id {name} occurs twice; each question needs its own")
        answers = _members(question, "answers", place)
        gold[name] = [_text(answer, f"{place} ({name}), answer {i}") for i, answer in enumerate(answers, 1)]
        impossible = impossible or not answers or bool(question.get("is_impossible"))
    if not gold:
        raise InputError(f"{path}: has no question")
    version = content.get("version", "")
    version = version if isinstance(version, str) else str(version)
    return DataSet(version, gold, impossible or version.lower().removeprefix("v").startswith("2"))


def read_predictions(path: Path) -> dict[str, str]:
    """predictions.json: question id -> answer.

    Raises:
        InputError: the file is not of this form; says which question.
    """
    content = _read_object(path)
    for question, answer in content.items():
        if not isinstance(answer, str):
            raise InputError(f"{path}: the prediction of question {question} is not a text; give predictions.json")
    return content


def read_na_probs(path: Path) -> dict[str, float]:
    """null_odds.json or a file of no-answer probabilities: question id -> number; whole numbers stay so.

    Raises:
        InputError: the file is not of this form; says which question.
    """
    content = _read_object(path)
    for question, odds in content.items():
        if isinstance(odds, bool) or not isinstance(odds, int | float) or not -_LARGEST <= odds <= _LARGEST:
            raise InputError(f"{path}: the no-answer score of question {question} is not a number; give null_odds.json")
    return content


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON file whose outermost value is an object."""
    if path.is_dir():
        raise InputError(f"{path}: a folder, not a file")
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start + 1} is not valid UTF-8; convert the file to UTF-8") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON that can be read ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: a JSON object was expected ({{...}}), not {type(content).__name__}")
    return content


def _questions(path: Path, content: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every question, and where it stands: articles, paragraphs and questions count from 1."""
    for i, article in enumerate(_members(content, "data", str(path)), 1):
        of_article = f"{path}, article {i}"
        for j, paragraph in enumerate(_members(article, "paragraphs", of_article), 1):
            of_paragraph = f"{of_article}, paragraph {j}"
            for k, question in enumerate(_members(paragraph, "qas", of_paragraph), 1):
                yield f"{of_paragraph}, question {k}", question


def _members(value: Mapping[str, Any], name: str, place: str) -> list[Mapping[str, Any]]:
    """A field that is a list of objects."""
    found = value.get(name)
    if not isinstance(found, list) or not all(isinstance(member, dict) for member in found):
        raise InputError(f'{place}: "{name}" is not a list of JSON objects; the file is not in the form of SQuAD')
    return found


def _text(answer: Mapping[str, Any], place: str) -> str:
    text = answer.get("text")
    if not isinstance(text, str):
        raise InputError(f'{place}: has no "text"')
    return text
