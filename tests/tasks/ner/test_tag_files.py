"""Files of tagged text, as they are and as they should not be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.ner.entities import BIO, BMES, cluener_score, in_scheme, scheme_of, spans
from bertworks.tasks.ner.tag_files import (
    TaggedRow,
    in_labels,
    mentions,
    read_cluener,
    read_columns,
    write_cluener,
    write_columns,
)

FIXTURES = Path(__file__).parents[2] / "fixtures" / "tags"


def columns(path: Path) -> list[TaggedRow]:
    bad = BadRows("skip")
    rows = list(read_columns(path, bad))
    assert not bad.summary()
    return rows


def test_conll_2003() -> None:
    path = FIXTURES / "conll.txt"
    first, second = columns(path)
    assert first == (f"{path}, line 3", "0", ("Marta", "Olsen", "sails", "to", "Porto", "."), first.tags)
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


def test_cluener_there_and_back(tmp_path: Path) -> None:
    first, second = read_cluener(FIXTURES / "cluener_test.json", BadRows())
    assert (first.id, first.tags, second.words) == ("7", None, tuple("云 很 高"))
    answers = [("7", "小林来了", spans(("B-name", "I-name", "O", "O"))), ("x8", "云 很 高", [])]
    path = tmp_path / "answers.json"
    write_cluener(path, answers)
    assert path.read_text(encoding="utf-8") == (
        '{"id": 7, "label": {"name": {"小林": [[0, 1]]}}}\n{"id": "x8", "label": {}}\n'
    )


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


def test_columns_for_conlleval(tmp_path: Path) -> None:
    path = tmp_path / "tagged.txt"
    write_columns(path, [[("New York", "B-X", "O"), ("\u3000", "O", "O")], [("a", "O", "O")]])
    assert path.read_text() == "NewYork B-X O\n_ O O\n\na O O\n\n"
    assert [row.tags for row in columns(path)] == [("O", "O"), ("O",)]
