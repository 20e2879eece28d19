"""The files of predictions, as our own reader and others read them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.data.tables import records
from bertworks.tasks.classification.predictions import write_predictions
from bertworks.tasks.classification.problem import Problem

LABELS = ('a "quoted" one', '"all of it"', "a\ttab and a\r\nline", "plain")


def test_names_of_any_kind_are_read_back_by_every_reader_of_tsv(tmp_path: Path) -> None:
    problem = Problem(name="mine", kind="single", labels=LABELS, metrics=())
    logits = np.eye(4, dtype=np.float32) * 5
    ids = ["1", "x\ty", '"3', "4"]
    _, path = write_predictions(tmp_path, problem, "", ids, logits)
    names = [LABELS[0], LABELS[1], "a tab and a  line", LABELS[3]]
    expected = list(zip(["1", "x y", '"3', "4"], names, strict=True))
    ours = [record.values for record in records(path, BadRows())]
    assert [(row["id"], row["prediction"]) for row in ours] == expected
    assert list(ours[0])[2:] == [f"probability of {name}" for name in names]
    with path.open(newline="") as stream:
        plain = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [(row["id"], row["prediction"]) for row in plain] == expected
    assert float(ours[1]['probability of "all of it"']) == pytest.approx(np.exp(5) / (np.exp(5) + 3), abs=1e-6)


def test_a_number_has_no_probabilities(tmp_path: Path) -> None:
    problem = Problem(name="mine", kind="regression", labels=(), metrics=())
    _, path = write_predictions(tmp_path, problem, "", ["a", "b"], np.array([[0.5], [2.25]], np.float32))
    assert path.read_text() == "id\tprediction\na\t0.5\nb\t2.25\n"
