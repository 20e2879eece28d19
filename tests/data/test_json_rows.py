"""JSON that is not lines of objects: lists, columns, and a list inside of an object."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.bad_rows import BadRows
from bertworks.data.json_rows import json_document
from bertworks.data.tables import open_table
from bertworks.errors import InputError

VALUES = st.text(max_size=5) | st.integers() | st.none() | st.lists(st.text(max_size=3), max_size=2)
ROWS = st.lists(st.fixed_dictionaries({"text": st.text(max_size=5), "label": VALUES}), min_size=1, max_size=5)


@given(ROWS, st.sampled_from([None, 2]))
def test_rows_are_the_same_in_every_layout(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    columns = {name: {str(i): row[name] for i, row in enumerate(rows)} for name in rows[0]}
    lists = {name: [row[name] for row in rows] for name in rows[0]}
    split = {
        "columns": [*rows[0]],
        "index": [*range(len(rows))],
        "data": [[row[name] for name in rows[0]] for row in rows],
    }
    by_number = {str(i): row for i, row in enumerate(rows)} if len(rows) > 1 else rows
    for layout in (rows, columns, lists, {"version": "1", "data": rows}, split, by_number):
        path.write_text(json.dumps(layout, indent=indent), encoding="utf-8")
        assert [dict(record.values) for record in open_table(path).records(BadRows())] == rows
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert [dict(record.values) for record in open_table(path).records(BadRows())] == rows


def test_items_of_a_list_have_their_number(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"a": 1},\n{"a": 2}]')
    found = list(open_table(tmp_path / "a.json").records(BadRows()))
    assert [(one.location, one.number) for one in found] == [(f"{tmp_path / 'a.json'}, item {i}", i) for i in (1, 2)]


@pytest.mark.parametrize("content", ['{"a": 1}\n{"a": 2}\n', '{"a" 1}\n{"a": 2}\n', '{"a": [1, 2]}\n', "\n", "text\n"])
def test_lines_of_objects_are_no_document(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    assert json_document(tmp_path / "a.json") is None


def test_a_list_that_is_no_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"a": 1},\n{"a": 2},\n')
    with pytest.raises(InputError, match=r"a\.json, line 3, column 1: not JSON \(Expecting value\)"):
        json_document(tmp_path / "a.json")
