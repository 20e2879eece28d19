"""`bert run_multiple_choice` on a small SWAG."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bertworks import cli
from tests.commands.runs import run

FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = FIXTURES / "google_tiny"
MODEL = [
    f"--vocab_file={FIXTURES / 'vocab.txt'}",
    f"--bert_config_file={TINY / 'bert_config.json'}",
    f"--init_checkpoint={TINY / 'trained.ckpt'}",
]


def test_train_evaluate_predict(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    swag = FIXTURES / "tasks" / "SWAG"
    command = ["run_multiple_choice", *MODEL, f"--data_dir={swag}", "--do_train", "--do_eval", "--do_predict"]
    assert run(*command, f"--output_dir={tmp_path}", "--train_batch_size=2", "--precision=fp32") == 0
    results = json.loads((tmp_path / "eval_results.json").read_text())
    assert 0 <= results["eval_accuracy"] <= 1
    probabilities = np.loadtxt(tmp_path / "test_results.tsv", delimiter="\t", ndmin=2)
    assert probabilities.shape[1] == 4
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    model = transformers.AutoModelForMultipleChoice.from_pretrained(tmp_path)
    assert model.classifier.weight.shape == (1, 32)


def test_other_tasks_are_sent_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*MODEL, "--task_name=MRPC", "--data_dir=.", "--do_train", f"--output_dir={tmp_path}"]
    assert cli.main(["run_multiple_choice", *arguments]) == 2
    assert "MRPC: has no choices; use bert run_classifier" in capsys.readouterr().err
