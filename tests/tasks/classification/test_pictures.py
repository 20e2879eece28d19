"""The picture of a confusion matrix: that it is there, whole, and shows what it is given."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from bertworks.tasks.classification.pictures import confusion_matrix


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
