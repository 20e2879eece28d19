"""The learning curve: that it is there, and shows what it is given."""

from __future__ import annotations

import json
from pathlib import Path

from bertworks.train.pictures import learning_curve
from tests.pictures import pixels


def test_learning_curve(tmp_path: Path) -> None:
    lines = [{"step": 0, "model": "m"}, *({"step": n, "loss": 1 / n, "tokens": 3} for n in range(1, 9))]
    evaluations = [{"step": n, "evaluation": {"loss": 0.5, "accuracy": n / 9, "f1": 0.3}} for n in (4, 8)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    bare = pixels(learning_curve(tmp_path, ["accuracy", "f1"]))
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in evaluations)
    full = pixels(learning_curve(tmp_path, ["accuracy", "f1"]))
    marked = pixels(learning_curve(tmp_path, ["accuracy", "f1"], (8, 8 / 9)))
    colours = [int(((image[..., 0] > 0.9) & (image[..., 2] < 0.3)).sum()) for image in (bare, full)]
    assert colours[0] == 0 < colours[1]  # the second curve's orange
    black = [int((image[..., :3].sum(-1) < 0.1).sum()) for image in (full, marked)]
    assert black[1] > black[0] + 50  # the star
