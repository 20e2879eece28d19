"""Classified texts as prodigy, Label Studio and doccano export them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.classification.columns import ColumnFlags
from bertworks.tasks.classification.own_data import DataOptions, OwnData, read

TEXTS = [f"the {name} is on its way" for name in ("bus", "ferry", "train", "tram", "plane", "bike")]


def lines(path: Path, *columns: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in columns), encoding="utf-8")
    return path


def train(path: Path, bad: BadRows | None = None, **columns: str) -> OwnData:
    return read(path, None, None, DataOptions(columns=ColumnFlags(**columns)), bad or BadRows())


def test_rows_that_prodigy_rejects_or_ignores_are_left_out_and_named(tmp_path: Path) -> None:
    answers = ["accept", "reject", "accept", "ignore", "accept", "accept"]
    rows = [
        {"text": text, "_task_hash": i, "label": "LAND" if i % 4 else "WATER", "answer": answer}
        for i, (text, answer) in enumerate(zip(TEXTS, answers, strict=True))
    ]
    bad = BadRows()
    found = train(lines(tmp_path / "a.jsonl", *rows), bad)
    assert [row.text for row in found.train] == [TEXTS[i] for i in (0, 2, 4, 5)]
    assert bad.remarks == [
        f"{tmp_path / 'a.jsonl'}: 2 rows were rejected or ignored, as their column answer says (prodigy), and are not "
        "used; if it says something else, call the column otherwise, or it is the label: --label_column=answer"
    ]
    as_label = train(tmp_path / "a.jsonl", label_column="answer")
    assert (len(as_label.train), as_label.labels) == (6, ("accept", "ignore", "reject"))


def test_options_that_were_chosen_in_prodigy_are_the_label(tmp_path: Path) -> None:
    options = [{"id": "land", "text": "Land"}, {"id": "water", "text": "Water"}]
    rows = [
        {"text": text, "options": options, "accept": [options[i % 2]["id"]], "answer": "accept"}
        for i, text in enumerate(TEXTS)
    ]
    found = train(lines(tmp_path / "a.jsonl", *rows))
    assert found.columns.label == ("accept",)
    assert [row.label for row in found.train[:2]] == [("land",), ("water",)]


def test_an_answer_of_other_words_refuses_nothing(tmp_path: Path) -> None:
    rows = [{"text": text, "answer": ("accept", "reject", "later")[i % 3]} for i, text in enumerate(TEXTS)]
    assert len(train(lines(tmp_path / "a.jsonl", *rows)).train) == 6


@pytest.mark.parametrize("as_text", [False, True])
def test_several_choices_of_label_studio_are_several_classes(tmp_path: Path, as_text: bool) -> None:
    both: Any = {"choices": ["land", "water"]}
    labels = ["land", "water", json.dumps(both) if as_text else both] * 2
    rows = [{"text": text, "id": i, "topic": label} for i, (text, label) in enumerate(zip(TEXTS, labels, strict=True))]
    found = train(lines(tmp_path / "a.jsonl", *rows))
    assert (found.kind, found.labels) == ("multi", ("land", "water"))
    assert [row.label for row in found.train[:3]] == [("land",), ("water",), ("land", "water")]


def test_whole_tasks_of_label_studio_are_refused_with_what_to_export(tmp_path: Path) -> None:
    result = [{"value": {"choices": ["land"]}, "from_name": "topic", "to_name": "text", "type": "choices"}]
    tasks = [{"id": i, "data": {"text": text}, "annotations": [{"result": result}]} for i, text in enumerate(TEXTS)]
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    with pytest.raises(InputError, match=r"a.json: is Label Studio's JSON, .*; export it as JSON-MIN or CSV"):
        train(tmp_path / "a.json")


def test_names_of_doccano_are_several_classes(tmp_path: Path) -> None:
    labels = ["land", "water", "land#water"] * 2
    rows = "".join(f"{i},{text},{label},\n" for i, (text, label) in enumerate(zip(TEXTS, labels, strict=True)))
    (tmp_path / "a.csv").write_text(f"id,text,label,Comments\n{rows}")
    found = train(tmp_path / "a.csv")
    assert (found.kind, found.labels, found.separator) == ("multi", ("land", "water"), "#")
