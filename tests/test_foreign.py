"""Files of other programs are refused, with what they are and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.data.tables import open_table
from bertworks.errors import InputError
from bertworks.foreign import foreign, refuse_foreign, utf16
from bertworks.tasks.ner.column_layout import TagColumnFlags
from bertworks.tasks.ner.reading import OwnFiles
from bertworks.text.corpus import blocks


@pytest.mark.parametrize(
    ("name", "head", "message"),
    [
        ("a.xlsx", b"PK\x03\x04rest", "is a spreadsheet; save the sheet as .csv, or: python -c"),
        ("a.docx", b"PK\x03\x04rest", "is a document of an office program; save it as plain text"),
        ("a.csv", b"PK\x03\x04rest", "is a zip archive; unpack it"),
        ("a.xls", b"\xd0\xcf\x11\xe0rest", "is a spreadsheet"),
        ("a.arrow", b"ARROW1\0\0", "is an Arrow file; write it as Parquet"),
        ("a.arrow", b"\xff\xff\xff\xff\x10", "is an Arrow file; write it as Parquet"),
        ("train.spacy", b"x\x9crest", "is spaCy's DocBin; write"),
        ("a.pkl", b"\x80\x04\x95rest", "is a pickle of Python; nothing in it is run"),
        ("x.txt", b"x\x9c is how it begins", ""),
        ("a.txt", b"plain", ""),
        ("a.txt", b"", ""),
    ],
)
def test_first_bytes_tell_what_a_file_is(name: str, head: bytes, message: str) -> None:
    found = foreign(head, name)
    assert found.startswith(message)
    assert bool(found) == bool(message)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_told_with_and_without_its_mark(encoding: str) -> None:
    name = encoding.upper().replace("UTF-16-", "UTF-16")
    bare = "The ferry is late.\r\n".encode(encoding)
    marked = "\ufeffThe ferry is late.\r\n".encode(encoding)
    assert utf16(marked) == f"is {name}; convert it: iconv -f UTF-16 -t UTF-8"
    assert utf16(marked, marked=False) == ""
    assert utf16(bare, marked=False).startswith(
        f"looks like {name} without a byte order mark; convert it: iconv -f {name}"
    )


@pytest.mark.parametrize("head", [b"", b"a", b"The ferry\0is late", "Fähre, 渡船".encode(), "a".encode("utf-32")])
def test_other_texts_are_not_utf_16(head: bytes) -> None:
    assert utf16(head) == ""


def test_folders_of_datasets_are_refused_with_what_to_write(tmp_path: Path) -> None:
    refuse_foreign(tmp_path)
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"\xff\xff\xff\xff")
    with pytest.raises(InputError, match=r"is a folder of datasets; write a file: load_from_disk\(.*to_parquet"):
        refuse_foreign(tmp_path)
    (tmp_path / "dataset_dict.json").write_text("{}")
    with pytest.raises(InputError, match=r"a file of each part: load_from_disk\(.*\['train'\]"):
        refuse_foreign(tmp_path)


def test_pipes_are_refused_at_once_by_readers_that_read_twice(tmp_path: Path) -> None:
    pipe = tmp_path / "a.csv"
    os.mkfifo(pipe)
    readers: list[Callable[[], object]] = [
        lambda: open_table(pipe),
        lambda: list(blocks([pipe], 100)),
        lambda: OwnFiles(TagColumnFlags(), (), None, BadRows(), print).read({"train": str(pipe)}, ["train"]),
    ]
    for read in readers:
        with pytest.raises(InputError, match=r"a\.csv: is a pipe or a device, and files are read more than once"):
            read()
