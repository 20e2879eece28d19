"""Pictures: that they are there, whole, and show what they are given."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from bertworks.tasks.pictures import confusion_matrix, learning_curve


def pixels(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    return np.asarray(imread(BytesIO(path.read_bytes()), format="png"))


@pytest.mark.parametrize("classes", [1, 2, 13, 61])
def test_confusion_matrices_of_any_size(tmp_path: Path, classes: int) -> None:
    counts = np.random.default_rng(0).integers(0, 9, (classes, classes))
    names = [f"$class_{i}$ with a long name" for i in range(classes)]
    path = confusion_matrix(tmp_path / "matrix.png", counts, names, "title")
    assert max(pixels(path).shape) < 3000
    assert [one.name for one in tmp_path.iterdir()] == ["matrix.png"]


def test_the_matrix_shows_rows_as_actual_classes(tmp_path: Path) -> None:
    # Class 1 is always taken for class 0: the lower left is dark, the lower right light, whatever the counts.
    image = pixels(confusion_matrix(tmp_path / "a.png", np.array([[5, 5], [1000, 0]]), ["a", "b"]))
    height, width = image.shape[:2]
    dark = (image[..., :3].sum(-1) < 0.8) & (image[..., 2] > 0.3)
    dark[:, width * 6 // 10 :] = False  # the scale of colours
    assert dark[height // 2 :, : width // 2].sum() > 0.85 * dark.sum() > 10_000


def test_names_that_no_font_has(tmp_path: Path) -> None:
    # As an error, matplotlib's warning of a missing glyph would fail this test.
    confusion_matrix(tmp_path / "a.png", np.eye(3, dtype=np.int64), ["财经", "a\U0001f984", ""])


def test_learning_curve(tmp_path: Path) -> None:
    lines = [{"step": 0, "model": "m"}, *({"step": n, "loss": 1 / n, "tokens": 3} for n in range(1, 9))]
    evaluations = [{"step": n, "evaluation": {"loss": 0.5, "accuracy": n / 9, "f1": 0.3}} for n in (4, 8)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    bare = pixels(learning_curve(tmp_path, ["accuracy", "f1"]))
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in evaluations)
    full = pixels(learning_curve(tmp_path, ["accuracy", "f1"]))
    marked = pixels(learning_curve(tmp_path, ["accuracy", "f1"], {"step": 8, "accuracy": 8 / 9}))
    colours = [int(((image[..., 0] > 0.9) & (image[..., 2] < 0.3)).sum()) for image in (bare, full)]
    assert colours[0] == 0 < colours[1]  # the second curve's orange
    black = [int((image[..., :3].sum(-1) < 0.1).sum()) for image in (full, marked)]
    assert black[1] > black[0] + 50  # the star
