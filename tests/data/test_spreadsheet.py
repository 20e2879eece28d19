"""Spreadsheets: what a person sees in the cells, and files that claim too much."""

import datetime
import sys
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import openpyxl
import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited_tables import Reading
from bertworks.data.tables import Table, open_table
from bertworks.errors import InputError

HEADER = ["text", "label", "note"]


def written(path: Path, rows: Sequence[Sequence[Any]], **formats: str) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for place, form in formats.items():
        book.active[place].number_format = form
    book.save(path)
    return path


def values(table: Table) -> list[dict[str, Any]]:
    return [dict(record.values) for record in table.records(BadRows())]


def test_cells_are_what_a_person_sees(tmp_path: Path) -> None:
    cells = [
        "a text, with a comma",
        3,
        4.0,
        0.25,
        0.5,
        True,
        datetime.date(2024, 5, 1),
        datetime.datetime(2024, 5, 1, 12, 30),
        "007",
        None,
    ]
    names = [f"c{i}" for i in range(len(cells))]
    table = open_table(written(tmp_path / "a.xlsx", [names, cells, ["second"]], D2="0%"))
    shown = ["a text, with a comma", "3", "4", "25%", "0.5", "TRUE", "2024-05-01", "2024-05-01 12:30:00", "007", ""]
    assert values(table) == [dict(zip(names, shown, strict=True)), dict.fromkeys(names, "") | {"c0": "second"}]
    assert [record.location for record in table.records(BadRows())] == [f"{table.path}, row {i}" for i in (2, 3)]


def test_rows_without_a_cell_are_no_rows_and_keep_their_numbers(tmp_path: Path) -> None:
    table = open_table(written(tmp_path / "a.xlsx", [HEADER, ["a", "x"], [], ["", None, ""], ["b", "y", "more"]]))
    rows = [(record.location[-5:], record.values["text"]) for record in table.records(BadRows())]
    assert rows == [("row 2", "a"), ("row 5", "b")]


def test_without_names_of_columns(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", [["good film", "x"], ["bad film", "y"], ["fine", "x"]])
    table = open_table(path)
    assert table.columns == ("0", "1")
    assert "row 1 is a row, not the names of columns: 'x' stands in its column again" in table.notes[0]
    assert open_table(path, Reading(header=True)).columns == ("good film", "x")


def test_other_sheets_formulas_and_errors_are_told(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (HEADER, ["a", "=1+1", "#N/A"], ["b", 2, None]):
        book.active.append(row)
    book.active["C2"].data_type = "e"
    book.create_sheet("Other").append(["not", "read"])
    book.save(tmp_path / "a.xlsx")
    table = open_table(tmp_path / "a.xlsx")
    assert values(table)[0] == {"text": "a", "label": "", "note": ""}
    told = " ".join(table.notes)
    assert "of 2 sheets (Sheet, Other) the first is read" in told
    assert "1 formulas have no value in the file" in told
    assert "1 cells show an error such as #N/A" in told


def changed(path: Path, part: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**parts, part: content}.items():
            archive.writestr(name, data)


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("xl/more.xml", bytes(70_000_000), r"says that its .* bytes become 70,\d+,\d+; no table does"),
        (SHEET, b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "b">]><worksheet/>', "declares a document type"),
        (SHEET, b"<worksheet><sheetData><row><c", "is a damaged spreadsheet"),
        ("xl/workbook.xml", b"", "is a damaged spreadsheet"),
    ],
)
def test_files_that_claim_much_or_are_damaged_are_refused(
    tmp_path: Path, part: str, content: bytes, message: str
) -> None:
    path = written(tmp_path / "a.xlsx", [HEADER, ["a", "x", "y"]])
    changed(path, part, content)
    with pytest.raises(InputError, match=rf"a\.xlsx: .*{message}"):
        open_table(path)


def test_a_size_that_a_sheet_only_claims_costs_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", [HEADER, ["a", "x", "y"]])
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read(SHEET)
    assert b'ref="A1:C2"' in sheet
    changed(path, SHEET, sheet.replace(b'ref="A1:C2"', b'ref="A1:XFD1048576"'))
    assert values(open_table(path)) == [{"text": "a", "label": "x", "note": "y"}]


def test_cells_in_places_that_no_sheet_has_cost_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", [HEADER, ["a", "x", "y"]])
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read(SHEET)
    changed(path, SHEET, sheet.replace(b'r="C2"', b'r="ZZZZZZ2"'))
    with pytest.raises(InputError, match="has a cell in a column that no sheet has"):
        open_table(path)


def test_every_damaged_byte_is_an_error_of_one_line_or_harmless(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", [HEADER, ["a", 0.5, "y"], ["b", "=1+1", None]], B2="0%")
    good, random = path.read_bytes(), Random(3)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    outcomes = Counter()
    for i in range(80):
        name = random.choice([name for name in parts if name.endswith((".xml", ".rels"))])
        bad = bytearray(good if i % 2 else parts[name])
        for _ in range(random.randint(1, 3)):
            bad[random.randrange(len(bad))] = random.choice(b'<>"&/09a \x00\xff')
        if i % 2:
            path.write_bytes(bad)
        else:
            path.write_bytes(good)
            changed(path, name, bytes(bad))
        try:
            list(open_table(path).records(BadRows("skip")))
            outcomes["read"] += 1
        except InputError as error:
            outcomes["told"] += "\n" not in str(error)
    assert outcomes.total() == 80
    assert min(outcomes["read"], outcomes["told"]) > 5


@pytest.mark.parametrize(("content", "message"), [(b"text,label\na,b\n", "not a spreadsheet"), (b"", "not a spreadsh")])
def test_other_files_of_this_name_are_told(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_table(tmp_path / "a.xlsx")


def test_without_the_library_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.xlsx", [HEADER])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(InputError, match=r'save the sheet as \.csv, or: .*pip install "bertworks\[spreadsheet\]"'):
        open_table(path)
