"""Files of predicted tags, and of what a tagger did not find as the file has it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bertworks.data.bad_rows import BadRows
from bertworks.tasks.ner.annotated_texts import read_cluener
from bertworks.tasks.ner.brat import read_brat
from bertworks.tasks.ner.entities import EntitySpan, spans
from bertworks.tasks.ner.outputs import (
    HEADER,
    EntityError,
    brat_lines,
    columns_of,
    error_table,
    errors_of,
    spacy_line,
    write_cluener,
    write_columns,
)
from bertworks.tasks.ner.tag_files import TaggedRow, read_columns
from bertworks.tasks.ner.task import PredictedTags
from bertworks.tasks.ner.words import words_of

FIXTURES = Path(__file__).parents[2] / "fixtures" / "tags"


def test_cluener_there_and_back(tmp_path: Path) -> None:
    first, second = read_cluener(FIXTURES / "cluener_test.json", BadRows())
    assert (first.id, first.tags, second.words) == ("7", None, tuple("云 很 高"))
    answers = [("7", "小林来了", spans(("B-name", "I-name", "O", "O"))), ("x8", "云 很 高", [])]
    path = tmp_path / "answers.json"
    write_cluener(path, answers)
    assert path.read_text(encoding="utf-8") == (
        '{"id": 7, "label": {"name": {"小林": [[0, 1]]}}}\n{"id": "x8", "label": {}}\n'
    )


def test_columns_for_conlleval(tmp_path: Path) -> None:
    path = tmp_path / "tagged.txt"
    write_columns(path, [[("New York", "B-X", "O"), ("\u3000", "O", "O")], [("a", "O", "O")]])
    assert path.read_text() == "NewYork B-X O\n_ O O\n\na O O\n\n"
    assert [row.tags for row in read_columns(path, BadRows())] == [("O", "O"), ("O",)]


TEXT = "Marta Olsen sails to\nPorto Novo."
SPANS = [EntitySpan("PER", 0, 11), EntitySpan("big place", 21, 31)]


def test_words_and_tags_of_a_text() -> None:
    found = columns_of(TEXT, words_of(TEXT), SPANS)
    assert [word for word, _ in found] == ["Marta", "Olsen", "sails", "to", "Porto", "Novo", "."]
    assert [tag for _, tag in found] == ["B-PER", "I-PER", "O", "O", "B-big place", "I-big place", "O"]
    assert columns_of("a b", words_of("a b", "character"), [EntitySpan("x", 2, 3)]) == [("a", "O"), ("b", "B-x")]


def test_brat_there_and_back(tmp_path: Path) -> None:
    across = [EntitySpan("ORG", 15, 26)]  # over the end of a line
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "a.ann").write_text(brat_lines(TEXT, [SPANS[0], *across]))
    assert (tmp_path / "a.ann").read_text().splitlines()[1] == "T2\tORG 15 20;21 26\tls to Porto"
    (read,) = read_brat(tmp_path, BadRows())
    assert list(read.spans or ()) == [SPANS[0], *across]
    assert brat_lines(TEXT, SPANS[1:]) == "T1\tbig_place 21 31\tPorto Novo\n"


def test_a_document_of_spacy() -> None:
    assert json.loads(spacy_line(TEXT, SPANS)) == {
        "text": TEXT,
        "ents": [{"start": 0, "end": 11, "label": "PER"}, {"start": 21, "end": 31, "label": "big place"}],
    }


def test_every_kind_of_error() -> None:
    gold = [EntitySpan("PER", 0, 2), EntitySpan("LOC", 3, 4), EntitySpan("ORG", 5, 7), EntitySpan("LOC", 9, 10)]
    found = [EntitySpan("PER", 0, 2), EntitySpan("ORG", 3, 4), EntitySpan("ORG", 6, 8), EntitySpan("PER", 11, 12)]
    assert list(errors_of(gold, found)) == [
        EntityError("other type", gold[1], found[1]),
        EntityError("other edges", gold[2], found[2]),
        EntityError("missed", gold[3], None),
        EntityError("not in the file", None, found[3]),
    ]
    assert list(errors_of(gold, gold)) == []
    (both,) = errors_of([EntitySpan("PER", 0, 2)], [EntitySpan("LOC", 1, 3)])
    assert both.what == "other type and edges"


def test_a_line_for_each() -> None:
    row = TaggedRow("dev.txt, line 3", "0", ("Marta", "sails"), ("B-PER", "O"))
    text = TaggedRow("dev.json, line 1", "1", ("a", "\tb"), ("O", "O"), "a \tb", ((0, 1), (3, 4)))
    predicted = [
        PredictedTags(("B-LOC", "O"), np.array([0.5, 1], np.float32)),
        PredictedTags(("B-LOC", "I-LOC"), np.array([0.5, 0.5], np.float32)),
    ]
    lines = [line.split("\t") for line in error_table([row, text], predicted).splitlines()]
    assert lines == [
        [*HEADER],
        ["line 3", "other type", "Marta", "PER", "Marta", "LOC", "0.500000", "Marta sails"],
        ["line 1", "not in the file", "", "", "a b", "LOC", "0.250000", "a b"],
    ]
