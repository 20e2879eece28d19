"""Somebody's own files: columns, kind and labels are found out where they are plain, and mistakes are told."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited_tables import Reading
from bertworks.data.tables import open_table
from bertworks.errors import InputError
from bertworks.tasks.classification.columns import ColumnFlags, Columns, guess_columns
from bertworks.tasks.classification.label_values import MOST_CLASSES
from bertworks.tasks.classification.own_data import DataOptions, OwnData, read


def table(path: Path, header: str, rows: Iterable[Sequence[object]]) -> Path:
    content = io.StringIO()
    csv.writer(content).writerows([header.split(), *rows])
    path.write_text(content.getvalue(), encoding="utf-8")
    return path


def lines(path: Path, values: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def of_labels(path: Path, labels: Iterable[object]) -> Path:
    return table(path, "text label", [(f"text {i}", label) for i, label in enumerate(labels)])


def options_of(**flags: Any) -> DataOptions:
    """The options of these flags, all of them given."""
    columns = {name: flags.pop(name) for name in [*flags] if name.endswith("_column")}
    reading = {name: flags.pop(name) for name in ("encoding", "separator", "header") if name in flags}
    return DataOptions(columns=ColumnFlags(**columns), reading=Reading(**reading), **flags)


def train(path: Path, bad: BadRows | None = None, **flags: Any) -> OwnData:
    return read(path, None, None, options_of(**flags), bad or BadRows())


def guess(path: Path, **given: Any) -> Columns:
    return guess_columns(open_table(path), Columns(**given), needs_label=True)


# ----------------------------------------------------------------------------------------------------------- columns
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("text label", Columns(text=("text",), label=("label",))),
        ("Label Text", Columns(text=("Text",), label=("Label",))),
        ("id review stars", Columns(text=("review",), label=("stars",), id="id")),
        (
            "sentence1 sentence2 score index",
            Columns(text=("sentence1",), pair="sentence2", label=("score",), id="index"),
        ),
        ("premise hypothesis gold_label", Columns(text=("premise",), pair="hypothesis", label=("gold_label",))),
        ("question sentence label", Columns(text=("question",), pair="sentence", label=("label",))),
        ("tweet label", Columns(text=("tweet",), label=("label",))),
        ("uid tweet class", Columns(text=("tweet",), label=("class",), id="uid")),
    ],
)
def test_plain_columns_are_guessed(tmp_path: Path, header: str, expected: Columns) -> None:
    path = table(tmp_path / "a.csv", header, [])
    assert guess(path) == expected


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("text review label", "'text' and 'review' could both be the text; give --text_column"),
        ("sentence1 sentence2 text label", "'sentence1' and 'text' could both be the text; give --text_column"),
        ("a b label", "none of 'a', 'b' is plainly the text; give --text_column"),
        ("text a", "none of 'text', 'a' is plainly the label; give --label_column"),
        ("text", "none of 'text' is plainly the label; give --label_column"),
        ("text label class", "both 'label' and 'class' could be the label; give --label_column"),
    ],
)
def test_what_is_not_plain_is_asked(tmp_path: Path, header: str, problem: str) -> None:
    path = table(tmp_path / "a.csv", header, [["x" for _ in header.split()]])
    with pytest.raises(InputError) as error:
        guess(path)
    assert str(error.value).startswith(f"{path}: {problem}")


@pytest.mark.parametrize(
    ("header", "values", "expected"),
    [
        ("v1 v2", ("ham", "see you at the station {}"), Columns(text=("v2",), label=("v1",))),
        ("a b", ("{}这里的房间很好", "差"), Columns(text=("a",), label=("b",))),
        ("date tweet mood", ("{}", "see you at the station {}", "x"), Columns(text=("tweet",), label=("mood",))),
        (
            "id body a b",
            ("{}", "see you at the station {}", "0", "1"),
            Columns(text=("body",), label=("a", "b"), id="id"),
        ),
        ("text a b c", ("some {}", "0", "1", "0.0"), Columns(text=("text",), label=("a", "b", "c"))),
        ("text a b", ("some {}", "0", "0.0"), Columns(text=("text",), label=("a",))),
    ],
)
def test_values_tell_where_names_do_not(
    tmp_path: Path, header: str, values: tuple[str, ...], expected: Columns
) -> None:
    other = {"ham": "spam", "x": "y", "差": "好", "0": "1", "1": "0"}
    rows = [[(other.get(v, v) if i % 2 else v).format(i) for v in values] for i in range(8)]
    path = table(tmp_path / "a.csv", header, rows)
    assert guess(path) == expected


@pytest.mark.parametrize(
    ("header", "rows", "problem"),
    [
        (
            "n a b",
            [("12"[i % 2], f"all about it {i}", f"a station is {i}") for i in range(9)],
            "'a' and 'b' could both be the text",
        ),
        ("text a b", [(f"a long text {i}", i % 2, i % 3) for i in range(9)], "both 'a' and 'b' could be the label"),
    ],
)
def test_several_columns_that_may_be_it_are_asked(
    tmp_path: Path, header: str, rows: list[tuple[object, ...]], problem: str
) -> None:
    path = table(tmp_path / "a.csv", header, rows)
    with pytest.raises(InputError) as error:
        guess(path)
    assert str(error.value).startswith(f"{path}: {problem}")


def test_columns_are_named_by_numbers_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,title a,body a\n2,title b,body b\n1,title c,body c\n")
    with pytest.raises(
        InputError, match=r"give --text_column .*line 1 is a row, not the names of columns: '1' stands in"
    ):
        train(path)
    data = train(path, text_column="1,-1", label_column="0")
    assert [(row.text, row.label) for row in data.train] == [
        ("title a body a", "1"),
        ("title b body b", "2"),
        ("title c body c", "1"),
    ]
    assert data.notes[1] == f"{path}: columns: text 1 + 2, label 0"
    assert data.remembered == {"text_column": "1,2", "label_column": "0", "header": False}
    with pytest.raises(InputError, match=r"has no column '3' \(--label_column\); it has 0, 1, 2"):
        train(path, text_column="1", label_column="3")


def test_a_header_of_unusual_names_may_be_a_row(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "x y", [("a", "b"), ("c", "d")])
    with pytest.raises(InputError, match="line 1 is taken for the names of columns, if it is a row: --noheader"):
        train(path)


def test_texts_of_several_columns_are_joined(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv", "subject body label", [("a", "b", "x"), ("", "c", "y"), ("d", "", "x"), ("", "", "y")]
    )
    bad = BadRows("skip")
    data = train(path, bad, text_column="subject,body")
    assert [row.text for row in data.train] == ["a b", "c", "d"]
    assert bad.notes == [f"{path}, line 5: the text is empty (subject, body)"]
    values = [{"subject": None, "body": "b", "label": "x"}, {"subject": "s", "body": "c", "label": "y"}]
    found = train(lines(tmp_path / "a.jsonl", values), text_column="subject, body")
    assert [row.text for row in found.train] == ["b", "s c"]


def test_labels_in_columns_are_a_class_for_each(tmp_path: Path) -> None:
    rows = [("a", 1, 0, 1), ("b", 0, 0, 0), ("c", "", 1.0, 0)]
    path = table(tmp_path / "a.csv", "text price clean noise", rows)
    data = train(path, label_column="price,clean,noise")
    assert (data.kind, data.labels) == ("multi", ("price", "clean", "noise"))
    assert [row.label for row in data.train] == [("price", "noise"), (), ("clean",)]
    assert data.remembered == {"text_column": "text", "label_column": "price,clean,noise"}
    said = ("noise", "clean", "price")
    assert train(path, label_column="price,clean,noise", labels=said).labels == said
    wrong = table(tmp_path / "b.csv", "text price clean", [("a", 1, 0), ("b", 2, 1)])
    with pytest.raises(InputError, match=r"line 3: '2' is neither 0 nor 1"):
        train(wrong, label_column="price,clean", kind="multi")


def test_an_id_that_nobody_named_and_that_repeats_is_none(tmp_path: Path) -> None:
    rows = [(0, "a", "x"), (1, "b", "y"), (0, "c", "x"), (1, "", "y"), (2, "d", "x")]
    path = table(tmp_path / "a.csv", "index text label", rows)
    bad = BadRows("skip")
    data = train(path, bad)
    assert [(row.id, row.text) for row in data.train] == [("1", "a"), ("2", "b"), ("3", "c"), ("5", "d")]
    assert data.notes[:2] == [
        f"{path}: columns: text text, label label",
        f"{path}: index is no id, as it repeats ({path}, line 4 has that of line 2, '0'); predictions have the "
        "numbers of rows",
    ]
    with pytest.raises(InputError, match=r"line 4: the id '0' \(index\) is that of line 2 too"):
        train(path, id_column="index")


def test_rows_that_are_left_out_are_counted_in_the_numbers_of_rows(tmp_path: Path) -> None:
    test = tmp_path / "test.csv"
    test.write_text('text\na\n""\nb\n')
    options = DataOptions(labels=("x", "y"))
    with pytest.raises(InputError, match=r"test\.csv, line 3: the text is empty"):
        read(None, None, test, options, BadRows())
    data = read(None, None, test, options, BadRows("skip"))
    assert [(row.id, row.text) for row in data.test] == [("1", "a"), ("3", "b")]


def test_rows_without_a_label_in_a_way_that_says_so(tmp_path: Path) -> None:
    rows = [(f"text {i}", ["yes", "no"][i % 2]) for i in range(20)]
    path = table(tmp_path / "a.csv", "text gold_label", [*rows, ("text", "-")])
    test = table(tmp_path / "test.csv", "text gold_label", [("a", "-1"), ("b", "-"), ("c", ""), ("d", "no")])
    bad = BadRows()
    data = read(path, None, test, DataOptions(), bad)
    assert (data.labels, len(data.train)) == (("no", "yes"), 20)
    assert [row.label for row in data.test] == [None, None, None, "no"]
    assert bad.notes == bad.remarks == []
    # A trained model knows its classes; so is what means no label known.
    dev = read(None, path, None, DataOptions(labels=data.labels, kind="single"), BadRows()).dev
    assert len(dev) == 20


def test_what_a_model_remembers_need_not_be_in_a_file(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "sentence stars", [("a", "x"), ("b", "y")])
    remembered = frozenset(["text_column", "label_column"])
    columns = ColumnFlags(text_column="subject,body", label_column="mood", remembered=remembered)
    assert train_options(path, DataOptions(columns=columns)).columns == Columns(text=("sentence",), label=("stars",))
    with pytest.raises(InputError, match=r"has no column 'subject' \(--text_column\)"):
        train(path, text_column="subject,body")


def train_options(path: Path, options: DataOptions) -> OwnData:
    return read(path, None, None, options, BadRows())


def test_what_is_said_is_not_guessed(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "text label mood other sentence2", [])
    assert guess(path, label=("mood",)) == Columns(text=("text",), label=("mood",))
    said = Columns(text=("other",), pair="text", label=("mood",), id="label")
    assert guess(path, **vars(said)) == said
    with pytest.raises(InputError, match=r"a\.csv: has no column 'moods' \(--label_column\).*did you mean mood\?"):
        train(path, label_column="moods")


def test_a_test_file_needs_no_label(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "text", [["a"], ["b"]])
    data = read(None, None, path, options_of(label_column="mood", labels=("x", "y")), BadRows())
    assert [(row.id, row.text, row.label) for row in data.test] == [("1", "a", None), ("2", "b", None)]
    assert data.labels == ("x", "y")


# -------------------------------------------------------------------------------------------------------------- kind
@pytest.mark.parametrize(
    ("labels", "kind", "classes"),
    [
        (["pos", "neg", "pos"], "single", ("neg", "pos")),
        (["10", "9", "10", "1"], "single", ("1", "9", "10")),
        (["1", "b", "10"], "single", ("1", "10", "b")),
        (["0.5", "1", "2"], "regression", ()),
        (["-1e-3", "4"], "regression", ()),
        (["1.0", "0.0", "1", "-2.00"], "single", ("-2", "0", "1")),
        (["1.0", "v1.0", "x"], "single", ("1", "v1.0", "x")),
        (range(MOST_CLASSES), "single", tuple(map(str, range(MOST_CLASSES)))),
        (range(MOST_CLASSES + 1), "regression", ()),
        (["1_0", "2_0"], "single", ("1_0", "2_0")),
        (["a;b", "b"], "single", ("a;b", "b")),
    ],
)
def test_the_kind_follows_from_the_labels(
    tmp_path: Path, labels: list[object], kind: str, classes: tuple[str, ...]
) -> None:
    data = train(of_labels(tmp_path / "a.csv", labels))
    assert (data.kind, data.labels) == (kind, classes)


def test_scores_may_have_a_decimal_comma(tmp_path: Path) -> None:
    path = of_labels(tmp_path / "a.csv", ["0,25", "1", "-3,5"])
    with pytest.raises(InputError, match=r"a\.csv: labels such as '0,25' may be numbers or several classes"):
        train(path)
    assert [row.label for row in train(path, kind="regression").train] == [0.25, 1.0, -3.5]


def test_json_labels_are_named_as_they_are_written(tmp_path: Path) -> None:
    for given_labels, names in (((True, False), ("false", "true")), ((1.0, 3), ("1", "3")), (("x ", "y"), ("x", "y"))):
        values = [{"text": "t", "label": label} for label in given_labels]
        assert train(lines(tmp_path / "a.jsonl", values)).labels == names


def test_lists_are_several_classes_at_once(tmp_path: Path) -> None:
    values = [{"text": "a", "labels": ["y", "x"]}, {"text": "b", "labels": []}, {"text": "c", "labels": ["y", "y"]}]
    pq.write_table(pa.Table.from_pylist(values), tmp_path / "a.parquet")
    for path in (lines(tmp_path / "a.jsonl", values), tmp_path / "a.parquet"):
        data = train(path)
        assert (data.kind, data.labels) == ("multi", ("x", "y"))
        assert [row.label for row in data.train] == [("x", "y"), (), ("y",)]


def with_class_names(path: Path, values: list[dict[str, Any]], feature: object) -> Path:
    """A file as Hugging Face's `datasets` writes it."""
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": feature}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(pa.Table.from_pylist(values).replace_schema_metadata(metadata), path)
    return path


def test_numbers_of_classes_with_names_are_these_names(tmp_path: Path) -> None:
    names = {"names": ["no", "yes", "maybe"], "_type": "ClassLabel"}
    values = [{"text": f"text {i}", "label": i % 2 if i else -1} for i in range(20)]
    path = with_class_names(tmp_path / "a.parquet", values, names)
    data = train(path)
    assert (data.kind, data.labels, len(data.train)) == ("single", ("no", "yes"), 19)
    assert data.notes[0] == f"{path}: the numbers in label mean no, yes, maybe"
    values = [{"text": "a", "label": [0, 2]}, {"text": "b", "label": []}, {"text": "c", "label": [1]}]
    path = with_class_names(tmp_path / "a.parquet", values, {"feature": names, "_type": "Sequence"})
    assert [row.label for row in train(path).train] == [("maybe", "no"), (), ("yes",)]


@pytest.mark.parametrize("feature", [{"_type": "ClassLabel"}, {"dtype": "int64"}, 5, None])
def test_numbers_without_names_stay(tmp_path: Path, feature: object) -> None:
    path = with_class_names(tmp_path / "a.parquet", [{"text": "a", "label": 0}, {"text": "b", "label": 1}], feature)
    assert train(path).labels == ("0", "1")


def test_a_separator_makes_several_classes(tmp_path: Path) -> None:
    data = train(of_labels(tmp_path / "a.csv", ["b; a", "", "a;"]), label_separator=";")
    assert (data.kind, data.labels) == ("multi", ("a", "b"))
    assert [row.label for row in data.train] == [("a", "b"), (), ("a",)]


def test_the_kind_and_the_labels_can_be_said(tmp_path: Path) -> None:
    path = of_labels(tmp_path / "a.csv", ["2", "1", "2"])
    assert [row.label for row in train(path, kind="regression").train] == [2.0, 1.0, 2.0]
    assert train(path, labels=("2", "1", "7")).labels == ("2", "1", "7")
    assert train(of_labels(tmp_path / "b.csv", ["0.5", "1"]), kind="single").labels == ("0.5", "1")


def test_what_was_found_out_is_said(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "id text label", [(1, "a", "x"), (2, "b", "y")])
    assert train(path).notes == [
        f"{path}: columns: text text, label label, id id",
        "one of 2 classes (x, y)",
    ]
    assert "label is a score (regression)" in train(of_labels(path, [0.5, 1])).notes[1]


def test_classes_that_differ_in_capitals_are_told(tmp_path: Path) -> None:
    path = of_labels(tmp_path / "a.csv", ["Pos", "pos", "neg", "neg"])
    said = "'Pos' and 'pos' are taken for different classes; if they are the same: --merge_labels"
    assert said in train(path).notes
    assert said not in train(of_labels(path, ["Pos", "neg"])).notes


def test_classes_that_may_be_typing_errors_are_told(tmp_path: Path) -> None:
    path = of_labels(tmp_path / "a.csv", ["Rechnung", "Rechung", "Rechnung", "Aufzug"])
    said = "'Rechung' and 'Rechnung' are nearly the same and taken for different classes; is one a typing error?"
    swapped = said.replace("'Rechung' and 'Rechnung'", "'Rechnung' and 'Rechung'")
    assert {said, swapped} & set(train(path).notes)
    for labels in (["topic 11", "topic 12"], ["good", "goods"], ["Lift", "lift"]):
        assert not any("typing error" in note for note in train(of_labels(path, labels)).notes)


def test_whole_numbers_are_one_class_however_they_are_written_or_said(tmp_path: Path) -> None:
    path = of_labels(tmp_path / "a.csv", ["1.0", "0", "1"])
    assert [row.label for row in train(path).train] == ["1", "0", "1"]
    assert [row.label for row in train(path, labels=("1.0", "0.0")).train] == ["1", "0", "1"]


def test_the_second_text_of_a_pair_may_be_empty(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "premise hypothesis label", [("a", "", "x"), ("b", "c", "y")])
    assert [(row.text, row.pair) for row in train(path).train] == [("a", ""), ("b", "c")]
    missing = lines(tmp_path / "a.jsonl", [{"premise": "a", "hypothesis": None, "label": "x"}])
    with pytest.raises(InputError, match=r"line 1: the text is empty \(hypothesis\)"):
        train(missing)


def test_pairs_and_ids_are_read(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "id premise hypothesis label", [("q1", "a", "b", "x"), ("q2", "c", "d", "y")])
    rows = train(path).train
    assert [row[1:] for row in rows] == [("q1", "a", "b", "x"), ("q2", "c", "d", "y")]
    assert rows[1].location == f"{path}, line 3"


# ------------------------------------------------------------------------------------------------------------ errors
@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["1,a,x", "2, ,y"], "line 3: the text is empty (text)"),
        (["1,a,x", "2,\u200b \u200b,y"], "line 3: the text is empty (text)"),
        (["1,a,x", "2,b,"], "line 3: has no label"),
        (["1,a,x", "2,b,x"], "all 2 rows have the label 'x'; two are needed to learn"),
        (["1,a,0.5", "2,b,nan"], "line 3: the score is nan; give a number"),
        (["1,a,0.5", "2,b,inf"], "line 3: the score is inf; give a number"),
        (["1,a,0.5", "2,b,0.5"], "all 2 rows have the score 0.5; two are needed to learn"),
        (["1,a,0", "2,b,1", "3,c,nan"], "line 4: 'nan' is no label; known are 0, 1"),
    ],
)
def test_a_bad_row_is_told_with_its_line(tmp_path: Path, rows: list[str], problem: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["id,text,label", *rows]), encoding="utf-8")
    with pytest.raises(InputError) as error:
        train(path)
    assert str(error.value).startswith(str(path))
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"text": 5, "label": "x"}, "line 1: text is not a text but 5"),
        ({"label": "x"}, "line 1: the text is empty (text)"),
        ({"text": "a", "label": {"x": 1}}, "line 1: a label is neither a text nor a number but {'x': 1}"),
        ({"text": "a", "label": [["x"]]}, "line 1: a label is neither a text nor a number but ['x']"),
        ({"text": "a"}, "line 1: has no label"),
    ],
)
def test_a_bad_object_is_told_with_its_line(tmp_path: Path, value: dict[str, Any], problem: str) -> None:
    path = lines(tmp_path / "a.jsonl", [value, {"text": "b", "label": "y"}])
    with pytest.raises(InputError) as error:
        train(path)
    assert problem in str(error.value)


def test_several_labels_where_one_is_expected_are_told(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"text": "a", "label": ["x", "y"]}, {"text": "b", "label": ["x"]}])
    with pytest.raises(InputError, match="line 1: has 2 labels, where one is expected"):
        train(path, kind="single")


def test_a_label_that_training_never_saw_is_told_with_the_nearest(tmp_path: Path) -> None:
    of = of_labels(tmp_path / "train.csv", ["positive", "negative"])
    dev = of_labels(tmp_path / "dev.csv", ["positive", "negativ"])
    with pytest.raises(InputError, match=r"dev\.csv, line 3: 'negativ' is no label; did you mean negative\?"):
        read(of, dev, None, DataOptions(), BadRows())
    bad = BadRows()
    assert [row.label for row in read(of, None, dev, DataOptions(), bad).test] == ["positive", None]
    assert bad.remarks == [f"{dev}, line 3: 'negativ' is no label; did you mean negative?; a test set needs no labels"]


def test_a_file_that_lacks_the_column_of_the_first_is_told(tmp_path: Path) -> None:
    of = of_labels(tmp_path / "train.csv", ["x", "y"])
    dev = table(tmp_path / "dev.csv", "sentence label", [("a", "x")])
    with pytest.raises(InputError, match=r"dev\.csv: has no column 'text' \(--text_column\)"):
        read(of, dev, None, DataOptions(), BadRows())


def test_a_dev_file_without_the_column_of_the_labels_is_told_and_a_test_file_needs_none(tmp_path: Path) -> None:
    of = table(tmp_path / "train.csv", "text team", [("a", "x"), ("b", "y")])
    other = table(tmp_path / "dev.csv", "text labels", [("a", "x")])
    expected = r"dev\.csv: has no column 'team' \(--label_column\); it has text, labels"
    for bad in (BadRows(), BadRows("skip")):
        with pytest.raises(InputError, match=expected):
            read(of, other, None, options_of(label_column="team"), bad)
    assert [row.text for row in read(of, None, other, options_of(label_column="team"), BadRows()).test] == ["a"]


@pytest.mark.parametrize("label", ["", None])
def test_a_training_file_without_a_single_label_is_told(tmp_path: Path, label: str | None) -> None:
    path = lines(tmp_path / "a.jsonl", [{"text": "a", "label": label}, {"text": "b", "label": label}])
    with pytest.raises(InputError, match=r"a\.jsonl: no row has a label in column 'label' \(--label_column\)$"):
        train(path)


def test_a_file_with_only_a_header_is_told_before_its_columns_are_asked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv: has no rows below its header$"):
        train(table(tmp_path / "a.csv", "text team", []))


def test_without_training_rows_the_classes_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the classes are not known; give --train_file, or --labels=a,b,c"):
        read(None, of_labels(tmp_path / "dev.csv", ["x", "y"]), None, DataOptions(), BadRows())
    with pytest.raises(InputError, match="at least one must be given"):
        read(None, None, None, DataOptions(), BadRows())


def test_bad_rows_can_be_left_out(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv", "id text label", [(1, "a", "x"), (2, "", "x"), (1, "b", "y"), (3, "c", "y"), (4, "d", "")]
    )
    bad = BadRows("skip")
    assert [row.text for row in train(path, bad, id_column="id").train] == ["a", "c"]
    assert [note.partition(": ")[0] for note in bad.notes] == [f"{path}, line {line}" for line in (3, 4, 6)]


def test_a_file_of_bad_rows_alone_is_told(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "text label", [("", "x"), ("", "y")])
    with pytest.raises(InputError, match=r"a\.csv: no row can be used; the first: .* line 2: the text is empty"):
        train(path, BadRows("skip"), labels=("x", "y"))


def test_a_dev_or_test_file_of_bad_rows_alone_is_told(tmp_path: Path) -> None:
    of = of_labels(tmp_path / "train.csv", ["x", "y", ""])
    for rows, problem in (([("", "x")], "line 2: the text is empty"), ([("a", "z")], "line 2: 'z' is no label")):
        other = table(tmp_path / "other.csv", "text label", rows)
        for files in ((of, other, None), (of, None, other))[: 2 - ("label" in problem)]:
            with pytest.raises(InputError, match=rf"other\.csv: no row can be used; the first: .*{problem}"):
                read(*files, DataOptions(), BadRows("skip"))


# ---------------------------------------------------------------------------------------------------------- dev rows
def test_a_dev_set_is_drawn_where_there_is_no_file_of_one(tmp_path: Path) -> None:
    path = of_labels(tmp_path / "a.csv", ["x", "y", "y", "y"] * 25)
    data = train(path, dev_fraction=0.2, seed=3)
    assert (len(data.train), len(data.dev)) == (80, 20)
    assert sum(row.label == "x" for row in data.dev) == 5
    assert sorted([*data.train, *data.dev], key=lambda row: int(row.id)) == train(path).train
    assert data.dev == train(path, dev_fraction=0.2, seed=3).dev
    assert data.dev != train(path, dev_fraction=0.2, seed=4).dev
    assert data.notes[-1] == "20 of 100 training rows are the dev set (--dev_fraction)"
    assert read(path, path, None, DataOptions(dev_fraction=0.2), BadRows()).train == train(path).train


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none_is_told(tmp_path: Path, fraction: float) -> None:
    with pytest.raises(InputError, match="--dev_fraction"):
        train(of_labels(tmp_path / "a.csv", ["x", "y"]), dev_fraction=fraction)


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.sampled_from("xyz")),
        min_size=2,
    )
)
def test_all_formats_say_the_same(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    folder = tmp_path_factory.mktemp("own")
    rows = [{"text": f"t{text}", "label": label} for text, label in [*pairs, ("", "x"), ("", "y")]]
    lines(folder / "a.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows(
            [("text", "label"), *((r["text"], r["label"]) for r in rows)]
        )
    found = [[row[1:] for row in train(path).train] for path in sorted(folder.iterdir())]
    assert found[0] == found[1] == found[2] == [(str(i), r["text"], None, r["label"]) for i, r in enumerate(rows, 1)]


LABELS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text() | st.integers())


@given(st.lists(LABELS, max_size=12), st.sampled_from(["error", "skip"]), st.none() | st.just(";"))
def test_whatever_the_labels_are_no_other_error_comes(
    tmp_path_factory: pytest.TempPathFactory, labels: list[Any], on_bad_row: Any, separator: str | None
) -> None:
    path = lines(tmp_path_factory.mktemp("own") / "a.jsonl", [{"text": "t", "label": label} for label in labels])
    message, data = "", None
    try:
        data = train(path, BadRows(on_bad_row), label_separator=separator)
    except InputError as error:
        message = str(error)
    assert message.startswith("" if data else str(path))
    assert "\n" not in message
    if data:
        assert all(isinstance(row.label, float) for row in data.train) == (data.kind == "regression")
        used = {name for row in data.train for name in (row.label if isinstance(row.label, tuple) else (row.label,))}
        assert data.kind == "regression" or used <= set(data.labels)
