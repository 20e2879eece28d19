"""A row that is wrong is one row: the rows around it are kept whole, however many lines it has."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited import delimited_rows
from bertworks.data.lines import Lines
from bertworks.errors import InputError

TEXTS = st.text(st.sampled_from('ab,"\n é'), max_size=8)
ROWS = st.lists(st.lists(TEXTS, min_size=2, max_size=2), min_size=3, max_size=9)


def read(path: Path, content: bytes, bad: BadRows, separator: str = ",", quoted: bool = True) -> list[list[str]]:
    path.write_bytes(content)
    with closing(Lines(path)) as lines:
        return [row for _, row in delimited_rows(lines, separator, quoted, bad)]


@given(ROWS, st.data())
def test_a_wrong_byte_costs_the_row_it_is_in(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], data: st.DataObject
) -> None:
    wrong = data.draw(st.integers(0, len(rows) - 1))
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
        [*rows[:wrong], [rows[wrong][0] + "\1", rows[wrong][1]], *rows[wrong + 1 :]]
    )
    content = line.getvalue().encode().replace(b"\1", data.draw(st.sampled_from([b"\xff", b"\0", b"\xe4\xf6"])))
    bad = BadRows("skip")
    assert read(tmp_path_factory.mktemp("rows") / "a.csv", content, bad) == rows[:wrong] + rows[wrong + 1 :]
    assert len(bad.notes) == bad.rows == 1


@pytest.mark.parametrize(
    ("rows", "kept", "place"),
    [
        ('1,"a\n2,b\n3,c\n', "23", "line 2"),  # nothing ends the field
        ('1,"a\n2,b\n3,"c"\n4,d\n', "234", "line 2"),  # a later mark would end it
        ('1,"a\n2,b\n3,"two\nlines"\n4,d\n', "234", "line 2"),
        ('1,"a "b" c\nd"\n2,b\n', "2", "lines 2-3"),  # a wrong mark on the first line of a row
        ('1,"a\nb "c" d"\n2,b\n', "2", "lines 2-3"),  # and on a later one
        ('1,"a "b" c"\n2,b\n', "2", "line 2"),
        ('1,"a"b\n2,"c\nd"\n', "2", "line 2"),
    ],
)
def test_a_wrong_quotation_mark_costs_one_row(tmp_path: Path, rows: str, kept: str, place: str) -> None:
    bad = BadRows("skip")
    path = tmp_path / "a.csv"
    found = read(path, f"n,text\n{rows}".encode(), bad)
    assert "".join(row[0] for row in found) == f"n{kept}"
    assert [len(row) for row in found] == [2] * len(found)
    assert [note.partition(": ")[0] for note in bad.notes] == [f"{path}, {place}"]


def test_the_line_and_the_row_of_a_wrong_byte_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path / "a.csv", b'text\nfine\n"two\nl\xefnes"\n', BadRows())
    assert str(error.value) == (
        f"{tmp_path / 'a.csv'}, line 4, byte 2: ef (hexadecimal) is not UTF-8 in the row of lines 3-4 (if the file is "
        "in Windows-1252, where that is 'ï': --encoding=cp1252)"
    )


def test_blank_lines_between_the_rows_of_one_column_are_remarked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for content, count, remarked in (("text\n\na\n\n\nb\n\n", 3, (2, 4, 5)), ("text,label\n\na,b\n", 2, ())):
        for quoted in (True, False):
            bad = BadRows()
            assert len(read(path, content.encode(), bad, quoted=quoted)) == count
            assert bad.remarks == [f"{path}, line {line}: a blank line is no row" for line in remarked]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_quoted_empty_field_is_no_blank_line(tmp_path: Path, end: str) -> None:
    content = end.join(["text", '""', "", "b", '""', ""]).encode()
    assert read(tmp_path / "a.csv", content, BadRows()) == [["text"], [""], ["b"], [""]]
    assert read(tmp_path / "a.csv", content, BadRows(), quoted=False) == [["text"], ['""'], ["b"], ['""']]
