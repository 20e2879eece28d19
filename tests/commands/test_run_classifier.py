"""`bert run_classifier`: the original's answers, your own files, several seeds, and a kill."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import bertworks
from bertworks import cli
from bertworks.data.bad_rows import BadRows
from bertworks.data.labelled_records import LabelledRecords
from bertworks.data.sequences import Sequences
from bertworks.datasets.registry import find_task
from bertworks.tasks import known_tasks
from bertworks.tasks.classification import problem
from bertworks.text.tokenizer import Tokenizer
from tests.commands.runs import run
from tests.data.written_records import write_labelled_records

FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = FIXTURES / "google_tiny"
MRPC = FIXTURES / "mrpc"
MODEL = [f"--vocab_file={FIXTURES / 'vocab.txt'}", f"--bert_config_file={TINY / 'bert_config.json'}"]
TRAINED = [*MODEL, f"--init_checkpoint={TINY / 'trained.ckpt'}"]
TASK = ["--task_name=MRPC", f"--data_dir={MRPC}", "--max_seq_length=64"]
TRAIN = ["run_classifier", *TASK, *TRAINED, "--do_train", "--do_eval", "--learning_rate=1e-3", "--precision=fp32"]


def table(path: Path) -> np.ndarray:
    return np.loadtxt(path, delimiter="\t")


def results(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / "eval_results.json").read_text())
    return found


HEADER = "prediction\tprobability\tmargin\tprobability of 0\tprobability of 1"


def test_the_originals_answers(tmp_path: Path) -> None:
    arguments = [*TASK, *MODEL, f"--init_checkpoint={TINY / 'classifier.ckpt'}", f"--output_dir={tmp_path}"]
    assert run("run_classifier", *arguments, "--do_eval=true", "--do_predict=true") == 0
    expected = dict(line.split(" = ") for line in (MRPC / "eval_results.txt").read_text().splitlines())
    found = (tmp_path / "eval_results.txt").read_text().splitlines()
    assert [line.split(" = ")[0] for line in found][:4] == list(expected)
    for line in found[:4]:
        name, value = line.split(" = ")
        assert float(value) == pytest.approx(float(expected[name]), rel=1e-5)
    np.testing.assert_allclose(table(tmp_path / "test_results.tsv"), table(MRPC / "test_results.tsv"), atol=1e-5)
    header, first, *_ = (tmp_path / "predictions.tsv").read_text().splitlines()
    assert header == f"id\ttext\tpair\t{HEADER}"
    assert first.split("\t")[0::3][:2] == ["test-1", "1"]
    submission = (tmp_path / "MRPC.tsv").read_text().splitlines()
    assert submission[:2] == ["index\tprediction", "0\t1"]
    assert len(submission) == 1 + len(table(MRPC / "test_results.tsv"))


def test_trained_it_opens_in_transformers_with_the_same_answers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    assert run(*TRAIN, f"--output_dir={tmp_path}", "--num_train_epochs=2", "--do_predict") == 0
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert theirs.config.id2label == {0: "0", 1: "1"}
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.model_max_length == 64
    assert len(tokenizer("the " * 500, truncation=True)["input_ids"]) == 64
    rows = [line.split("\t") for line in (MRPC / "test.tsv").read_text().splitlines()[1:6]]
    with torch.no_grad():
        logits = [theirs(**tokenizer(row[3], row[4], return_tensors="pt")).logits.softmax(-1)[0] for row in rows]
    np.testing.assert_allclose(table(tmp_path / "test_results.tsv")[:5], torch.stack(logits), atol=1e-4)
    # And it predicts again from its own folder, with nothing else said.
    command = ["run_classifier", f"--model={tmp_path}", f"--test_file={tmp_path / 'new.csv'}", "--do_predict"]
    (tmp_path / "new.csv").write_text("text_a,text_b\n" + f'"{rows[0][3]}","{rows[0][4]}"\n')
    assert run(*command, f"--output_dir={tmp_path / 'again'}", "--max_seq_length=64") == 0
    again = table(tmp_path / "again" / "test_results.tsv")
    np.testing.assert_allclose(again, table(tmp_path / "test_results.tsv")[0], atol=1e-5)


def test_the_same_command_again_trains_no_more_and_a_run_in_parts_is_the_same(tmp_path: Path, monkeypatch) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = [*TRAIN, "--num_train_epochs=3", "--save_checkpoints_steps=1", "--train_batch_size=8"]
    assert run(*command, f"--output_dir={whole}") == 0
    from bertworks.train import loop
    from bertworks.train.step import Stepper

    original = Stepper.take

    def killed(self: Stepper, step: int, *rest: object) -> bool:
        if step == 7:
            raise KeyboardInterrupt
        return original(self, step, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(loop.Stepper, "take", killed)
    assert run(*command, f"--output_dir={parts}") == 130
    monkeypatch.undo()
    assert run(*command, f"--output_dir={parts}") == 0
    assert results(parts) == results(whole)
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    before = (whole / "metrics.jsonl").read_bytes()
    assert run(*command, f"--output_dir={whole}") == 0
    assert (whole / "metrics.jsonl").read_bytes() == before


def test_the_best_model_is_kept_and_training_stops_when_nothing_gets_better(tmp_path: Path) -> None:
    command = [*TRAIN, "--num_train_epochs=40", "--eval_every=2", "--early_stopping=3", "--train_batch_size=16"]
    assert run(*command, f"--output_dir={tmp_path}") == 0
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    evaluations = [line for line in lines if "evaluation" in line and line["step"]]
    found = {line["step"]: line["evaluation"]["eval_accuracy"] for line in evaluations}
    best = max(found.values())
    assert results(tmp_path)["eval_accuracy"] == best
    steps = sorted(found)
    first_best = next(step for step in steps if found[step] == best)
    assert steps.index(first_best) == len(steps) - 4
    assert results(tmp_path)["global_step"] == steps[-1] < 40 * 3


@pytest.mark.parametrize("keep", ["best", "last"])
def test_several_seeds(tmp_path: Path, keep: str) -> None:
    assert run(*TRAIN, f"--output_dir={tmp_path}", "--num_train_epochs=1", "--seeds=3,5", f"--keep={keep}") == 0
    table = json.loads((tmp_path / "seeds.json").read_text())
    assert table["metric"] == "eval_accuracy"
    assert table["seeds"].keys() == {"3", "5"}
    assert results(tmp_path)["eval_accuracy"] == max(table["seeds"].values())
    assert table["mean"] == pytest.approx(sum(table["seeds"].values()) / 2)
    assert table["seeds"][str(table["best"])] == max(table["seeds"].values())
    assert results(tmp_path)["global_step"] == int(next((tmp_path / "seed-3").glob("checkpoints/step-*")).name[5:]) > 0


def renamed(folder: Path, target: Path, **changes: object) -> str:
    """A copy of a trained folder whose configuration says something else; the flag that names it."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("checkpoints", "best", "*.png"))
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, **changes}))
    return f"--model={target}"


def test_a_trained_folder_says_in_which_order_its_classes_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_files(tmp_path)
    command = ["run_classifier", *TRAINED, f"--train_file={tmp_path / 'train.csv'}", "--dev_fraction=0.25"]
    trained = tmp_path / "trained"
    more = ["--do_train", "--do_eval", "--num_train_epochs=4", "--learning_rate=2e-3", "--max_seq_length=64"]
    assert run(*command, *more, f"--output_dir={trained}") == 0
    use = ["run_classifier", "--do_predict", f"--test_file={tmp_path / 'test.csv'}"]
    answers = {}
    turned = {"id2label": {"0": "short", "1": "long"}}
    for name, flags in (
        ("same", [f"--model={trained}"]),
        ("said", [f"--model={trained}", "--labels=short, long"]),
        ("turned", [renamed(trained, tmp_path / "a", **turned), "--labels=long,short"]),
        ("unnamed", [renamed(trained, tmp_path / "b", id2label=None), "--labels=long,short"]),
    ):
        assert run(*use, *flags, f"--output_dir={tmp_path / name}") == 0
        answers[name] = table(tmp_path / name / "test_results.tsv")
    # The columns are in the order of --labels, whatever the order of the model's outputs.
    np.testing.assert_allclose(answers["said"], answers["same"][:, ::-1], atol=1e-6)
    np.testing.assert_allclose(answers["turned"], answers["same"][:, ::-1], atol=1e-6)
    np.testing.assert_allclose(answers["unnamed"], answers["same"], atol=1e-6)
    for flags, wrong in (
        (["--labels=yes,no"], "trained: was trained on long, short; test has yes, no; if they mean the same"),
        (["--kind=multi"], "trained: was trained to predict one class a row; test is several classes at once"),
    ):
        assert cli.main([*use, f"--model={trained}", *flags, f"--output_dir={tmp_path / 'wrong'}"]) == 2
        assert wrong in capsys.readouterr().err
    task = [word for word in TASK if not word.startswith("--max")]
    assert cli.main(["run_classifier", *task, f"--model={trained}", "--do_eval", f"--output_dir={tmp_path}"]) == 2
    assert "was trained on long, short; MRPC has 0, 1" in capsys.readouterr().err


def test_changed_training_data_are_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_files(tmp_path)
    command = ["run_classifier", *TRAINED, f"--train_file={tmp_path / 'train.csv'}", "--do_train"]
    command += ["--num_train_epochs=1", f"--output_dir={tmp_path / 'out'}"]
    assert run(*command) == 0
    text = (tmp_path / "train.csv").read_text()
    for changed in (text.replace("the", "a", 1), text.replace("short", "\0").replace("long", "short", 1)):
        (tmp_path / "train.csv").write_text(changed.replace("\0", "short"))
        assert cli.main(command) == 2
        assert "the training data (a hash): " in capsys.readouterr().err


def test_rows_that_cannot_be_used_can_be_left_out_but_not_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\nbad\t7\n")
    command = ["run_classifier", *TRAINED, "--task_name=SST-2", f"--data_dir={tmp_path}", "--do_eval"]
    assert cli.main([*command, "--on_bad_row=skip", f"--output_dir={tmp_path / 'out'}"]) == 2
    assert "dev.tsv: no row can be used; the first: " in capsys.readouterr().err


def test_without_weights_everything_is_drawn_at_random(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run_classifier", *TASK, *MODEL, "--do_train", "--num_train_epochs=1", f"--output_dir={tmp_path}"]
    assert run(*command) == 0
    assert "every weight is drawn at random" in capsys.readouterr().err
    assert (tmp_path / "model.safetensors").exists()


def own_files(folder: Path) -> None:
    lines = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line][:60]
    for name, header, rows in (
        ("train", ("text", "label"), [(line, "long" if len(line) > 45 else "short") for line in lines]),
        ("test", ("id", "text"), [("a", "the man"), ("b", " and ".join(lines[:3]))]),
    ):
        with (folder / f"{name}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])


def test_your_own_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_files(tmp_path)
    command = [
        "run_classifier",
        *TRAINED,
        f"--train_file={tmp_path / 'train.csv'}",
        f"--test_file={tmp_path / 'test.csv'}",
    ]
    rest = [
        "--dev_fraction=0.25",
        "--do_train",
        "--do_eval",
        "--do_predict",
        "--num_train_epochs=8",
        "--max_seq_length=64",
    ]
    assert (
        run(*command, *rest, f"--output_dir={tmp_path / 'out'}", "--learning_rate=2e-3", "--class_weights=balanced")
        == 0
    )
    shown = capsys.readouterr().err
    assert "long, short" in shown
    assert results(tmp_path / "out").keys() >= {"eval_accuracy", "eval_macro_f1", "eval_loss", "global_step"}
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["id2label"] == {"0": "long", "1": "short"}
    assert [line.split("\t")[0] for line in (tmp_path / "out" / "predictions.tsv").read_text().splitlines()[1:]] == [
        "a",
        "b",
    ]


def test_numbers_and_several_labels(tmp_path: Path) -> None:
    lines = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line][:40]
    scores = [{"text": line, "score": len(line) / 10} for line in lines]
    several = [{"text": line, "labels": [w for w in ("the", "a", "is") if f" {w} " in line]} for line in lines]
    for name, rows, metric in (("scores", scores, "eval_pearson"), ("several", several, "eval_micro_f1")):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        command = ["run_classifier", *TRAINED, f"--train_file={tmp_path / f'{name}.jsonl'}", "--dev_fraction=0.2"]
        output = tmp_path / name
        assert run(*command, "--do_train", "--do_eval", f"--output_dir={output}", "--num_train_epochs=1") == 0
        assert metric in results(output)


def test_what_files_are_written_in_is_remembered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        line
        for line in (FIXTURES / "corpus.txt").read_text().splitlines()
        if line.isascii() and line and '"' not in line
    ][:60]
    lines = [line.replace(";", ",") for line in lines]
    train = "".join(f"{i};£{i};{line};{('low', 'high')[i % 2]}\n" for i, line in enumerate(lines))
    (tmp_path / "train.csv").write_text(train, encoding="cp1252")
    command = [
        "run_classifier",
        *TRAINED,
        f"--train_file={tmp_path / 'train.csv'}",
        "--dev_fraction=0.25",
        "--do_train",
    ]
    said = ["--noheader", "--text_column=1,2", "--label_column=-1", "--do_eval", "--num_train_epochs=1"]
    assert run(*command, *said, f"--output_dir={tmp_path / 'out'}") == 0
    shown = capsys.readouterr()
    assert "is read as Windows-1252, line 1: '0;£0;" in shown.err
    assert "train.csv: semicolons separate its fields; others: --separator" in shown.err
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    told = {"text_column": "1,2", "label_column": "3", "encoding": "cp1252", "separator": ";", "header": False}
    assert told.items() <= config["fine_tuning"].items()
    # Which rows were evaluated on is written down, by line and id.
    drawn = [line.split("\t") for line in (tmp_path / "out" / "dev_rows.tsv").read_text().splitlines()]
    assert drawn[0] == ["row", "id", "text", "label"]
    assert len(drawn) - 1 == round(len(lines) / 4)
    assert all(row == f"line {number}" for row, number, *_ in drawn[1:])
    # One line more than the rows of one label, which would tell that there is no header.
    (tmp_path / "new.csv").write_text(f"7;£8;{lines[0]};\n8;£9;{lines[1]};\n", encoding="cp1252")
    use = ["run_classifier", f"--model={tmp_path / 'out'}", f"--test_file={tmp_path / 'new.csv'}", "--do_predict"]
    assert run(*use, f"--output_dir={tmp_path / 'used'}") == 0
    expected = bertworks.load(tmp_path / "out").classify([f"£8 {lines[0]}", f"£9 {lines[1]}"])
    found = table(tmp_path / "used" / "test_results.tsv")
    np.testing.assert_allclose(found, [list(one.probabilities.values()) for one in expected], atol=1e-5)
    # A file of a usual form is read as it is.
    (tmp_path / "plain.csv").write_text(f"text\n{lines[0]}\n", encoding="utf-8")
    assert run(*use, f"--test_file={tmp_path / 'plain.csv'}", f"--output_dir={tmp_path / 'plain'}") == 0
    expected = bertworks.load(tmp_path / "out").classify([lines[0]])
    found = table(tmp_path / "plain" / "test_results.tsv")
    np.testing.assert_allclose(found, list(expected[0].probabilities.values()), atol=1e-5)


def test_a_classifier_with_one_output_predicts_numbers_as_in_python(tmp_path: Path) -> None:
    lines = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line][:20]
    rows = [{"text": line, "score": len(line) / 10} for line in lines]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train = ["run_classifier", *TRAINED, f"--train_file={tmp_path / 'train.jsonl'}", "--do_train"]
    assert run(*train, "--num_train_epochs=1", "--train_batch_size=4", f"--output_dir={tmp_path / 'out'}") == 0
    # As Hugging Face's library writes it: no problem_type, and the output has a name that says nothing.
    theirs = renamed(tmp_path / "out", tmp_path / "theirs", problem_type=None, id2label={"0": "LABEL_0"})
    (tmp_path / "test.txt").write_text(f"text\n{lines[0]}\n{lines[1]}\n")
    use = ["run_classifier", theirs, f"--test_file={tmp_path / 'test.txt'}", "--do_predict"]
    assert run(*use, f"--output_dir={tmp_path / 'used'}") == 0
    expected = [found.label for found in bertworks.load(tmp_path / "theirs").classify(lines[:2])]
    np.testing.assert_allclose(table(tmp_path / "used" / "test_results.tsv"), expected, atol=1e-5)
    written = [line.split("\t") for line in (tmp_path / "used" / "predictions.tsv").read_text().splitlines()]
    assert written[0] == ["id", "text", "prediction"]
    np.testing.assert_allclose([float(value) for _, _, value in written[1:]], expected, atol=1e-4)


def test_many_rows_left_out_are_told_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_files(tmp_path)
    content = (tmp_path / "train.csv").read_bytes().replace(b"the", b"th\xff", 1)
    (tmp_path / "train.csv").write_bytes(content)
    command = [
        "run_classifier",
        *TRAINED,
        f"--train_file={tmp_path / 'train.csv'}",
        "--do_train",
        "--num_train_epochs=1",
    ]
    assert cli.main([*command, f"--output_dir={tmp_path / 'out'}"]) == 2
    shown = capsys.readouterr().err
    assert "is not UTF-8" in shown
    assert "--encoding=cp1252" in shown
    assert "--on_bad_row" not in shown
    assert run(*command, "--encoding=utf-8", "--on_bad_row=skip", f"--output_dir={tmp_path / 'out'}") == 0
    assert capsys.readouterr().err.startswith("WARNING: 1 of 60 rows (1.7%) are bad and left out:\n")


@pytest.mark.parametrize("long_text", ["window", "head_tail"])
def test_long_texts(tmp_path: Path, long_text: str, capsys: pytest.CaptureFixture[str]) -> None:
    own_files(tmp_path)
    files = [f"--train_file={tmp_path / 'train.csv'}", f"--test_file={tmp_path / 'test.csv'}", "--dev_fraction=0.25"]
    rest = ["--do_train", "--do_eval", "--do_predict", "--num_train_epochs=1", "--max_seq_length=9"]
    command = ["run_classifier", *TRAINED, *files, *rest, f"--long_text={long_text}"]
    assert run(*command, f"--output_dir={tmp_path / 'out'}") == 0
    shown = capsys.readouterr().err
    means = {"window": "are read through ", "head_tail": "lose their middle"}[long_text]
    assert f"texts are longer than --max_seq_length=9 and {means}" in shown
    assert len(table(tmp_path / "out" / "test_results.tsv")) == 2
    # The trained model remembers how texts were read, in the command and in Python.
    again = ["run_classifier", f"--model={tmp_path / 'out'}", files[1], "--do_predict"]
    assert run(*again, f"--output_dir={tmp_path / 'again'}") == 0
    expected = table(tmp_path / "out" / "test_results.tsv")
    np.testing.assert_allclose(table(tmp_path / "again" / "test_results.tsv"), expected, atol=1e-5)
    with (tmp_path / "test.csv").open(newline="") as stream:
        texts = [row["text"] for row in csv.DictReader(stream)]
    found = bertworks.load(tmp_path / "out").classify(texts)
    np.testing.assert_allclose([list(one.probabilities.values()) for one in found], expected, atol=1e-5)
    # What the command line says counts more.
    assert run(*again, f"--output_dir={tmp_path / 'longer'}", "--max_seq_length=64") == 0
    assert abs(table(tmp_path / "longer" / "test_results.tsv") - expected).max() > 1e-4
    # Another way to read the texts is another run.
    assert run(*command, f"--output_dir={tmp_path / 'out'}", "--long_text=truncate") == 2
    assert "--long_text" in capsys.readouterr().err


def test_the_pictures_are_in_the_output_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*TRAIN, f"--output_dir={tmp_path}", "--num_train_epochs=1", "--seeds=1,2") == 0
    shown = capsys.readouterr().out
    for name in ("seed-1/learning_curve.png", "seed-2/learning_curve.png", "confusion_matrix.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert str(tmp_path / name) in shown


def records(folder: Path) -> list[str]:
    """The files that the original writes for MRPC, and the flags that name them."""
    tokenizer = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
    mrpc = known_tasks.of_known_task(find_task("MRPC"), MRPC, ["train", "dev", "test"], BadRows())
    for name, rows in (("train", mrpc.train), ("eval", mrpc.dev[""]), ("predict", mrpc.test[""])):
        data = problem.encode_rows(mrpc, rows, tokenizer, 64)
        labels = np.zeros(len(data), np.int64) if data.labels is None else data.labels
        write_labelled_records(folder / f"{name}.tf_record", LabelledRecords(data.sequences, labels), 64)
    names = {"train": "train", "dev": "eval", "test": "predict"}
    return [f"--{split}_file={folder / name}.tf_record" for split, name in names.items()]


def test_the_originals_record_files_are_the_texts_that_they_were_made_of(tmp_path: Path) -> None:
    files = records(tmp_path)
    more = ["--do_predict", "--num_train_epochs=2"]
    assert run(*TRAIN, *more, f"--output_dir={tmp_path / 'texts'}") == 0
    command = ["run_classifier", *TRAINED, *files, *TRAIN[3:], *more, "--max_seq_length=64"]
    command = [word for word in command if not word.startswith(("--task_name", "--data_dir"))]
    assert run(*command, f"--output_dir={tmp_path / 'records'}") == 0
    first, second = tmp_path / "texts", tmp_path / "records"
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    assert (first / "test_results.tsv").read_bytes() == (second / "test_results.tsv").read_bytes()
    assert results(first)["eval_loss"] == results(second)["eval_loss"]
    header = (second / "predictions.tsv").read_text().splitlines()[0]
    assert header == f"id\t{HEADER}"
    # With names for the numbers; and from the trained folder, which knows them.
    again = [*command, "--labels=no,yes", f"--output_dir={tmp_path / 'named'}"]
    assert run(*again) == 0
    use = ["run_classifier", f"--model={tmp_path / 'named'}", files[2], "--do_predict", "--max_seq_length=64"]
    assert run(*use, f"--output_dir={tmp_path / 'used'}") == 0
    lines = (tmp_path / "used" / "predictions.tsv").read_text().splitlines()
    assert lines[0] == "id\tprediction\tprobability\tmargin\tprobability of no\tprobability of yes"
    assert {line.split("\t")[1] for line in lines[1:]} <= {"no", "yes"}
    np.testing.assert_allclose(
        table(tmp_path / "used" / "test_results.tsv"), table(first / "test_results.tsv"), atol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--do_train", "--do_eval", "--dev_file=dev.csv"], "--dev_file=dev.csv: is no record file"),
        (["--do_train", "--max_seq_length=20"], "give --max_seq_length="),
        (["--do_train", "--labels=only"], "--labels=only: is one label"),
        (["--do_train", "--long_text=window"], "--long_text: "),
        (["--do_train", "--dev_fraction=0.1"], "--dev_fraction and --dev_file: "),
        (["--do_train", "--kind=multi"], "--kind: "),
        (["--do_predict"], "the classes are not known; give --labels"),
        (["--do_train", "--train_file=none.tf_record"], "--train_file: no file matches none.tf_record"),
        (["--do_train", "--train_file=tags.tf_record"], "use bert run_ner"),
    ],
)
def test_mistakes_with_record_files(
    arguments: list[str], error: str, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = records(tmp_path)
    sequences = Sequences(np.array([2, 7, 3], np.uint16), np.array([0, 3]), np.array([3]))
    write_labelled_records(Path("tags.tf_record"), LabelledRecords(sequences, np.array([0, 1, 0])), 8)
    assert cli.main(["run_classifier", *TRAINED, "--output_dir=out", "--max_seq_length=64", *files, *arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bert run_classifier: ")]
    assert len(lines) == 1
    assert error in lines[0]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "give at least one of --do_train, --do_eval and --do_predict"),
        (["--do_train"], "--do_train: give --train_file (or --task_name and --data_dir)"),
        (["--do_train", "--do_eval", "--train_file=x.csv"], "--do_eval: give --dev_file, or --dev_fraction=0.1"),
        (["--do_train", "--do_predict", "--train_file=x.csv"], "--do_predict: give --test_file"),
        (
            ["--do_train", "--dev_fraction=0.1", "--train_file=x.csv", "--dev_file=y.csv"],
            "--dev_fraction and --dev_file: ",
        ),
        (["--do_train", *TASK, "--labels=a,b"], "--labels: is for your own files; --task_name=MRPC decides it"),
        (["--do_train", *TASK, "--dev_fraction=0.1"], "--dev_fraction: is for your own files"),
        (["--do_train", "--kind=regression", "--labels=a,b", "--train_file=x.csv"], "--labels: names classes"),
        (["--do_eval", "--task_name=AX", "--data_dir=."], "AX: has no dev set, only test"),
        (["--do_train", "--task_name=MRCP", "--data_dir=."], "did you mean MRPC?"),
        (["--do_train", "--task_name=MRPC"], "--data_dir: must be given"),
        (["--do_train", "--task_name=MRPC", "--data_dir=."], "train.tsv"),
        (["--do_train", *TASK, "--num_train_epochs=0.001"], "less than one step"),
        (["--do_train", *TASK, "--max_seq_length=500"], "the model has 128 positions"),
        (["--do_train", "--do_eval", *TASK, "--eval_every=often"], "--eval_every=often"),
        (["--do_train", *TASK, "--seeds=a"], "--seeds=a"),
        (["--do_train", *TASK, "--class_weights=1,2,3"], "3 weights for 2 classes"),
        (["--do_train", *TASK, "--class_weights=1,-1"], "--class_weights=1,-1: give numbers from 0 on"),
        (["--do_train", *TASK, "--class_weights=nan,1"], "--class_weights=nan,1: give numbers from 0 on"),
        (["--do_train", *TASK, "--class_weights=0,0"], "--class_weights=0,0: give numbers from 0 on"),
        (["--do_eval", *TASK], "has no classifier for these 2 classes"),
        (["--do_train", *TASK, "--train_file=x.csv"], "--task_name and --train_file"),
    ],
)
def test_mistakes(
    arguments: list[str], error: str, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run_classifier", *TRAINED, "--output_dir=out", *arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bert run_classifier: ")]
    assert len(lines) == 1
    assert error in lines[0]


def test_parts_of_a_model_can_stay_as_they_are(tmp_path: Path) -> None:
    from bertworks.checkpoints.load import open_checkpoint

    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert run(*TRAIN, f"--output_dir={tmp_path / 'out'}", "--num_train_epochs=1", "--freeze_layers=2") == 0
    before, after = open_checkpoint(TINY / "trained.ckpt").weights, open_checkpoint(tmp_path / "out").weights
    for name, same in (
        ("bert.embeddings.word_embeddings.weight", True),
        ("bert.encoder.layer.1.output.dense.weight", True),
        ("bert.encoder.layer.2.output.dense.weight", False),
        ("bert.pooler.dense.weight", False),
    ):
        assert np.array_equal(before[name].read(), after[name].read()) == same
