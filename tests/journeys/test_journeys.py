"""Jobs from end to end: real commands on small data, what each must print or write, and how many commands it takes.

The model is tiny and learns little; what is tested is that nothing but the commands is needed. `docs/results.md` counts
the same jobs in other programs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import bertworks
from bertworks import cli
from tests.commands.runs import FIXTURES, metrics, start

TINY = FIXTURES / "google_tiny"
LINES = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line and line.isascii()][:48]
QUICK = ("--num_train_epochs=1", "--train_batch_size=8", "--max_seq_length=48", "--precision=fp32", "--do_train")

Bert = Callable[..., str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pre-trained model."""
    folder = tmp_path_factory.mktemp("model")
    options = {
        "vocab_file": FIXTURES / "vocab.txt",
        "bert_config_file": TINY / "bert_config.json",
        "do_lower_case": True,
    }
    bertworks.load(TINY / "trained.ckpt", **options).save(folder)
    return folder


@pytest.fixture
def bert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bert:
    """Runs a command in an empty folder, and gives what it says."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> str:
        code = cli.main(list(map(str, words)))
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out + said.err

    return run


def rows(path: str, *records: dict[str, object]) -> None:
    Path(path).write_text("".join(json.dumps(record) + "\n" for record in records))


def test_tickets(bert: Bert, model: Path) -> None:
    """Sort tickets, see what goes wrong, use it: two commands."""
    label = ("long", "short")
    lines = ["text,label", *(f'"{line.replace(chr(34), "")}",{label[len(line) < 60]}' for line in LINES)]
    Path("tickets.csv").write_text("\n".join(lines) + "\n")
    said = bert(
        "run_classifier",
        "--train_file=tickets.csv",
        "--dev_fraction=0.25",
        f"--model={model}",
        *QUICK,
        "--do_eval",
        "--output_dir=out",
    )
    assert "always long: accuracy" in said
    header, *errors = Path("out/dev_predictions.tsv").read_text().splitlines()
    assert header.split("\t")[:5] == ["id", "text", "label", "prediction", "probability"]
    assert len(errors) == 12
    assert bert("classify", "The ferry is late.", "--model=out").splitlines()[1].strip() in label


def test_many_labels(bert: Bert, model: Path) -> None:
    """Several classes at once, with probabilities that mean what they say: two commands."""
    words = ("the", "is", "visitors")
    records = [{"text": line, "labels": [word for word in words if f" {word} " in line]} for line in LINES]
    rows("train.jsonl", *records)
    said = bert(
        "run_classifier",
        "--train_file=train.jsonl",
        "--dev_fraction=0.25",
        f"--model={model}",
        *QUICK,
        "--do_eval",
        "--calibrate",
        "--output_dir=out",
    )
    assert "Calibrated on the dev set" in said
    assert Path("out/reliability.png").exists()
    found = json.loads(bert("classify", LINES[0], "--model=out", "--format=jsonl").splitlines()[0])
    assert found["probabilities"].keys() <= set(words)


def test_scores(bert: Bert, model: Path) -> None:
    """Numbers far from 0: two commands."""
    rows("train.jsonl", *({"text": line, "score": 1000.5 + len(line)} for line in LINES))
    said = bert(
        "run_classifier",
        "--train_file=train.jsonl",
        "--dev_fraction=0.25",
        f"--model={model}",
        *QUICK,
        "--do_eval",
        "--output_dir=out",
    )
    assert "mean absolute error" in said
    assert float(bert("classify", LINES[0], "--model=out").splitlines()[1]) == pytest.approx(1060, abs=100)


def test_tags_from_columns(bert: Bert, model: Path) -> None:
    """CoNLL's columns, what goes wrong, raw text: two commands."""
    sentence = "the O\nold B-place\nmarket I-place\nis O\nnear O\n"
    Path("train.txt").write_text("\n".join([sentence] * 24))
    bert(
        "run_ner",
        "--train_file=train.txt",
        "--dev_file=train.txt",
        f"--model={model}",
        *QUICK,
        "--do_eval",
        "--learning_rate=5e-3",
        "--output_dir=out",
    )
    assert Path("out/dev_errors.tsv").read_text().startswith("row\twhat\tgold")
    text = "The old market is near. The old market is near."
    found = json.loads(bert("tag", text, "--model=out", "--format=jsonl").splitlines()[0])
    assert all(text[one["begin"] : one["end"]] == one["text"] for one in found["entities"])


def test_tags_from_spans(bert: Bert, model: Path) -> None:
    """An annotation tool's texts with entities, and a folder of BRAT back: two commands."""
    text = "the old market is near"
    rows("train.jsonl", *([{"text": text, "label": [[4, 14, "place"]]}] * 24))
    bert("run_ner", "--train_file=train.jsonl", f"--model={model}", *QUICK, "--output_dir=out")
    Path("note.txt").write_text(text)
    bert("tag", "--input_file=note.txt", "--whole_files", "--model=out", "--format=brat", "--output_file=brat")
    assert sorted(path.name for path in Path("brat").iterdir()) == ["note.ann", "note.txt"]


def test_questions_over_files(bert: Bert, model: Path) -> None:
    """Train on questions, ask several files: two commands."""
    context = "the old market is near the ferry"
    answers = {"text": ["market"], "answer_start": [8]}
    rows(
        "train.json", *({"id": str(i), "question": "what ?", "context": context, "answers": answers} for i in range(16))
    )
    limits = ("--doc_stride=16", "--max_query_length=8")
    bert("run_squad", "--train_file=train.json", f"--model={model}", *QUICK, *limits, "--output_dir=out")
    for name in ("a", "b"):
        Path(f"{name}.note").write_text(context)
    said = bert("answer", "what ?", "--context_file=*.note", "--model=out", "--format=jsonl")
    found = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    assert {one["document"] for one in found["answers"]} <= {"a.note", "b.note"}


def test_vectors_and_neighbours(bert: Bert, model: Path) -> None:
    """Vectors whose products are cosines: one command."""
    Path("texts.txt").write_text("\n".join(LINES))
    bert("embed", "--input_file=texts.txt", f"--model={model}", "--normalize", "--output_file=vectors.npy")
    vectors = np.load("vectors.npy")
    assert ((vectors @ vectors.T).argmax(1) == np.arange(len(LINES))).mean() > 0.9


def test_further_pretraining_and_fine_tuning(bert: Bert, model: Path) -> None:
    """Your own text, then your own task: two commands."""
    bert(
        "run_pretraining",
        f"--input_file={FIXTURES / 'corpus.txt'}",
        f"--model={model}",
        "--output_dir=more",
        "--do_train",
        "--num_train_steps=2",
        "--num_warmup_steps=1",
        "--train_batch_size=4",
        "--max_seq_length=48",
        "--precision=fp32",
    )
    rows("train.jsonl", *({"text": line, "label": "ab"[i % 2]} for i, line in enumerate(LINES)))
    bert("run_classifier", "--train_file=train.jsonl", "--model=more", *QUICK, "--output_dir=out")
    assert bertworks.load("out").classify(LINES[0]).label in ("a", "b")


def test_kill_and_resume(bert: Bert, model: Path) -> None:
    """A training that is killed at any moment continues as if nothing had happened: the same command again."""
    rows("train.jsonl", *({"text": line, "label": "ab"[i % 2]} for i, line in enumerate(LINES)))
    command = ["run_classifier", "--train_file=train.jsonl", f"--model={model}", *QUICK]
    command += ["--num_train_epochs=20", "--save_checkpoints_steps=2", "--log_every_steps=1"]
    killed = start(Path("log"), *command, "--output_dir=killed")
    while not list(Path("killed").glob("checkpoints/step-*")):
        assert killed.poll() is None, Path("log").read_text()
        time.sleep(0.05)
    killed.kill()
    assert killed.wait() < 0
    assert metrics(Path("killed"))[-1].get("step", 0) < 120
    assert "Continuing" in bert(*command, "--output_dir=killed")
    bert(*command, "--output_dir=whole")
    assert metrics(Path("killed")) == metrics(Path("whole"))
    assert Path("killed/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


def test_two_processes(bert: Bert, model: Path) -> None:
    """The command with torchrun before it: the same steps, files and results as one process."""
    rows("train.jsonl", *({"text": line, "label": "ab"[i % 2]} for i, line in enumerate(LINES)))
    command = ["run_classifier", "--train_file=train.jsonl", "--dev_fraction=0.25", f"--model={model}", *QUICK]
    command += ["--do_eval", "--log_every_steps=1", "--learning_rate=1e-3"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "bertworks"]
    done = subprocess.run(
        [*torchrun, *command, "--output_dir=two"],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    bert(*command, "--output_dir=one")
    losses = ([line["loss"] for line in metrics(Path(name)) if "loss" in line] for name in ("two", "one"))
    assert next(losses) == pytest.approx(next(losses), rel=1e-4)
    results = (json.loads(Path(f"{name}/eval_results.json").read_text()) for name in ("two", "one"))
    assert next(results) == pytest.approx(next(results), rel=1e-4)


def test_from_transformers_and_back(bert: Bert, model: Path) -> None:
    """A model that transformers made, fine-tuned here, and opened there: one command."""
    transformers = pytest.importorskip("transformers")
    transformers.BertModel.from_pretrained(model).save_pretrained("theirs")
    transformers.AutoTokenizer.from_pretrained(model).save_pretrained("theirs")
    rows("train.jsonl", *({"text": line, "label": "ab"[i % 2]} for i, line in enumerate(LINES)))
    bert("run_classifier", "--train_file=train.jsonl", "--model=theirs", *QUICK, "--output_dir=out")
    opened = transformers.AutoModelForSequenceClassification.from_pretrained("out")
    assert opened.config.id2label == {0: "a", 1: "b"}


def test_one_model_against_another(bert: Bert, model: Path) -> None:
    """Which is better, by how much, and on which rows: a command for each, and one to compare."""
    rows("train.jsonl", *({"text": line, "label": "ab"[i % 2]} for i, line in enumerate(LINES)))
    for name, rate in (("one", "1e-3"), ("other", "1e-5")):
        bert(
            "run_classifier",
            "--train_file=train.jsonl",
            "--dev_fraction=0.25",
            f"--model={model}",
            *QUICK,
            "--do_eval",
            f"--learning_rate={rate}",
            f"--output_dir={name}",
        )
    said = bert("compare", "one", "other")
    assert ["learning_rate", "0.001", "1e-05"] in [line.split() for line in said.splitlines()]
    assert "12 dev rows: both right" in said
