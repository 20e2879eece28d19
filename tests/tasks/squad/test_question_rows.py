"""Questions a row each are read as the articles that they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bertworks.errors import InputError
from bertworks.tasks.squad.reader import SquadReader, read_gold_answers

CONTEXT = "The ferry leaves at noon. The last bus waits for it."


def row(name: str, text: str | None) -> dict[str, Any]:
    found = [] if text is None else [text]
    answers = {"text": found, "answer_start": [CONTEXT.index(answer) for answer in found]}
    return {"id": name, "title": "Mull", "context": CONTEXT, "question": "When?", "answers": answers}


ROWS = [row("a", "noon"), row("b", "last bus"), row("c", None)]
OWN = [
    {
        "title": "Mull",
        "paragraphs": [
            {
                "context": CONTEXT,
                "qas": [
                    {
                        "id": one["id"],
                        "question": "When?",
                        "is_impossible": not one["answers"]["text"],
                        "answers": [
                            {"text": text, "answer_start": start}
                            for text, start in zip(*one["answers"].values(), strict=True)
                        ],
                    }
                ],
            }
        ],
    }
    for one in ROWS
]
LAYOUTS = {
    "lines": "".join(json.dumps(one) + "\n" for one in ROWS),
    "list": json.dumps(ROWS),
    "data": json.dumps({"data": ROWS}, indent=1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_rows_are_read_as_articles(tmp_path: Path, layout: str, name: str) -> None:
    path, own = tmp_path / name, tmp_path / "own.json"
    path.write_text(LAYOUTS[layout])
    own.write_text(json.dumps({"data": OWN}))
    found, expected = (list(SquadReader(one, True, version_2_with_negative=True).examples()) for one in (path, own))
    assert [(one.id, one.question, one.answer) for one in found] == [
        (one.id, one.question, one.answer) for one in expected
    ]
    assert [one.answer and one.answer.text for one in found] == ["noon", "last bus", None]
    assert read_gold_answers(path) == read_gold_answers(own)


def test_a_parquet_file_of_datasets_is_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    found = list(SquadReader(tmp_path / "a.parquet", True, version_2_with_negative=True).examples())
    assert [one.answer and one.answer.text for one in found] == ["noon", "last bus", None]
    assert len(read_gold_answers(tmp_path / "a.parquet").gold) == 3
    parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet, article 1: 'paragraphs' should be a list, but is missing"):
        list(SquadReader(tmp_path / "b.parquet", True).examples())


def test_one_line_and_what_stands_behind_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(ROWS[0]))
    assert [one.id for one in SquadReader(tmp_path / "a.jsonl", False).examples()] == ["a"]
    (tmp_path / "a.jsonl").write_text(LAYOUTS["lines"] + "x")
    with pytest.raises(InputError, match=r"a.jsonl, line 4, column 1: not the JSON expected"):
        list(SquadReader(tmp_path / "a.jsonl", False).examples())


@pytest.mark.parametrize("answers", [[], {"text": ["noon"]}, {"text": ["noon"], "answer_start": []}])
def test_answers_of_another_form_are_refused(tmp_path: Path, answers: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps([ROWS[0], ROWS[1] | {"answers": answers}]))
    with pytest.raises(InputError, match=r"a.json, article 2: 'answers' should have two lists of one length"):
        list(SquadReader(tmp_path / "a.json", True).examples())
