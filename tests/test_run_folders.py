"""Runs side by side, from made-up output folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bertworks import cli
from bertworks.errors import InputError
from bertworks.run_folders import compared, table


def folder(path: Path, rate: float, accuracy: float, predictions: list[str]) -> Path:
    path.mkdir()
    (path / "flags.toml").write_text(f'output_dir = "{path}"\nlearning_rate = {rate}\nmodel = "m"\n')
    (path / "eval_results.json").write_text(json.dumps({"global_step": 3, "eval_accuracy": accuracy}))
    rows = [f"{i}\ta text\tpos\t{found}" for i, found in enumerate(predictions)]
    (path / "dev_predictions.tsv").write_text("\n".join(["id\ttext\tlabel\tprediction", *rows]) + "\n")
    return path


def test_what_differs_and_who_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = folder(tmp_path / "one", 1e-3, 0.5, ["pos", "pos", "neg", "neg"])
    other = folder(tmp_path / "other", 1e-4, 0.75, ["pos", "neg", "pos", "neg"])
    found = compared([one, other])
    assert found["flags"] == {"learning_rate": [1e-3, 1e-4]}
    assert found["results"]["eval_accuracy"] == [0.5, 0.75]
    (pair,) = found["predictions"]
    assert (pair["rows"], pair["both"], pair["only"], pair["none"]) == (4, 1, [1, 1], 1)
    assert pair["chance"] == 1
    assert [row["id"] for row in pair["differ"]] == ["1", "2"]
    assert cli.main(["compare", str(one), str(other)]) == 0
    shown = capsys.readouterr().out
    assert ["learning_rate", "0.001", "0.0001"] in [line.split() for line in shown.splitlines()]
    assert "4 dev rows: both right 1, only one 1, only other 1, none 1" in shown
    assert cli.main(["compare", f"--runs={one},{other}", "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_a_difference_that_chance_does_not_make(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", 1, 1, ["pos"] * 10)
    other = folder(tmp_path / "other", 1, 0, ["neg"] * 10)
    found = compared([one, other])
    assert found["predictions"][0]["chance"] == pytest.approx(2 / 2**10)
    assert "no flag differs" in table(found, 0)


def test_dev_sets_that_differ_are_told(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", 1, 1, ["pos"] * 5)
    other = folder(tmp_path / "other", 1, 1, ["pos"] * 4)
    path = other / "dev_predictions.tsv"
    path.write_text(path.read_text().replace("3\ta text\tpos", "3\ta text\tneg"))
    found = compared([one, other])
    (pair,) = found["predictions"]
    assert (pair["rows"], pair["of"], pair["other_labels"]) == (3, [5, 4], 1)
    said = (
        "their results are of different rows; 3 rows of 5 and 4 are in both; 1 more have another label. Of these: both"
    )
    assert said in table(found, 0)


def test_runs_without_predictions_and_folders_without_runs(tmp_path: Path) -> None:
    one, other = (folder(tmp_path / name, 1, 1, ["pos"]) for name in ("one", "other"))
    (one / "dev_predictions.tsv").unlink()
    (one / "flags.toml").unlink()
    found = compared([one, other])
    assert (found["predictions"], found["flags"]) == ([], {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no run"):
        compared([one, tmp_path / "empty"])
    (other / "flags.toml").write_text("a =")
    with pytest.raises(InputError, match=r"flags\.toml: not a TOML file"):
        compared([one, other])
    (other / "eval_results.json").write_text("{")
    (other / "flags.toml").write_text("")
    with pytest.raises(
        InputError, match=r"eval_results\.json: damaged \(JSONDecodeError: .*\); write it again with --do_eval"
    ):
        compared([one, other])


def test_one_run_is_not_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = folder(tmp_path / "one", 1, 1, ["pos"])
    assert cli.main(["compare", str(one)]) == 2
    assert "is one run; give two or more" in capsys.readouterr().err
    assert cli.main(["compare", str(one), str(tmp_path / "gone")]) == 2
    assert "no file matches" in capsys.readouterr().err
