"""What a command predicts with a model folder, `load()` predicts with it: for every head and kind of folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertworks
from bertworks.model.heads import SequenceClassifier
from tests.commands.runs import run
from tests.test_other_programs import FIXTURES, GOOGLE_TINY, SAME, golden, with_head

MODEL = (
    f"--vocab_file={FIXTURES / 'vocab.txt'}",
    f"--bert_config_file={GOOGLE_TINY / 'bert_config.json'}",
    f"--init_checkpoint={GOOGLE_TINY / 'trained.ckpt'}",
)
TRAINING = ("--num_train_epochs=2", "--train_batch_size=8", "--learning_rate=1e-3", "--precision=fp32", "--do_train")
LINES = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line]
CLASSES = ("good", "bad", "odd")
LABELS = {
    "single": lambda i: CLASSES[i % 3],
    "multi": lambda i: ";".join(name for j, name in enumerate(CLASSES) if (i + j) % 3),
    "regression": lambda i: f"{i % 7}.5",
}


def table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def texts_of(columns: tuple[str, ...], count: int) -> list[dict[str, str]]:
    return [{name: f"{LINES[i % len(LINES)]} {LINES[(i + j) % len(LINES)]}" for j, name in enumerate(columns)}
            for i in range(count)]  # fmt: skip


def classes_of(folder: Path, rows: list[dict[str, str]], output: Path) -> list[dict[str, Any]]:
    """What `run_classifier` predicts for rows with the model in a folder."""
    files = [f"--model={folder}", f"--test_file={table(output.with_suffix('.csv'), rows)}", f"--output_dir={output}"]
    assert run("run_classifier", *files, "--do_predict", "--precision=fp32") == 0
    with (output / "predictions.tsv").open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def assert_classes_are_those_of_load(folder: Path, rows: list[dict[str, str]], output: Path) -> None:
    predicted = classes_of(folder, rows, output)
    texts: list[Any] = [tuple(row.values()) if len(row) == 2 else next(iter(row.values())) for row in rows]
    found = bertworks.load(folder).classify(texts)
    assert len(predicted) == len(found)
    for row, mine in zip(predicted, found, strict=True):
        if not mine.probabilities:
            assert float(row["prediction"]) == pytest.approx(mine.label, abs=1e-4)
            continue
        label = mine.label if isinstance(mine.label, str) else ";".join(map(str, mine.label))
        assert row["prediction"].replace(",", ";") == label
        for name, probability in mine.probabilities.items():
            assert float(row[f"probability of {name}"]) == pytest.approx(probability, abs=1e-5)


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize(
    ("columns", "long_text"),
    [(("sentence1", "sentence2"), "truncate"), *((("text",), how) for how in ("truncate", "window", "head_tail"))],
)
def test_a_classifier_that_was_trained(tmp_path: Path, kind: str, columns: tuple[str, ...], long_text: str) -> None:
    rows = texts_of(columns, 24)
    train = table(tmp_path / "train.csv", [{**row, "label": LABELS[kind](i)} for i, row in enumerate(rows)])
    files = [f"--train_file={train}", f"--output_dir={tmp_path / 'model'}", f"--kind={kind}"]
    assert run("run_classifier", *MODEL, *TRAINING, *files, "--max_seq_length=12", f"--long_text={long_text}") == 0
    assert_classes_are_those_of_load(tmp_path / "model", rows[:7], tmp_path / "out")


@pytest.mark.parametrize(
    ("labels", "extra"),
    [
        (["LABEL_0", "LABEL_1"], {}),
        (["x", "y", "z"], {"problem_type": "single_label_classification"}),
        (["x", "y", "z"], {"problem_type": "multi_label_classification"}),
        (["LABEL_0"], {"problem_type": "regression"}),
    ],
)
def test_a_classifier_from_elsewhere(tmp_path: Path, labels: list[str], extra: dict[str, str]) -> None:
    with_head(tmp_path / "model", SequenceClassifier, "BertForSequenceClassification", labels, **extra)
    assert_classes_are_those_of_load(tmp_path / "model", texts_of(("text",), 5), tmp_path / "out")


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize(("unit", "long_text"), [("word", "truncate"), ("word", "window"), ("character", "truncate")])
def test_a_tagger_that_was_trained(tmp_path: Path, unit: str, long_text: str, crf: bool) -> None:
    entities = [(i % 3, line.split()[0], len(line.split()[0]) - 1) for i, line in enumerate(LINES)]
    values = [{"text": LINES[i], "label": {CLASSES[kind]: {word: [[0, end]]}}}
              for i, (kind, word, end) in enumerate(entities)]  # fmt: skip
    (tmp_path / "train.json").write_text("".join(f"{json.dumps(value)}\n" for value in values))
    files = [f"--train_file={tmp_path / 'train.json'}", f"--output_dir={tmp_path / 'model'}", f"--unit={unit}"]
    size = ["--max_seq_length=14", "--doc_stride=3"] if long_text == "window" else ["--max_seq_length=128"]
    options = [*size, f"--long_text={long_text}", f"--use_crf={crf}", "--num_train_epochs=15"]
    assert run("run_ner", *MODEL, *TRAINING, *files, *options) == 0
    texts = LINES[:9]
    (tmp_path / "test.txt").write_text("\n".join(texts) + "\n")
    files = [
        f"--model={tmp_path / 'model'}",
        f"--test_file={tmp_path / 'test.txt'}",
        f"--output_dir={tmp_path / 'out'}",
    ]
    assert run("run_ner", *files, "--do_predict", "--precision=fp32") == 0
    written = [json.loads(line) for line in (tmp_path / "out" / "cluener_predict.json").read_text().splitlines()]
    predicted = [
        sorted((kind, begin, end + 1) for kind, words in value["label"].items() for spans in words.values()
               for begin, end in spans)
        for value in written
    ]  # fmt: skip
    found = bertworks.load(tmp_path / "model").tag(texts)
    assert predicted == [sorted((entity.type, entity.begin, entity.end) for entity in of_text) for of_text in found]
    assert any(predicted)


def test_answers_words_and_vectors(tmp_path: Path) -> None:
    golden().save(tmp_path / "model")
    (tmp_path / "texts.txt").write_text("\n".join(LINES[:6]) + "\n")
    common = [f"--model={tmp_path / 'model'}", f"--input_file={tmp_path / 'texts.txt'}", "--precision=fp32"]
    assert (
        run("extract_features", *common, f"--output_file={tmp_path / 'out.npy'}", "--layers=-1", "--pooling=mean") == 0
    )
    ours = bertworks.load(tmp_path / "model")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), ours.embed(LINES[:6], pooling="mean"), **SAME)
    files = [f"--train_file={FIXTURES / 'squad-v1.json'}", f"--output_dir={tmp_path / 'squad'}"]
    sizes = ["--max_seq_length=48", "--doc_stride=16", "--max_query_length=12"]
    assert run("run_squad", *MODEL, *TRAINING, *files, *sizes) == 0
    context = " ".join(LINES[:12])
    asked = ["--question=who was there ?", f"--context={context}", "--format=jsonl", "--precision=fp32"]
    assert run("answer", *asked, f"--model={tmp_path / 'squad'}", f"--output_file={tmp_path / 'answers.jsonl'}") == 0
    written = json.loads((tmp_path / "answers.jsonl").read_text())
    found = bertworks.load(tmp_path / "squad").answer("who was there ?", context)
    assert written["answers"]
    for theirs, mine in zip(written["answers"], found.answers, strict=True):
        assert theirs["text"] == mine.text
        assert theirs["probability"] == pytest.approx(mine.probability, abs=1e-5)
