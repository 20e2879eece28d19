"""Pictures: that they are there, whole, and show what they are given."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from bertworks.tasks.squad.pictures import draw
from bertworks.tasks.squad.score import Gold

GOLD: Gold = {"a": ["x"], "b": ["y"], "c": [], "d": []}
ODDS = {"a": -4.0, "b": 2.0, "c": 7.5, "d": 1.0}


def blue(path: Path) -> int:
    from matplotlib.image import imread

    pixels = np.asarray(imread(BytesIO(path.read_bytes()), format="png"))
    return int((pixels[..., 2] > pixels[..., 0] + 0.1).sum())


def test_all_pictures(tmp_path: Path) -> None:
    written = draw(tmp_path / "new", GOLD, {"a": "x", "b": "z", "c": "z", "d": ""}, ODDS)
    names = ["pr_exact.png", "pr_f1.png", "pr_oracle.png", "na_prob_hist_hasAns.png", "na_prob_hist_noAns.png"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)
    # The curve of exact match ends at a recall of one half; that of the oracle reaches one.
    assert blue(written[2]) > 1.5 * blue(written[0]) > 10_000
    assert all(blue(path) > 1000 for path in written)  # no histogram is empty, though odds are no probabilities


def test_what_has_nothing_to_show(tmp_path: Path) -> None:
    assert [path.name for path in draw(tmp_path, {"c": []}, {"c": ""}, ODDS)] == ["na_prob_hist_noAns.png"]
    names = [path.name for path in draw(tmp_path, {"a": ["x"], "b": ["x"]}, {"a": "x"}, ODDS)]
    assert names == ["pr_exact.png", "pr_f1.png", "pr_oracle.png", "na_prob_hist_hasAns.png"]
