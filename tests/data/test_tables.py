"""Files of rows: what is written is read back, and what is wrong is told with its line."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data import lines
from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited_tables import Reading
from bertworks.data.tables import column, fields, open_table
from bertworks.errors import InputError

# No NUL and no carriage return: the first is refused, the second is what ends lines elsewhere.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20)
ROWS = st.lists(st.lists(TEXTS, min_size=3, max_size=3), min_size=1, max_size=8)


# These names are those of a header, so that letters at random are no guess.
NAMES = {"a", "id", "text"}


def read(path: Path, bad: BadRows | None = None, **reading: Any) -> list[dict[str, Any]]:
    table = open_table(path, Reading(**reading), NAMES)
    return [dict(record.values) for record in table.records(bad or BadRows())]


def locations(path: Path) -> list[str]:
    found = open_table(path, known_names=NAMES).records(BadRows())
    return [record.location.removeprefix(f"{path}, ") for record in found]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ------------------------------------------------------------------------------------------------------- round trips
@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_a_spreadsheet_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str, with_mark: bool
) -> None:
    path = tmp_path_factory.mktemp("tables") / "rows.csv"
    with path.open("w", encoding="utf-8-sig" if with_mark else "utf-8", newline="") as stream:
        csv.writer(stream, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    # Line ends inside of a field are part of it.
    assert read(path) == [dict(zip("abc", row, strict=True)) for row in rows]


@given(ROWS, st.sampled_from(["\n", "\r\n"]))
def test_a_tsv_is_what_stands_between_the_tabs(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str
) -> None:
    plain = [[f"'{field}'".translate({9: " ", 10: " "}) for field in row] for row in rows]
    lines = ["\t".join(row) for row in (["a", "b", "c"], *plain)]
    path = write(tmp_path_factory.mktemp("tables") / "rows.tsv", end.join(lines))
    assert read(path) == [dict(zip("abc", row, strict=True)) for row in plain]


@given(ROWS)
def test_json_lines_are_read(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    values = [dict(zip("abc", row, strict=True)) for row in rows]
    lines = [json.dumps(value, ensure_ascii=bool(i % 2)) for i, value in enumerate(values)]
    path = write(tmp_path_factory.mktemp("tables") / "rows.jsonl", "\n\n".join(lines))
    assert read(path) == values


def test_parquet_is_read(tmp_path: Path) -> None:
    values = [{"text": "ein Satz", "labels": ["a", "b"]}, {"text": "noch einer", "labels": []}]
    pq.write_table(pa.Table.from_pylist(values * 900), tmp_path / "rows.parquet", row_group_size=500)
    assert read(tmp_path / "rows.parquet") == values * 900
    assert open_table(tmp_path / "rows.parquet").columns == ("text", "labels")
    assert locations(tmp_path / "rows.parquet")[1500] == "row 1501"


def test_quotation_marks_are_characters_in_a_tsv_unless_its_header_is_quoted(tmp_path: Path) -> None:
    glue = write(tmp_path / "glue.tsv", 'id\ttext\n1\t"The giant stands, he said.\n')
    assert read(glue) == [{"id": "1", "text": '"The giant stands, he said.'}]
    quoted = write(tmp_path / "quoted.tsv", '"id"\t"text"\n"1"\t"two\nlines, a ""word"""\n')
    assert read(quoted) == [{"id": "1", "text": 'two\nlines, a "word"'}]
    assert read(write(tmp_path / "said.tsv", 'id\ttext\n1\t"a"\n'), quoted=True) == [{"id": "1", "text": "a"}]
    assert read(write(tmp_path / "said.csv", 'id,text\n1,"a\n'), quoted=False) == [{"id": "1", "text": '"a'}]


def test_rows_know_the_line_they_begin_on(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", 'a,b\n\n1,"two\nlines"\n\n2,"and\r\nthree\r\nlines"\n3,x\n')
    assert locations(path) == ["line 3", "line 6", "line 9"]
    assert locations(write(tmp_path / "rows.jsonl", '{"a": 1}\n\n{"a": 2}\n')) == ["line 1", "line 3"]


def test_carriage_returns_end_lines_where_nothing_else_does(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "a,b\r1,2\r3,4")) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert locations(write(tmp_path / "a.jsonl", '{"a": 1}\r{"a": 2}\r')) == ["line 1", "line 2"]


def test_a_field_may_be_long(tmp_path: Path) -> None:
    text = "word " * 60_000
    assert read(write(tmp_path / "long.csv", f'a,b\n"{text}",1\n')) == [{"a": text, "b": "1"}]


def test_columns_of_json_lines_are_those_of_all_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", '{"text": "a"}\nnot json\n{"text": "b", "label": 1}\n')
    assert open_table(path).columns == ("text", "label")


# ------------------------------------------------------------------------------------------------------------ errors
@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", "a,b\n1,2\n1,2,3\n", "line 3: has 3 fields, but the header has 2"),
        (
            "a.csv",
            "a\n1\n1,2\n1\n",
            "line 3: has 2 fields, but the header has 1; if each line is one text: --separator=tab",
        ),
        ("a.tsv", "a\tb\n1\n", "line 2: has 1 field, but the header has 2"),
        (
            "a.csv",
            b"a,b\n1,2\nx,\xff\n",
            "line 3, byte 3: ff (hexadecimal) is not UTF-8 (if the file is in Windows-1252, where that is 'ÿ'",
        ),
        ("a.csv", b"a,b\n1,\x81\n", "line 2, byte 3: 81 (hexadecimal) is not UTF-8 (say what the file is in, such as"),
        (
            "a.csv",
            b"a,b\n1,2\0\n",
            "line 2, column 4: a NUL byte (is this a text file? if it is UTF-16: --encoding=utf-16-le)",
        ),
        ("a.csv", 'a,b\n1,2\n3,"4\n5,6\n', "line 3: a quotation mark begins a field here and nothing ends it"),
        ("a.csv", 'a,b\n3,"4"5"\n', 'line 2: a quotation mark inside of a quoted field; write it twice ("")'),
        ("a.csv", "a,b\n1,2\r3,4\n", "line 2: a carriage return without a line feed; convert the line ends"),
        ("a.csv", "a,b\n", "has no rows below its header"),
        ("a.tsv", "a\tb", "has no rows below its header"),
        ("a.csv", "", "is empty"),
        ("a.csv", "\n\n", "is empty"),
        ("a.jsonl", "\n", "has no rows"),
        ("a.csv", "a, a\n1,2\n", "has 2 columns called 'a'; rename all but one"),
        ("a.jsonl", '{"a": 1}\n{"a" 1}\n', "line 2, column 6: not JSON (Expecting ':' delimiter)"),
        ("a.jsonl", "[1]\n", "item 1: a JSON object was expected ({...}), not int"),
        ("a.jsonl", "[" * 100_000 + "\n", "not JSON that can be read"),
        ("a.jsonl", '[{"a": 1},\n {"a" 1}]\n', "line 2, column 7: not JSON (Expecting ':' delimiter)"),
        ("a.jsonl", '["a", 1]\n["b", 2]\n', "line 1: a JSON object was expected ({...}), not list"),
        ("a.jsonl", f'{{"a": {"9" * 5000}}}\n', "line 1: not JSON that can be read"),
        ("a.jsonl", '{"a": "\\ud800"}\n', "line 1: half of a surrogate pair"),
        (
            "a.jsonl",
            b'{"a": "\xe4"}\n',
            "line 1, byte 8: e4 (hexadecimal) is not UTF-8 (if the file is in Windows-1252, where that is 'ä'",
        ),
        ("a.parquet", "text", "is not a parquet file"),
        ("a.xlsx", b"PK\x03\x04", "is a spreadsheet; save the sheet as .csv, or: python -c"),
        ("a.csv.gz", b"\x1f\x8b", "is compressed with gzip; decompress it"),
        ("a.spss", "text", "cannot be read; give a file that ends with .csv, .tsv, .txt, .jsonl, .ndjson, .json"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, name: str, content: str | bytes, problem: str) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(InputError) as error:
        read(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert problem in message
    assert "\n" not in message
    # Where another encoding is the cause, or the whole file cannot be read, leaving rows out is no advice.
    skipping = ", line" in message and not any(
        word in message for word in ("UTF-", "line 1 has", "[", "line 2, column 7")
    )
    assert ("--on_bad_row=skip" in message) == skipping


def test_a_damaged_parquet_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": [f"sentence {i}" for i in range(5000)]}), path, compression="NONE")
    content = bytearray(path.read_bytes())
    content[40:400] = bytes(360)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"rows\.parquet: is damaged after row 0"):
        read(path)


@pytest.mark.parametrize("name", ["no.csv", "no.jsonl", "no.parquet"])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.csv", "a"])
def test_a_folder_is_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="a folder, not a file"):
        read(tmp_path / name)


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 1 << 20)
    path = write(tmp_path / "a.csv", "a,b\n" + "x" * (1 << 20) + "y")
    with pytest.raises(InputError, match=r"a\.csv, line 2: is longer than 1 MB"):
        read(path, BadRows("skip"))


# ---------------------------------------------------------------------------------------------------------- skipping
@pytest.mark.parametrize(
    ("name", "content", "kept"),
    [
        ("a.csv", b'a,b\n1,2\nragged\n3,"x\xff\ny"\n4,5\nz\0,1\n6,"7"7\n8,9\n', ["1", "4", "8"]),
        ("a.csv", b'a,b\n1,2\n3,"4\n5,6\n', ["1", "5"]),
        ("a.tsv", b"a\tb\n1\t2\nragged\n\xff\t1\n4\t5\n", ["1", "4"]),
        ("a.jsonl", b'{"a": "1"}\nnothing\n\xff\n7\n{"a": "2"}\n', ["1", "2"]),
    ],
)
def test_bad_rows_are_left_out_and_told(tmp_path: Path, name: str, content: bytes, kept: Sequence[str]) -> None:
    bad = BadRows("skip")
    path = write(tmp_path / name, content)
    assert [row["a"] for row in read(path, bad)] == kept
    assert bad.notes
    assert all(note.startswith(f"{path}, line ") for note in bad.notes)


def test_a_file_of_bad_rows_alone_is_left_to_the_caller(tmp_path: Path) -> None:
    bad = BadRows("skip")
    assert read(write(tmp_path / "a.csv", "a,b\n1\n"), bad) == []
    assert len(bad.notes) == 1


def test_the_summary_is_short() -> None:
    bad = BadRows("skip")
    assert bad.summary() == []
    bad.found("f, line 9: wrong")
    assert bad.summary() == ["1 bad row left out:", "  f, line 9: wrong"]
    bad.notes.clear()
    for number in range(8):
        bad.found(f"f, line {number}: wrong")
    assert bad.summary() == ["8 bad rows left out:", *(f"  f, line {n}: wrong" for n in range(5)), "  and 3 more"]


@pytest.mark.parametrize("columns", [("text", "label"), ()])
def test_a_column_that_is_not_there_is_told_with_those_that_are(columns: tuple[str, ...]) -> None:
    path = Path("f.csv")
    with pytest.raises(InputError) as error:
        column(columns, "lable", path, "--label_column")
    expected = "text, label; did you mean label?" if columns else "none"
    assert str(error.value) == f"f.csv: has no column 'lable' (--label_column); it has {expected}"
    assert not columns or column(columns, "text", path, "--text_column") == "text"


def test_fields_gives_the_header_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "a\tb\n1\t2\n")
    assert list(fields(path, BadRows())) == [(f"{path}, line 1", ["a", "b"]), (f"{path}, line 2", ["1", "2"])]


PIECES = (
    b"a",
    b"text",
    b"label",
    b",",
    b"\t",
    b'"',
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xff",
    b"{",
    b"}",
    b":",
    b"[",
    b"\xef\xbb\xbf",
)


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]))
def test_whatever_a_file_holds_no_other_error_comes(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], suffix: str
) -> None:
    path = write(tmp_path_factory.mktemp("tables") / f"a{suffix}", b"".join(pieces))
    for bad in (BadRows(), BadRows("skip")):
        message, found = "", []
        try:
            found = read(path, bad)
        except InputError as error:
            message = str(error)
        assert found or bad.notes or message.startswith(str(path))
        assert "\n" not in message


def test_a_file_may_have_many_columns(tmp_path: Path) -> None:
    names = [f"column {i}" for i in range(60_000)]
    (tmp_path / "rows.csv").write_text(f"{','.join(names)}\n{','.join('1' for _ in names)}\n1\n")
    table = open_table(tmp_path / "rows.csv")
    assert table.columns == tuple(names)
    assert len(table.sample()) == 1
