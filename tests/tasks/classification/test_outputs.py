"""Files of predictions, as our own reader and others read them; and the picture of a confusion matrix."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.data.tables import open_table
from bertworks.tasks.classification.outputs import draw_confusion_matrix, prediction_table, write_predictions
from bertworks.tasks.classification.problem import Problem
from bertworks.tasks.classification.rows import Row
from tests.pictures import pixels

LABELS = ('a "quoted" one', '"all of it"', "a\ttab and a\r\nline", "plain")


def test_names_of_any_kind_are_read_back_by_every_reader_of_tsv(tmp_path: Path) -> None:
    problem = Problem(name="mine", kind="single", labels=LABELS, metrics=())
    logits = np.eye(4, dtype=np.float32) * 5
    ids = ["1", "x\ty", '"3', "4"]
    rows = [Row("file, line 2", i, "a\ttext", None, None) for i in ids]
    _, path = write_predictions(tmp_path, problem, "", rows, logits)
    names = [LABELS[0], LABELS[1], "a tab and a  line", LABELS[3]]
    expected = list(zip(["1", "x y", '"3', "4"], names, strict=True))
    ours = [record.values for record in open_table(path).records(BadRows())]
    assert [(row["id"], row["prediction"]) for row in ours] == expected
    assert list(ours[0])[:5] == ["id", "text", "prediction", "probability", "margin"]
    assert list(ours[0])[5:] == [f"probability of {name}" for name in names]
    assert {row["text"] for row in ours} == {"a text"}
    with path.open(newline="") as stream:
        plain = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [(row["id"], row["prediction"]) for row in plain] == expected
    assert float(ours[1]['probability of "all of it"']) == pytest.approx(np.exp(5) / (np.exp(5) + 3), abs=1e-6)


def test_a_number_has_an_error_instead_of_probabilities(tmp_path: Path) -> None:
    problem = Problem(name="mine", kind="regression", labels=(), metrics=())
    rows = [Row("", "a", "one", "pair", 0.25), Row("", "b", "two", "pair", None)]
    _, path = write_predictions(tmp_path, problem, "", rows, np.array([[0.5], [2.25]], np.float32))
    header = "id\ttext\tpair\tlabel\tprediction\terror\n"
    assert path.read_text() == f"{header}a\tone\tpair\t0.25\t0.5\t0.25\nb\ttwo\tpair\t\t2.25\t\n"


def test_how_sure_and_what_is_right() -> None:
    def cells(problem: Problem, label: object, logits: list[float]) -> dict[str, str]:
        row = Row("", "1", "x", None, label)  # type: ignore[arg-type]
        head, line = prediction_table(problem, [row], np.array([logits], np.float32)).splitlines()
        return dict(zip(head.split("\t"), line.split("\t"), strict=True))

    single = Problem(name="mine", kind="single", labels=("a", "b", "c"), metrics=())
    found = cells(single, "b", [np.log(6), np.log(3), 0])
    assert (found["label"], found["prediction"]) == ("b", "a")
    assert (found["probability"], found["margin"]) == ("0.600000", "0.300000")
    multi = Problem(name="mine", kind="multi", labels=("a", "b"), metrics=())
    found = cells(multi, ("a", "b"), [np.log(9), np.log(3 / 7)])
    assert (found["label"], found["prediction"], found["margin"]) == ("a,b", "a", "0.200000")
    assert "probability" not in found


@pytest.mark.parametrize("classes", [1, 2, 13, 61])
def test_confusion_matrices_of_any_size(tmp_path: Path, classes: int) -> None:
    counts = np.random.default_rng(0).integers(0, 9, (classes, classes))
    names = [f"$class_{i}$ with a long name" for i in range(classes)]
    path = draw_confusion_matrix(tmp_path / "matrix.png", counts, names, "title")
    assert max(pixels(path).shape) < 3000  # 18 inches and the margins, at 120 dots an inch, also for many classes
    assert [one.name for one in tmp_path.iterdir()] == ["matrix.png"]


@pytest.mark.parametrize("actual", [0, 1])
def test_the_matrix_shows_rows_as_actual_classes(tmp_path: Path, actual: int) -> None:
    # One class is always predicted as class 0, the other as both: only the first cell of its row is dark, whatever the
    # counts. Dark is the blue of a full share, neither white nor the black of text.
    counts = np.full((2, 2), 5)
    counts[actual] = [1000, 0]
    image = pixels(draw_confusion_matrix(tmp_path / "a.png", counts, ["a", "b"]))
    height, width = image.shape[:2]
    dark = (image[..., :3].sum(-1) < 0.8) & (image[..., 2] > 0.3)
    dark[:, width * 6 // 10 :] = False  # the scale of colours
    middle = height * 9 // 20  # between the rows; the names of the columns are below them
    row = dark[middle:] if actual else dark[:middle]
    # The edges of letters are dark, too, but they are few.
    assert row[:, : width // 2].sum() > 0.85 * dark.sum() > 0


def test_names_that_no_font_has(tmp_path: Path) -> None:
    # As an error, matplotlib's warning of a missing glyph would fail this test.
    draw_confusion_matrix(tmp_path / "a.png", np.eye(3, dtype=np.int64), ["财经", "a\U0001f984", ""])
