"""Scores are standardised in training; what is written predicts in the scale of the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import bertworks
from bertworks.config import BertConfig
from bertworks.data.sequences import Sequences
from bertworks.model.heads import SequenceClassifier, initialise
from bertworks.tasks.classification.standard_scores import ScoreScale
from bertworks.tasks.classification.task import Classification, LabelledSequences
from tests.commands.runs import FIXTURES, run
from tests.finetuning.test_training import MODEL, killed_at

LINES = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line and line.isascii()][:48]


def data(*scores: float) -> LabelledSequences:
    count = len(scores)
    sequences = Sequences(np.zeros(count, np.uint16), np.arange(count + 1), np.ones(count, np.int64))
    return LabelledSequences([""] * count, sequences, np.array(scores, np.float32))


def test_training_sees_scores_of_mean_0_and_deviation_1() -> None:
    train, dev = data(1000, 3000), data(2000, 4000)
    scale = ScoreScale.of(train)
    assert (scale.mean, scale.deviation) == (2000, 1000)
    changed = scale.standardised(Classification(kind="regression", classes=1, train=train, dev={"": dev}))
    assert changed.train is not None
    assert changed.train.labels is not None
    assert changed.train.labels.tolist() == [-1, 1]
    assert changed.dev[""].labels is not None
    assert changed.dev[""].labels.tolist() == [0, 2]
    assert train.labels is not None
    assert train.labels.tolist() == [1000, 3000]
    assert ScoreScale.of(data(5, 5)).deviation == 1


def test_a_folded_head_predicts_in_the_scale_of_the_file() -> None:
    network = SequenceClassifier(BertConfig(vocab_size=9, hidden_size=8, num_attention_heads=2, intermediate_size=8), 1)
    initialise(network, 0.5, 1)
    pooled, scale = torch.randn(5, 8), ScoreScale(-300.0, 40.0)
    expected = torch.nn.functional.linear(pooled, network.classifier.weight, network.classifier.bias) * 40 - 300
    folded = scale.folded(network.state_dict())
    found = torch.nn.functional.linear(pooled, folded["classifier.weight"], folded["classifier.bias"])
    torch.testing.assert_close(found, expected)
    network.load_state_dict({**network.state_dict(), **folded})
    scale.unfold(network)
    back = torch.nn.functional.linear(pooled, network.classifier.weight, network.classifier.bias) * 40 - 300
    torch.testing.assert_close(back, expected, rtol=1e-4, atol=1e-3)


def scored(path: Path) -> Path:
    path.write_text("".join(json.dumps({"text": line, "score": 500 + 7.5 * len(line)}) + "\n" for line in LINES))
    return path


def test_it_learns_where_it_did_not_and_transformers_reads_the_same(tmp_path: Path, capsys) -> None:
    transformers = pytest.importorskip("transformers")
    file = scored(tmp_path / "scores.jsonl")
    command = ["run_classifier", *MODEL, f"--train_file={file}", f"--dev_file={file}", "--do_train", "--do_eval"]
    command += ["--num_train_epochs=6", "--train_batch_size=8", "--learning_rate=2e-3", "--precision=fp32"]
    errors = {}
    for name, more in (("standard", []), ("plain", ["--nostandardize_scores"])):
        assert run(*command, *more, f"--output_dir={tmp_path / name}") == 0
        errors[name] = json.loads((tmp_path / name / "eval_results.json").read_text())["eval_mae"]
    assert "Scores are standardised in training (mean " in capsys.readouterr().err
    assert errors["standard"] < 150
    assert errors["plain"] > 700
    ours = [one.label for one in bertworks.load(tmp_path / "standard").classify(LINES[:4])]
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "standard").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "standard")
    with torch.no_grad():
        expected = [theirs(**tokenizer(line, return_tensors="pt")).logits.item() for line in LINES[:4]]
    np.testing.assert_allclose(ours, expected, rtol=1e-4)
    assert {path.name for path in (tmp_path / "standard").glob("*.safetensors")} == {"model.safetensors"}


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = scored(tmp_path / "scores.jsonl")
    command = ["run_classifier", *MODEL, f"--train_file={file}", f"--dev_file={file}", "--do_train", "--do_eval"]
    command += [
        "--num_train_epochs=2",
        "--train_batch_size=8",
        "--eval_every=2",
        "--precision=fp32",
        "--learning_rate=1e-3",
    ]
    assert run(*command, f"--output_dir={tmp_path / 'whole'}") == 0
    killed_at(5, monkeypatch)
    assert run(*command, f"--output_dir={tmp_path / 'killed'}") == 130
    monkeypatch.undo()
    assert run(*command, f"--output_dir={tmp_path / 'killed'}") == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]
    # A trained model goes on from its own scale.
    more = ["run_classifier", f"--model={tmp_path / 'whole'}", *command[4:], "--learning_rate=0", "--keep=last"]
    assert run(*more, f"--output_dir={tmp_path / 'more'}") == 0
    found = [bertworks.load(tmp_path / name).classify(LINES[0]).label for name in ("whole", "more")]
    assert found[1] == pytest.approx(found[0], rel=1e-4)
