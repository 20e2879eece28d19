"""JSON and Parquet with lists of words and tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.ner.column_layout import TagColumnFlags
from bertworks.tasks.ner.tag_files import TaggedRow
from bertworks.tasks.ner.token_lists import TokenLists

LABELS = ("O", "B-PER", "I-PER")


def write(path: Path, *values: Any) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


NONE = TagColumnFlags()


def read(path: Path, flags: TagColumnFlags = NONE, labels: tuple[str, ...] = (), **more: bool) -> list[TaggedRow]:
    lists = TokenLists.of(path, flags, labels, **more)
    assert lists is not None
    return list(lists.rows(BadRows()))


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ({"tokens": ["Marta", "sails"], "ner_tags": ["B-PER", "O"]}, ()),
        ({"id": "0", "tokens": ["Marta", "sails"], "pos_tags": [3, 4], "ner_tags": [1, 0]}, LABELS),
        ({"words": ["Marta", "sails"], "labels": ["PER-B", "O"]}, ()),
    ],
)
def test_lists_as_data_sets_have_them(tmp_path: Path, values: dict[str, Any], labels: tuple[str, ...]) -> None:
    path = write(tmp_path / "some.jsonl", values)
    assert read(path, labels=labels) == [TaggedRow(f"{path}, line 1", "0", ("Marta", "sails"), ("B-PER", "O"))]
    path.write_text(json.dumps([values], indent=1))
    assert read(path, labels=labels)[0].location == f"{path}, item 1"
    assert read(path, with_tags=False)[0].tags is None


def test_parquet(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "some.parquet"
    table = pyarrow.table({"tokens": [["Marta", "sails"], ["Porto"]], "ner_tags": [[1, 0], [0]]})
    parquet.write_table(table, path)
    assert [row.tags for row in read(path, labels=LABELS)] == [("B-PER", "O"), ("O",)]


def test_flags_name_lists(tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl", {"tokens": ["a"], "forms": ["b"], "ner_tags": ["O"], "fine": ["B-X"]})
    lists = TokenLists.of(path, TagColumnFlags("forms", "fine"))
    assert str(lists) == f'{path}: lists of words; words in "forms", tags in "fine"'
    assert read(path, TagColumnFlags("forms", "fine"))[0][2:4] == (("b",), ("B-X",))


def test_files_without_lists_are_others(tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl", {"text": "a", "tokens": [{"text": "a"}], "label": [[0, 1, "X"]]}, [3])
    assert TokenLists.of(path, TagColumnFlags()) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"tokens": ["a", "b"], "ner_tags": ["O"]}, '"ner_tags" has 1 tags for 2 words'),
        ({"tokens": ["a"], "ner_tags": "O"}, '"ner_tags" has no list of tags for 1 words'),
        ({"tokens": ["a", 3], "ner_tags": ["O", "O"]}, '"tokens" is not a list of words'),
        ({"tokens": [], "ner_tags": []}, '"tokens" is not a list of words'),
        ({"tokens": ["a"], "ner_tags": ["Q"]}, "'Q' is no tag"),
        ([], '"tokens" is not a list of words'),
    ],
)
def test_bad_lists(tmp_path: Path, value: Any, message: str) -> None:
    good = {"tokens": ["a"], "ner_tags": ["B-X"]}
    path = write(tmp_path / "some.jsonl", good, value)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}, line 2: {message}")
    bad = BadRows("skip")
    lists = TokenLists.of(path, TagColumnFlags())
    assert lists is not None
    assert len(list(lists.rows(bad))) == len(bad.notes) == 1


def test_numbers_want_names(tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl", {"tokens": ["a"], "ner_tags": [3]})
    with pytest.raises(InputError, match=r"some.jsonl: its tags are numbers; name them in their order: --labels="):
        read(path)
    with pytest.raises(InputError, match=r"some.jsonl: has the tag 3, but --labels names 3, number 0 to 2"):
        read(path, labels=LABELS)


@pytest.mark.parametrize("kind", ["Sequence", "List"])
def test_a_parquet_file_of_datasets_names_its_numbers(tmp_path: Path, kind: str) -> None:
    feature = {"feature": {"names": ["O", "B-ISLE", "I-ISLE"], "_type": "ClassLabel"}, "_type": kind}
    schema = json.dumps({"info": {"features": {"tokens": {"_type": kind}, "ner_tags": feature}}})
    table = pa.table({"tokens": [["near", "Skye"], ["Isle", "of", "Mull"]], "ner_tags": [[0, 1], [1, 2, 2]]})
    pq.write_table(table.replace_schema_metadata({"huggingface": schema}), tmp_path / "a.parquet")
    lists = TokenLists.of(tmp_path / "a.parquet", NONE)
    assert lists is not None
    assert "the numbers mean O, B-ISLE, I-ISLE" in str(lists)
    assert not lists.form.is_of_numbers
    assert [row.tags for row in lists.rows(BadRows())] == [("O", "B-ISLE"), ("B-ISLE", "I-ISLE", "I-ISLE")]
    assert read(tmp_path / "a.parquet", labels=LABELS)[0].tags == ("O", "B-PER")
