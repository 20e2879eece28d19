"""The metric of an exported model comes from the data and the code that evaluate any model."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path

import pytest

import bertworks
from bertworks.tasks.ner.words import words_of
from tests.commands.runs import FIXTURES, run
from tests.export.builders import CLASSES, add_sentences, load, save

TEXTS = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line][:24]


def metrics(folder: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads((folder / "parity.json").read_text())["metrics"]
    return found


def check(found: dict[str, dict[str, float]], name: str, low: float = 0.0) -> None:
    assert list(found) == ["torch", "onnx/model.onnx", "onnx/model_quantized.onnx"]
    assert found["torch"][name] == pytest.approx(found["onnx/model.onnx"][name], abs=1e-4)
    assert low < found["torch"][name] <= 1


def export(folder: Path, out: Path, *words: str) -> int:
    return run("export", f"{folder}", f"{out}", "--precision=int8", "--max_metric_drop=1", *words)


def write_rows(path: Path, *rows: tuple[str, ...]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def test_classes(tmp_path: Path) -> None:
    pretrained = load(tmp_path / "model", "single")
    labels = [found.label for found in pretrained.classify(TEXTS)]
    # Half of the labels are what the model predicts, the others are not.
    wrong = [CLASSES[(CLASSES.index(label) + 1) % 3] for label in labels]
    rows = [(text, (labels if i % 2 else wrong)[i]) for i, text in enumerate(TEXTS)]
    write_rows(tmp_path / "dev.csv", ("text", "label"), *rows)
    assert export(tmp_path / "model", tmp_path / "export", f"--data={tmp_path / 'dev.csv'}") == 0
    check(metrics(tmp_path / "export"), "accuracy")
    assert metrics(tmp_path / "export")["torch"]["accuracy"] == 0.5


def test_a_task_known_by_name_whose_labels_stand_in_another_order(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", "regression")
    found = {}
    for labels in (("0", "1"), ("1", "0")):
        config = json.loads((folder / "config.json").read_text())
        config["id2label"] = dict(enumerate(labels))
        config["label2id"] = {label: i for i, label in enumerate(labels)}
        config["problem_type"] = "single_label_classification"
        model, _, architecture = _two_classes()
        bertworks.checkpoints.formats.huggingface.save_model_folder(folder, _config(config), model, architecture)
        out = tmp_path / "".join(labels)
        assert export(folder, out, "--task_name=SST-2", f"--data={FIXTURES / 'tasks' / 'SST-2'}") == 0
        found[labels] = metrics(out)
        check(found[labels], "accuracy", -1)
    # What is one class in the first is the other in the second.
    assert found["0", "1"]["torch"]["accuracy"] == pytest.approx(1 - found["1", "0"]["torch"]["accuracy"])


def test_tags(tmp_path: Path) -> None:
    for kind in ("tokens", "crf"):
        pretrained = load(tmp_path / kind, kind)
        rows = []
        for text in TEXTS:
            tags = {begin: (text[begin:end], "O") for begin, end in words_of(text, "word")}
            for entity in pretrained.tag([text])[0]:
                tags[entity.begin] = tags[entity.begin][0], f"B-{entity.type}"
            rows.append("\n".join(f"{word} {tag}" for word, tag in tags.values()))
        (tmp_path / f"{kind}.txt").write_text("\n\n".join(rows) + "\n")
        out = tmp_path / f"{kind}.export"
        assert export(tmp_path / kind, out, f"--data={tmp_path / kind}.txt") == 0
        check(metrics(out), "entity_f1", 0.0 if kind == "tokens" else -1)


def test_answers_are_shares_of_one(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", "answers")
    words = (f"--data={FIXTURES / 'squad-v1.json'}",)
    config = json.loads((folder / "config.json").read_text())
    config["fine_tuning"] = {"max_seq_length": 64, "doc_stride": 32, "max_query_length": 16}
    (folder / "config.json").write_text(json.dumps(config))
    assert export(folder, tmp_path / "export", *words) == 0
    check(metrics(tmp_path / "export"), "f1")


def test_choices(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", "choice")
    assert export(folder, tmp_path / "export", f"--data={FIXTURES / 'tasks' / 'SWAG'}") == 0
    check(metrics(tmp_path / "export"), "accuracy", -1)


def test_vectors_are_measured_on_pairs(tmp_path: Path) -> None:
    folder = add_sentences(save(tmp_path / "model", "encoder"))
    rows = [(a, b, f"{i % 6}.5") for i, (a, b) in enumerate(pairwise(TEXTS))]
    write_rows(tmp_path / "pairs.csv", ("sentence1", "sentence2", "score"), *rows)
    assert export(folder, tmp_path / "export", f"--data={tmp_path / 'pairs.csv'}") == 0
    check(metrics(tmp_path / "export"), "spearman", -1)


def test_what_has_no_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "words", "words")
    (tmp_path / "x.csv").write_text("text,label\na,b\n")
    assert export(tmp_path / "words", tmp_path / "export", f"--data={tmp_path / 'x.csv'}") == 2
    assert "words has no task to measure; fine-tune it, or leave --data out" in capsys.readouterr().err
    assert export(tmp_path / "words", tmp_path / "export", "--data=none.csv") == 2
    assert "--data=none.csv: no such file or folder" in capsys.readouterr().err
    assert export(tmp_path / "words", tmp_path / "export", "--task_name=MRPC") == 2
    assert "--task_name: names the task of --data, which is missing" in capsys.readouterr().err
    folder = add_sentences(save(tmp_path / "vectors", "encoder"))
    assert export(folder, tmp_path / "export", f"--data={tmp_path / 'x.csv'}") == 2
    assert not (tmp_path / "export").exists()


def _two_classes() -> tuple[dict[str, object], object, str]:
    from bertworks.model.heads import SequenceClassifier
    from tests.export.builders import CONFIG, drawn

    return drawn(SequenceClassifier(CONFIG, 2)).state_dict(), CONFIG, "BertForSequenceClassification"


def _config(values: dict[str, object]) -> bertworks.config.BertConfig:
    return bertworks.BertConfig.from_huggingface(values, "config.json")
