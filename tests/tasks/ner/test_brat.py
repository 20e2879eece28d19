"""Folders of BRAT."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.ner.brat import read_brat
from bertworks.tasks.ner.entities import EntitySpan


def folder(path: Path, text: str, annotations: str | None) -> Path:
    (path / "doc.txt").write_bytes(text.encode())
    if annotations is not None:
        (path / "doc.ann").write_text(annotations)
    return path


def test_lines_of_texts_and_their_entities(tmp_path: Path) -> None:
    text = "Marta sails.\n\nTo New\nYork she goes.\n\U0001f600 Porto\n"
    annotations = (
        "T1\tPER 0 5\tMarta\nT2\tLOC 17 20;21 25\tNew York\nR1\tIn Arg1:T1 Arg2:T2\n#1\tNote T1\tx\n"
        "T3\tLOC 38 43\tPorto\n"
    )
    bad = BadRows()
    first, second, third = read_brat(folder(tmp_path, text, annotations), bad)
    assert (first.text, first.spans) == ("Marta sails.\n", (EntitySpan("PER", 0, 5),))
    assert first.location == f"{tmp_path / 'doc.txt'}, line 1"
    assert (second.text, second.spans) == ("To New\nYork she goes.\n", (EntitySpan("LOC", 3, 11),))
    assert (third.id, third.spans) == ("doc:5", (EntitySpan("LOC", 2, 7),))
    assert not bad.summary()


def test_texts_to_predict_and_texts_without_entities(tmp_path: Path) -> None:
    assert [text.spans for text in read_brat(folder(tmp_path, "a\nb", None), BadRows())] == [None, None]
    assert [text.spans for text in read_brat(folder(tmp_path, "a\nb", ""), BadRows())] == [(), ()]


def test_entities_in_pieces_are_told(tmp_path: Path) -> None:
    bad = BadRows()
    (found,) = read_brat(folder(tmp_path, "north and south Porto", "T1\tLOC 0 5;16 21\tnorth Porto\n"), bad)
    assert found.spans == (EntitySpan("LOC", 0, 21),)
    assert bad.remarks == [f"{tmp_path / 'doc.ann'}, line 1: LOC is in several pieces and is tagged from end to end"]


@pytest.mark.parametrize(
    ("text", "annotations", "message"),
    [
        ("Marta", "T1\tPER 0 4\tMarta\n", "doc.ann, line 1: PER 'Marta' is said to be at 0 to 3, where the text"),
        ("Marta", "T1 PER 0 5 Marta\n", 'doc.ann, line 1: is not "T1", a tab, type, begin and end, a tab, the text'),
        ("Marta", "T1\tPER 3 3\n", "doc.ann, line 1: PER is said to be at 3 to 2"),
        ("Marta", "T1\tPER 3 9\n", "doc.ann, line 1: PER is said to be at 3 to 8"),
    ],
)
def test_bad_folders(tmp_path: Path, text: str, annotations: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        list(read_brat(folder(tmp_path, text, annotations), BadRows()))
    assert str(caught.value).startswith(f"{tmp_path}/{message}")
    (tmp_path / "other.txt").write_text("good")
    bad = BadRows("skip")
    assert [found.text for found in read_brat(tmp_path, bad)] == ["good"]
    assert len(bad.notes) == 1


def test_no_folder_of_brat(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no .txt; a folder of BRAT has a .txt and a .ann for each text"):
        list(read_brat(tmp_path, BadRows()))
    (tmp_path / "doc.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"doc.txt: is not UTF-8"):
        list(read_brat(tmp_path, BadRows()))
