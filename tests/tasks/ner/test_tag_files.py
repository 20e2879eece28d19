"""Files of tagged text, as they are and as they should not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.ner.entities import BIO, BMES, in_scheme, scheme_of
from bertworks.tasks.ner.tag_files import TaggedRow, in_labels, read_columns

FIXTURES = Path(__file__).parents[2] / "fixtures" / "tags"


def columns(path: Path) -> list[TaggedRow]:
    bad = BadRows("skip")
    rows = list(read_columns(path, bad))
    assert not bad.summary()
    return rows


def test_conll_2003() -> None:
    path = FIXTURES / "conll.txt"
    first, second = columns(path)
    assert first[:4] == (f"{path}, line 3", "0", ("Marta", "Olsen", "sails", "to", "Porto", "."), first.tags)
    assert first.tags == ("B-PER", "I-PER", "O", "O", "B-LOC", "O")
    assert (second.location, second.id, second.words) == (f"{path}, line 12", "1", ("Harbour", "Union", "won", "3-1"))


def test_chinese_columns() -> None:
    first, second = columns(FIXTURES / "msra.txt")
    assert first.words == tuple("小林住在青湖镇")
    assert second.tags == ("O", "O")
    rows = columns(FIXTURES / "bmes.txt")
    assert scheme_of(row.tags or () for row in rows) is BMES
    assert in_scheme(rows[0].tags or (), BIO) == ("B-PER", "I-PER", "O", "B-LOC", "O")


def test_odd_but_good_columns(tmp_path: Path) -> None:
    path = tmp_path / "odd.txt"
    # A byte order mark, CRLF, no end of line at the end, a word that is a blank, one that is an ideographic space.
    path.write_bytes("\ufeffa b\tB-X\r\n \tO\r\n\u3000\tO\r\n\r\n\r\nc\tO".encode())
    first, second = columns(path)
    assert first.words == ("a b", " ", "\u3000")
    assert second.words == ("c",)
    path.write_text("a\nb\n\nc\n")
    assert [(row.words, row.tags) for row in columns(path)] == [(("a", "b"), None), (("c",), None)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a O\nb O O\n", "line 2: has 3 columns, the first line of the file 2"),
        (b"a NN O\n\nb O\n", "line 3: has 2 columns, the first line of the file 3"),
        (b"a O\nb X-PER\n", "line 2: 'X-PER' is no tag"),
        (b"a O\n\xb0\xa1 O\n", r"line 2: is not UTF-8; convert the file \(iconv"),
        (b"", "has no sentences"),
        (b"\n\n-DOCSTART- -X- O O\n\n", "has no sentences"),
    ],
)
def test_bad_columns(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"bad.txt(, |: ){message}"):
        list(read_columns(path, BadRows()))


def test_bad_sentences_are_skipped_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_text("a O\nb O\n\nc Q\nd\n\ne O\n")
    bad = BadRows("skip")
    assert [(row.id, row.words) for row in read_columns(path, bad)] == [("0", ("a", "b")), ("2", ("e",))]
    assert bad.summary()[0] == "1 bad row left out:"
    assert bad.notes[0].startswith(f"{path}, line 4: 'Q' is no tag")
    with pytest.raises(InputError, match=r"\(to leave out such rows: --on_bad_row=skip\)$"):
        list(read_columns(path, BadRows()))
    path.write_text("c Q\n\nd R\n")
    with pytest.raises(InputError, match=r"no row can be used; the first: .*line 1: 'Q' is no tag"):
        list(read_columns(path, BadRows("skip")))


def test_sentences_with_tags_that_are_not_known_are_bad_rows() -> None:
    labels = ["O", "B-PER", "I-PER"]
    there = TaggedRow("f, line 1", "0", ("a", "b"), ("B-PER", "E-PER"))
    bare = TaggedRow("f, line 4", "1", ("c",), None)
    strange = TaggedRow("f, line 6", "2", ("d", "e"), ("O", "S-PRE"))
    bad = BadRows("skip")
    found = list(in_labels([there, bare, strange], labels, bad))
    # A BIOES file is read by a model of BIO.
    assert [row.tags for row in found] == [("B-PER", "I-PER"), None]
    assert bad.notes == ["f, line 6: the tag S-PRE of 'e' is not among those trained on; did you mean B-PER?"]
    assert not bad.remarks
    with pytest.raises(InputError, match="--on_bad_row=skip"):
        list(in_labels([strange], labels, BadRows()))
    with pytest.raises(InputError, match="known are O, B-PER, I-PER"):
        list(in_labels([strange._replace(tags=("O", "S-location"))], labels, BadRows()))
