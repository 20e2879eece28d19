"""How a file is written is found in it, and told where it is not as usual."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited_tables import Reading
from bertworks.data.tables import Table, open_table
from bertworks.errors import InputError

NAMES = {"text", "label"}


def opened(path: Path, content: str | bytes, **reading: Any) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_table(path, Reading(**reading), NAMES)


def rows(table: Table) -> list[list[object]]:
    return [list(record.values.values()) for record in table.records(BadRows())]


# ---------------------------------------------------------------------------------------------------------- encoding
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, encoding: str) -> None:
    for name, content in (("a.csv", 'text,label\n"é,\nß",x\n'), ("a.jsonl", '{"text": "é,\\nß", "label": "x"}\n')):
        table = opened(tmp_path / name, content.encode(encoding))
        assert rows(table) == [["é,\nß", "x"]]
        assert len(table.notes) == (encoding != "utf-8-sig")


def test_plain_western_text_is_read_as_windows_1252_and_told(tmp_path: Path) -> None:
    text = "text,label\nwin £500 – now,spam\nfaçade,ham\nit’s größer,ham\n"
    table = opened(tmp_path / "a.csv", text.encode("cp1252"))
    assert rows(table)[0] == ["win £500 – now", "spam"]
    assert table.notes == (
        f"{tmp_path / 'a.csv'}: is not UTF-8 and is read as Windows-1252, line 2: 'win £500 – now,spa'; "
        "if that is wrong, say what it is in: --encoding",
    )


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("text,label\nменя зовут Анна,x\nи тебя,y\n", "cp1251"),
        ("text,label\n我们都很好,x\n他们也是,y\n", "gb18030"),
        ("text,label\nżółć i łąka,x\nkłopot,y\n", "cp1250"),
        ("text,label\ncafé d’été,x\nl’été là,y\n", "mac_roman"),
        ("text,label\na café,x\nb,y\n", "cp1252"),  # one line alone may be damaged
    ],
)
def test_what_is_not_plain_is_asked_but_read_where_it_is_said(tmp_path: Path, content: str, encoding: str) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(InputError, match=r"is not UTF-8 .*--encoding=cp1252"):
        rows(opened(path, content.encode(encoding)))
    expected = [line.split(",") for line in content.splitlines()[1:]]
    assert rows(opened(path, content.encode(encoding), encoding=encoding)) == expected
    # What a model remembers is taken for a file that is not UTF-8, and for no other.
    remembered = {"encoding": encoding, "remembered": frozenset(["encoding"])}
    assert rows(opened(path, content.encode(encoding), **remembered)) == expected
    assert rows(opened(path, content, **remembered)) == expected


def test_a_file_of_utf8_and_other_bytes_is_no_windows_1252(tmp_path: Path) -> None:
    content = "text,label\nfaçade,x\n".encode() + "déjà vu,y\ncafé,y\n".encode("cp1252")
    with pytest.raises(InputError, match="line 3, byte 2: e9"):
        rows(opened(tmp_path / "a.csv", content))


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"encoding": "utf-9"}, "--encoding=utf-9: there is none of this name"),
        ({"encoding": "base64"}, "--encoding=base64: there is none of this name"),
        ({"separator": ";;"}, "--separator=;;: give one character, or tab"),
    ],
)
def test_flags_that_mean_nothing_are_told(tmp_path: Path, flags: dict[str, str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        opened(tmp_path / "a.csv", "text,label\na,b\n", **flags)


# --------------------------------------------------------------------------------------------------------- separator
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_another_separator_is_found(tmp_path: Path, name: str, separator: str) -> None:
    content = io.StringIO()
    expected = [["one; two", "x"], ["three, four", "y"], ["a | b", "x"]]
    csv.writer(content, delimiter=separator).writerows([["text", "label"], *expected])
    table = opened(tmp_path / name, content.getvalue())
    assert table.columns == ("text", "label")
    assert rows(table) == expected
    usual = separator == ("," if name == "a.csv" else "\t")
    assert sum("separate its fields" in note for note in table.notes) == (not usual)


def test_excel_says_its_separator_on_the_first_line(tmp_path: Path) -> None:
    assert rows(opened(tmp_path / "a.csv", "sep=;\r\ntext;label\r\na, b;c\r\n")) == [["a, b", "c"]]
    assert rows(opened(tmp_path / "a.csv", "text\tlabel\na\tb\n", separator="tab")) == [["a", "b"]]


def test_a_comma_in_every_text_of_one_column_is_no_separator(tmp_path: Path) -> None:
    assert rows(opened(tmp_path / "a.tsv", "text\none, two\nthree, four\n")) == [["one, two"], ["three, four"]]


# ------------------------------------------------------------------------------------------------------------ quotes
FIELDS = st.text(st.sampled_from('ab"\t;é'), max_size=6) | st.text(st.sampled_from('ab"\n;é'), max_size=6)


@given(st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=6))
def test_a_tsv_as_pandas_writes_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, str]]
) -> None:
    content = io.StringIO()
    csv.writer(content, delimiter="\t", lineterminator="\n").writerows([("text", "label"), *written])
    table = opened(tmp_path_factory.mktemp("quotes") / "a.tsv", content.getvalue())
    assert rows(table) == [list(row) for row in written]


@pytest.mark.parametrize(
    "text", ['"Fine," he said.', 'a 5" pipe', '"The giant stands', '"', '"all of it"', 'say ""this""']
)
def test_a_tsv_as_glue_writes_it_is_read(tmp_path: Path, text: str) -> None:
    content = f"text\tlabel\n{text}\tx\nplain\ty\n{text}\tx\n"
    assert rows(opened(tmp_path / "a.tsv", content)) == [[text, "x"], ["plain", "y"], [text, "x"]]


def test_a_column_in_quotation_marks_is_quoted(tmp_path: Path) -> None:
    content = 'text\tlabel\n"a b"\t1\n"c"\t2\n"d"\t1\n'
    assert rows(opened(tmp_path / "a.tsv", content)) == [["a b", "1"], ["c", "2"], ["d", "1"]]
    assert rows(opened(tmp_path / "a.tsv", content, quoted=False))[0] == ['"a b"', "1"]


# ------------------------------------------------------------------------------------------------------------ header
@pytest.mark.parametrize(
    ("content", "has_header"),
    [
        ("text,label\na,b\n", True),
        ("v1,v2\nham,a\nspam,b\n", True),
        ("ham,a\nspam,b\nham,c\n", False),  # a label recurs
        ("1,one text\n2,another\n", False),  # a number above numbers
        ("0,1\na,5\nb,6\n", True),  # as pandas names columns without names
        ("label,b\nlabel,c\nx,d\n", True),  # a usual name
        ("name,mood\na,x\nname,mood\nb,y\n", True),  # files with headers, one behind the other
    ],
)
def test_a_header_is_told_from_a_row(tmp_path: Path, content: str, has_header: bool) -> None:
    table = opened(tmp_path / "a.csv", content)
    lines = content.splitlines()
    assert table.columns == (tuple(lines[0].split(",")) if has_header else ("0", "1"))
    assert len(rows(table)) == len(lines) - has_header
    assert any("line 1 is a row" in note for note in table.notes) == (not has_header)
    for said in (True, False):
        assert len(rows(opened(tmp_path / "a.csv", content, header=said))) == len(lines) - said


def test_what_was_without_a_header_in_training_is_so_in_prediction(tmp_path: Path) -> None:
    remembered = {"header": False, "remembered": frozenset(["header"])}
    assert rows(opened(tmp_path / "a.csv", "a b,c\nd,e\n", **remembered)) == [["a b", "c"], ["d", "e"]]
    assert rows(opened(tmp_path / "a.csv", "text,label\nd,e\n", **remembered)) == [["d", "e"]]


def test_columns_without_a_name_are_called_as_pandas_calls_them(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.csv", ",text,label,,\n0,a,x,,\n1,b,y,more,\n")
    assert table.columns == ("Unnamed: 0", "text", "label", "Unnamed: 3")
    assert rows(table) == [["0", "a", "x", ""], ["1", "b", "y", "more"]]
    assert table.notes == (f"{tmp_path / 'a.csv'}: columns without a name and values, which are not read: 1",)


def test_empty_cells_behind_the_last_column_are_none(tmp_path: Path) -> None:
    assert rows(opened(tmp_path / "a.csv", "text,label\na,x,,\nb,y\n")) == [["a", "x"], ["b", "y"]]


def test_two_columns_of_one_name_may_be_a_row(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1 has 2 columns called 'b'; rename all but one, or give --noheader"):
        opened(tmp_path / "a.csv", "a,b,b\nc,d,e\n")
    with pytest.raises(InputError, match="line 1, byte 2: e9"):
        opened(tmp_path / "a.csv", "t\xe9xt,label\na,b\n".encode("cp1252"))


# ------------------------------------------------------------------------------------------------- other marks and rows
@pytest.mark.parametrize(
    ("content", "first", "told"),
    [
        ('text,label\n"he said \\"hi\\", and left",x\nplain,y\n', 'he said "hi", and left', "have a backslash before"),
        ('text,label\nhe said \\"hi\\"\\, and left,x\nplain,y\n', 'he said "hi", and left', "have a backslash before"),
        ('text,label\n"one \\\\ two \\"",x\nplain,y\n', 'one \\ two "', "have a backslash before"),
        ("'text','label'\n'it, and that','x'\n'it''s','y'\n", "it, and that", "in single quotation marks"),
        ("text,label\n'it''s, ok','x'\n'so','y'\n", "it's, ok", "in single quotation marks"),
        ("text,label\n'it\\'s, \\\\ ok','x'\n'so','y'\n", "it's, \\ ok", "in single quotation marks, with backslashes"),
        # Nothing is wrong with these when they are read as usual.
        ('text,label\n"C:\\\\dir\\\\",x\n"a ""word"", b",y\n', "C:\\\\dir\\\\", ""),
        ('text,label\n"{""a"": ""\\""b\\""""}",x\nplain,y\n', '{"a": "\\"b\\""}', ""),
        ("text,label\n'tis the season,x\n'twas',y\n", "'tis the season", ""),
        ("text,label\n\"it's, fine\",x\n'quoted',y\n", "it's, fine", ""),
    ],
)
def test_marks_that_are_written_otherwise_are_found_and_told(
    tmp_path: Path, content: str, first: str, told: str
) -> None:
    table = opened(tmp_path / "a.csv", content)
    assert rows(table)[0] == [first, "x"]
    assert len(rows(table)) == 2
    assert [told in note for note in table.notes] == [True] * bool(told)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", '"text","label"\n"1","good, yes","x"\n"2","bad ""q""","y"\n'),
        ("a.tsv", '"text"\t"label"\n"1"\t"good, yes"\t"x"\n"2"\t"bad \\"q\\""\t"y"\n'),
        ("a.txt", '"text" "label"\n"1" "good, yes" "x"\n"2" "bad \\"q\\"" "y"\n'),
    ],
)
def test_names_of_rows_as_r_writes_them_are_no_texts(tmp_path: Path, name: str, content: str) -> None:
    table = opened(tmp_path / name, content)
    assert table.columns == ("Unnamed: 0", "text", "label")
    assert rows(table) == [["1", "good, yes", "x"], ["2", 'bad "q"', "y"]]
    assert "the first is the number of the row, as R writes it" in table.notes[-1]


def test_a_field_too_many_is_still_wrong_where_it_is_no_number(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.csv", "text,label\nwell, yes,x\nbut, no,y\n")
    with pytest.raises(InputError, match="line 2: has 3 fields, but the header has 2"):
        rows(table)


@pytest.mark.parametrize(
    ("content", "columns"), [('[["a b", "x"], ["c d", "y"]]', ("0", "1")), ('[["text", "label"], ["a b", "x"]]', NAMES)]
)
def test_rows_that_are_lists_are_told(tmp_path: Path, content: str, columns: Any) -> None:
    table = opened(tmp_path / "a.json", content)
    assert set(table.columns) == set(columns)
    assert rows(table)[0] == ["a b", "x"]
    assert "its rows are lists; " in table.notes[0]
