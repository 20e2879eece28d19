"""The temperature with the lowest loss, and how reliable probabilities are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import bertworks
from bertworks.tasks.classification.calibration import cool, draw_reliability, reliability, temperature, warning_of
from tests.commands.runs import run
from tests.finetuning.test_training import MODEL, TASK
from tests.pictures import pixels


def drawn(kind: str, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels that are as probable as logits divided by `degrees` say, and the logits."""
    generator = np.random.default_rng(5)
    logits = generator.normal(size=(4000, 3)).astype(np.float32) * 3
    if kind == "multi":
        labels = (generator.random(logits.shape) < 1 / (1 + np.exp(-logits / degrees))).astype(np.float32)
    else:
        shares = torch.softmax(torch.from_numpy(logits / degrees), -1).numpy()
        labels = (generator.random((len(logits), 1)) > shares.cumsum(1)).sum(1).clip(0, 2)
    return labels, logits


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("degrees", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(kind: str, degrees: float) -> None:
    labels, logits = drawn(kind, degrees)
    found = temperature(kind, labels, logits)  # type: ignore[arg-type]
    assert found == pytest.approx(degrees, rel=0.1)
    before, after = (reliability(kind, labels, one).error for one in (logits, logits / found))  # type: ignore[arg-type]
    assert after < 0.02
    assert before > after or degrees == 1

    def loss(temperature: float) -> float:
        given, right = torch.from_numpy(logits / np.float32(temperature)), torch.from_numpy(labels)
        if kind == "multi":
            return F.binary_cross_entropy_with_logits(given, right).item()
        return F.cross_entropy(given, right).item()

    assert loss(found) <= min(loss(found * 1.05), loss(found / 1.05))


def test_a_model_that_is_always_right_is_as_sure_as_allowed() -> None:
    degrees = temperature("single", np.array([0, 1]), np.eye(2, dtype=np.float32))
    assert degrees == pytest.approx(0.02)
    assert "right on all 2 rows, which say nothing" in warning_of(degrees, 2)
    assert "no better than chance on all 2 rows" in warning_of(
        temperature("single", np.array([0, 1]), -np.eye(2, dtype=np.float32)), 2
    )
    assert warning_of(1.5, 2) == ""


def test_bins(tmp_path: Path) -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]], np.float32))
    found = reliability("single", np.array([0, 1, 1]), logits)
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 2] or found.counts.sum() == 3
    assert found.error == pytest.approx((2 * abs(0.9 - 0.5) + abs(0.6 - 1)) / 3, abs=1e-5)
    assert pixels(draw_reliability(tmp_path / "a.png", found, found)).size


def test_a_head_is_cooled() -> None:
    head = torch.nn.Linear(3, 2)
    x = torch.randn(4, 3)
    expected = head(x).detach() / 2.5
    cool(head, 2.5)
    torch.testing.assert_close(head(x).detach(), expected)


def test_a_calibrated_folder_gives_calibrated_probabilities(tmp_path: Path, capsys) -> None:
    train = ["run_classifier", *MODEL, *TASK, "--do_train", "--do_eval", "--num_train_epochs=1", "--train_batch_size=8"]
    assert run(*train, f"--output_dir={tmp_path / 'plain'}") == 0
    assert run(*train, "--calibrate", "--do_predict", f"--output_dir={tmp_path / 'out'}") == 0
    said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Calibrated on the dev set"))
    degrees = float(said.partition("temperature ")[2].partition(",")[0])
    plain, calibrated = (bertworks.load(tmp_path / name) for name in ("plain", "out"))
    text = [("the old market", "a house")]
    logits = [np.log(list(model.classify(text)[0].probabilities.values())) for model in (plain, calibrated)]
    assert logits[1][0] - logits[1][1] == pytest.approx((logits[0][0] - logits[0][1]) / degrees, rel=1e-2)
    losses = [json.loads((tmp_path / name / "eval_results.json").read_text())["eval_loss"] for name in ("plain", "out")]
    assert losses[1] <= losses[0] + 1e-6
    assert (tmp_path / "out" / "reliability.png").exists()
    # The best model stays as it was trained, and evaluating the folder again calibrates no further.
    again = ["run_classifier", *TASK, "--do_eval", "--calibrate", f"--output_dir={tmp_path / 'out'}"]
    assert run(*again) == 0
    assert "temperature 1.0" in capsys.readouterr().out or degrees in (0.02, 50.0)


def test_mistakes(tmp_path: Path, capsys) -> None:
    assert run("run_classifier", *MODEL, *TASK, "--do_train", "--calibrate", f"--output_dir={tmp_path}") == 2
    assert "--calibrate: needs a dev set; give --do_eval" in capsys.readouterr().err
