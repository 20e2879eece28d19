"""Texts with entities: the shapes of annotation tools, words from characters, and what is wrong with files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.ner.annotated_texts import AnnotatedText, read_annotated, read_cluener, tagged
from bertworks.tasks.ner.entities import BMES, EntitySpan, cluener_score, mentions, spans

FIXTURES = Path(__file__).parents[2] / "fixtures" / "tags"
TEXT = "Marta Olsen sails to Porto."
FOUND = (EntitySpan("PER", 0, 11), EntitySpan("LOC", 21, 26))
TRIPLES = [[0, 11, "PER"], [21, 26, "LOC"]]
OBJECTS = [{"start": 0, "end": 11, "label": "PER"}, {"start": 21, "end": 26, "label": "LOC"}]
OFFSETS = [
    {"id": 1, "start_offset": 0, "end_offset": 11, "label": "PER"},
    {"start_offset": 21, "end_offset": 26, "label": "LOC"},
]
STUDIO = [
    {"type": "labels", "value": {"start": 0, "end": 11, "text": "Marta Olsen", "labels": ["PER"]}},
    {"type": "choices", "value": {"choices": ["good"]}},
    {"type": "labels", "value": {"start": 21, "end": 26, "text": "Porto", "labels": ["LOC"]}},
]


def write(path: Path, *values: Any) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


SHAPES: list[Any] = [
    {"text": TEXT, "label": {"PER": {"Marta Olsen": [[0, 10]]}, "LOC": {"Porto": [[21, 25]]}}},
    {"id": 7, "text": TEXT, "label": TRIPLES},
    {"data": TEXT, "label": TRIPLES},
    {"text": TEXT, "labels": TRIPLES},
    {"text": TEXT, "entities": OFFSETS, "relations": []},
    {"text": TEXT, "annotations": OFFSETS},
    {"text": TEXT, "entities": TRIPLES},
    {"text": TEXT, "entities": OBJECTS},
    [TEXT, {"entities": TRIPLES}],
    {"text": TEXT, "ents": OBJECTS, "tokens": [{"id": 0, "start": 0, "end": 5}]},
    {"text": TEXT, "spans": OBJECTS, "tokens": [{"text": "Marta", "id": 0}], "answer": "accept"},
    {"id": 3, "data": {"text": TEXT}, "annotations": [{"was_cancelled": False, "result": STUDIO}]},
    {"id": 3, "data": {"review": TEXT}, "completions": [{"result": STUDIO}]},
    {"id": 3, "text": TEXT, "label": [result["value"] for result in STUDIO if result["type"] == "labels"]},
    {"text": TEXT, "entities": [["PER", 0, 11], ["LOC", 21, 26]]},
]


@pytest.mark.parametrize("value", SHAPES, ids=lambda value: json.dumps(value)[:50])
@pytest.mark.parametrize("layout", ["lines", "list", "pretty", "data"])
def test_the_shapes_of_annotation_tools(tmp_path: Path, value: Any, layout: str) -> None:
    path = tmp_path / "some.json"
    text = {
        "lines": f"{json.dumps(value)}\n\n",
        "list": json.dumps([value]),
        "pretty": json.dumps([value], indent=2),
        "data": json.dumps({"version": 1, "data": [value]}),
    }[layout]
    path.write_text(text)
    bad = BadRows()
    (found,) = read_annotated(path, bad)
    assert (found.text, found.spans) == (TEXT, FOUND)
    assert found.location == f"{path}, {'line' if layout == 'lines' else 'item'} 1"
    assert not bad.summary()


def test_the_file_of_an_annotator(tmp_path: Path) -> None:
    path, bad = tmp_path / "some.json", BadRows()
    path.write_text(json.dumps({"classes": ["PER"], "annotations": [[TEXT, {"entities": TRIPLES}], None]}))
    assert [text.spans for text in read_annotated(path, bad)] == [FOUND]
    assert bad.remarks == [f"{path}, item 2: is not annotated and is not used"]


def test_what_annotators_left_out_is_not_used(tmp_path: Path) -> None:
    rejected = {"text": TEXT, "spans": [], "answer": "reject"}
    cancelled = {"data": {"text": TEXT}, "annotations": [{"was_cancelled": True, "result": []}]}
    twice = {"data": {"text": TEXT}, "annotations": [{"result": STUDIO}, {"result": []}]}
    bare = {"text": TEXT}
    path, bad = write(tmp_path / "some.jsonl", rejected, cancelled, twice, bare), BadRows()
    assert [text.spans for text in read_annotated(path, bad)] == [FOUND, None]
    assert [remark.split(": ", 1)[1] for remark in bad.remarks] == [
        "was answered 'reject' and is not used",
        "every annotation was cancelled; it is not used",
        "has 2 annotations; the first is used",
    ]


def test_words_of_entities_are_found() -> None:
    bad = BadRows()
    text = AnnotatedText("f, line 1", "0", TEXT, FOUND)
    (row,) = tagged([text], "word", bad)
    assert row.words == ("Marta", "Olsen", "sails", "to", "Porto", ".")
    assert row.tags == ("B-PER", "I-PER", "O", "O", "B-LOC", "O")
    assert [TEXT[begin:end] for begin, end in row.places] == list(row.words)
    (row,) = tagged([text], "character", bad)
    assert row.words == tuple(TEXT)
    assert spans(row.tags or ()) == list(FOUND)
    assert not bad.remarks
    assert next(tagged([text._replace(spans=None)], "word", bad)).tags is None


def test_parts_of_words_are_tagged_whole_and_told() -> None:
    cases = (EntitySpan("LOC", 0, 6), EntitySpan("PER", 16, 22), EntitySpan("X", 22, 23), EntitySpan("Y", 13, 15))
    bad = BadRows()
    (row,) = tagged([AnnotatedText("f, line 1", "0", "Berlin-based at  Olsen  met", cases)], "word", bad)
    assert list(zip(row.words, row.tags or (), strict=True)) == [
        ("Berlin-based", "B-LOC"),
        ("at", "B-Y"),
        ("Olsen", "B-PER"),
        ("met", "O"),
    ]
    assert bad.remarks == [
        "f, line 1: LOC 'Berlin' is tagged as 'Berlin-based'",
        "f, line 1: X ' ' has no word and is not used",
    ]
    (row,) = tagged(
        [AnnotatedText("f, line 1", "0", "ab", (EntitySpan("X", 0, 1), EntitySpan("Y", 1, 2)))], "word", bad
    )
    assert row.tags == ("B-X",)
    assert bad.remarks[-1] == "f, line 1: Y 'ab' overlaps another mention and is not used"


@given(st.text("ab .,林-", max_size=12), st.data())
def test_entities_of_words_cover_what_the_file_says(text: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, max(0, len(text) - 1)))
    end = data.draw(st.integers(begin + 1, max(begin + 1, len(text))))
    (row,) = tagged([AnnotatedText("f", "0", text, (EntitySpan("X", begin, min(end, len(text))),))], "word", BadRows())
    covered = {i for _, first, last in spans(row.tags or ()) for a, b in row.places[first:last] for i in range(a, b)}
    assert {i for i in range(begin, min(end, len(text))) if text[i] != " "} <= covered


def test_offsets_of_javascript_are_read_where_the_text_tells(tmp_path: Path) -> None:
    text = "\U0001f600 Olsen"
    value = {"start": 3, "end": 8, "text": "Olsen", "labels": ["PER"]}
    path, bad = write(tmp_path / "some.json", {"text": text, "label": [value]}), BadRows()
    assert next(read_annotated(path, bad)).spans == (EntitySpan("PER", 2, 7),)
    assert bad.remarks == [f"{path}, line 1: PER 'Olsen' is odd but is read: the offset counts UTF-16 units"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"text": TEXT, "label": [[0, 40, "PER"]]}, "PER is said to be at 0 to 39, where the text has 'Marta"),
        ({"text": TEXT, "label": [[5, 5, "PER"]]}, "PER is said to be at 5 to 4"),
        ({"text": TEXT, "label": [{**OBJECTS[0], "text": "Porto"}]}, "PER 'Porto' is said to be at 0 to 10, where"),
        ({"text": TEXT, "spans": [[0, 1]]}, '"spans" is not [[begin, end, type], ...] or a list of objects with start'),
        ({"text": TEXT, "spans": [[0, 1, 2]]}, '"spans" is not'),
        ({"text": TEXT, "spans": ["abc"]}, '"spans" is not'),
        ({"text": TEXT, "spans": [3]}, '"spans" is not'),
        ({"text": TEXT, "spans": [[]]}, '"spans" is not'),
        ({"text": TEXT, "spans": [{"start": 0, "end": 1}]}, '"spans" is not'),
        ({"text": TEXT, "spans": [{"start": 0, "end": 1.5, "label": "X"}]}, '"spans" is not'),
        ({"text": TEXT, "label": "PER"}, '"label" is not {type: {mention: [[first, last], ...]}} or a list'),
        ([TEXT, {"entities": 3}], '"entities" is not'),
        ({"data": {"text": TEXT}, "annotations": [{"result": 3}]}, '"result" is not a list of objects with a value'),
        ({"data": {"a": "x", "b": "y"}}, 'has no "text"'),
        ({"sentence": TEXT}, 'has no "text"'),
        ("a text", "is no JSON object with a text and its labels"),
    ],
)
def test_bad_annotations(tmp_path: Path, value: Any, message: str) -> None:
    path = write(tmp_path / "bad.jsonl", {"text": "good"}, value)
    with pytest.raises(InputError) as caught:
        list(read_annotated(path, BadRows()))
    assert str(caught.value).startswith(f"{path}, line 2: {message}")
    assert "\n" not in str(caught.value)


def test_ids_that_repeat_are_refused_or_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"id": 1, "text": "a"}, {"text": "b"}, {"id": 1, "text": "c"})
    with pytest.raises(InputError, match=r"a.jsonl, line 3: the id '1' is that of .*a.jsonl, line 1 too"):
        list(read_annotated(path, BadRows()))
    repeated: list[str] = []
    assert [text.number for text in read_annotated(path, BadRows(), repeated)] == [0, 1, 2]
    assert repeated == [f"{path}, line 3 has that of line 1, '1'"]


def test_deep_files_are_one_error(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    for content in ("[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "[\n" * 100_000):
        path.write_text(content)
        with pytest.raises(InputError, match=r"deep.json.*nested too deeply") as caught:
            list(read_annotated(path, BadRows()))
        assert len(str(caught.value)) < 400


def test_cluener() -> None:
    path, bad = FIXTURES / "cluener.json", BadRows()
    rows = list(read_cluener(path, bad))
    # The sentence is used; only one of its mentions is not.
    remark = f"{path}, line 2: company '星河公司' overlaps another mention and is not used"
    assert (bad.notes, bad.remarks, bad.summary()) == ([], [remark], ["Remarks:", f"  {remark}"])
    assert rows[0].words == tuple("小林在青湖镇的星河公司当会计，小林很忙")
    assert rows[0].tags is not None
    assert rows[0].tags[:7] == ("B-name", "I-name", "O", "B-address", "I-address", "I-address", "O")
    assert rows[2].tags == ("O",) * 4
    gold = [json.loads(line)["label"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert mentions("".join(rows[0].words), spans(rows[0].tags)) == gold[0]
    mean, _ = cluener_score(gold, [mentions("".join(row.words), spans(row.tags or ())) for row in rows])
    # Of ten types five occur; of the two companies one was dropped.
    assert mean == pytest.approx((4 + 2 / 3) / 10)
    assert next(read_cluener(path, BadRows(), scheme=BMES)).tags[3:6] == ("B-address", "M-address", "E-address")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "ab", "label": {"x": {"b": [[0, 0]]}}}', "x 'b' is said to be at 0 to 0, where the text has 'a'"),
        ('{"text": "ab", "label": {"x": {"b": [[1, 2]]}}}', "x 'b' is said to be at 1 to 2, where the text has 'b'"),
        ('{"text": "ab", "label": {"x": {"b": [[-1, 1]]}}}', "x 'b' is said to be at -1 to 1"),
        ('{"text": "ab", "label": {"x": {"b": [[1]]}}}', '"label" is not'),
        ('{"text": "ab", "label": {"x": {"b": [1, 1]}}}', '"label" is not'),
        ('{"text": "ab", "label": {"x": {"b": [["1", "1"]]}}}', '"label" is not'),
        ('{"text": "ab", "label": {"x": {"b": [[1.0, 1.0]]}}}', '"label" is not'),
        ('{"text": "ab", "label": ["x"]}', '"label" is not'),
        ('{"text": "", "label": {}}', 'has no "text"'),
        ('{"text": 3}', 'has no "text"'),
        ('{"text": "  "}', 'has no "text"'),
        ('{"text": "\\u200b"}', 'has no "text"'),
        ('{"text": "c", "id": 0}', "the id '0' is that of .*bad.json, line 1 too"),
        ('{"text": "a\\ud800"}', "half of a surrogate pair"),
        ("[1]", "is no JSON object"),
        ('{"text": ', r"is not JSON \(.*column"),
        ("[" * 100_000, "is not JSON"),
        ("9" * 5000, "is not JSON"),
    ],
)
def test_bad_cluener_lines(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(f'{{"text": "good", "id": 0}}\n\n{line}\n')
    with pytest.raises(InputError, match=f"bad.json, line 3: {message}") as caught:
        list(read_cluener(path, BadRows()))
    assert "\n" not in str(caught.value)
    bad = BadRows("skip")
    assert [row.words for row in read_cluener(path, bad)] == [tuple("good")]
    assert len(bad.notes) == 1
