"""The entities that were not found as the file has them."""

from __future__ import annotations

import numpy as np

from bertworks.tasks.ner.entities import EntitySpan
from bertworks.tasks.ner.errors import HEADER, EntityError, error_table, errors_of
from bertworks.tasks.ner.tag_files import TaggedRow
from bertworks.tasks.ner.task import PredictedTags


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
