"""`bert run_squad` and `bert answer`: the original's answers, training, the threshold of 2.0, and what goes wrong."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import bertworks
from bertworks import cli
from bertworks.tasks.squad.reader import SquadReader
from bertworks.tasks.squad.windows import WindowSettings, make_windows
from bertworks.text.tokenizer import Tokenizer
from tests.commands.runs import run
from tests.tasks.squad.written_windows import EVAL_RECORDS, TRAIN_RECORDS, write_records

FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = FIXTURES / "google_tiny"
MODEL = [f"--vocab_file={FIXTURES / 'vocab.txt'}", f"--bert_config_file={TINY / 'bert_config.json'}"]
WINDOWS = ["--max_seq_length=64", "--doc_stride=16", "--max_query_length=16"]
GOLDEN = [*MODEL, f"--init_checkpoint={TINY / 'squad.ckpt'}", *WINDOWS, "--n_best_size=10", "--max_answer_length=20"]
TRAIN = ["run_squad", *MODEL, "--do_train", "--precision=fp32", "--train_batch_size=8", *WINDOWS]
THINGS = ("library", "market", "bridge", "river", "school", "garden")


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def made_up(path: Path, count: int, impossible: bool = False) -> Path:
    """Questions that a tiny model can learn to answer: the word behind "the old" in a text of six words."""
    chosen = random.Random(count)
    paragraphs = []
    for i in range(count):
        before, thing = chosen.sample(THINGS, 2)
        there = not (impossible and i % 3 == 0)
        text = f"a {before} near {'the old' if there else 'some new'} {thing} again"
        qa: dict[str, Any] = {"id": f"q{i}", "question": "what was the old ?"}
        qa["answers"] = [{"text": thing, "answer_start": text.rindex(thing)}] if there else []
        if impossible:
            qa["is_impossible"] = not there
        paragraphs.append({"context": text, "qas": [qa]})
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path


@pytest.mark.parametrize(
    ("name", "more"),
    [("squad-v1", []), ("squad-v2", ["--version_2_with_negative=True", "--null_score_diff_threshold=-8.2"])],
)
def test_the_originals_answers(name: str, more: list[str], tmp_path: Path) -> None:
    file = [f"--predict_file={FIXTURES / name}.json", f"--output_dir={tmp_path}"]
    assert run("run_squad", *GOLDEN, *file, "--do_predict", *more) == 0
    expected = (FIXTURES / f"{name}.predictions.json").read_bytes()
    assert (tmp_path / "predictions.json").read_bytes() == expected
    found, golden = (
        read(folder / f"{start}nbest_predictions.json") for folder, start in ((tmp_path, ""), (FIXTURES, f"{name}."))
    )
    assert list(found) == list(golden)
    for question, entries in golden.items():
        assert [one["text"] for one in found[question]] == [one["text"] for one in entries]
        for number in ("probability", "start_logit", "end_logit"):
            assert [one[number] for one in found[question]] == pytest.approx([one[number] for one in entries], abs=1e-4)
    if more:
        odds = read(FIXTURES / f"{name}.null_odds.json")
        assert read(tmp_path / "null_odds.json") == pytest.approx(odds, abs=1e-4)
    else:
        assert not (tmp_path / "null_odds.json").exists()
    # The scores that it shows are those of the official script.
    shown = read(tmp_path / "eval_results.json")
    assert list(shown)[:2] == ["eval_exact_match", "eval_f1"]
    # Without padding, which the original has, some n best differ.
    again = [f"--predict_file={FIXTURES / name}.json", f"--output_dir={tmp_path / 'packed'}", "--predict_padding=False"]
    assert run("run_squad", *GOLDEN, *again, "--do_predict", *more) == 0
    assert read(tmp_path / "packed" / "nbest_predictions.json") != found


def test_learns_keeps_the_best_and_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, dev = made_up(tmp_path / "train.json", 240), made_up(tmp_path / "dev.json", 60)
    begin = [f"--init_checkpoint={TINY / 'trained.ckpt'}", f"--train_file={train}", f"--predict_file={dev}"]
    rest = ["--do_eval", "--do_predict", "--num_train_epochs=8", "--learning_rate=4e-3"]
    output = tmp_path / "out"
    assert run(*TRAIN, *begin, *rest, f"--output_dir={output}") == 0
    results = read(output / "eval_results.json")
    assert results["eval_exact_match"] > 90
    best = read(output / "best" / "evaluations.json")
    assert results["eval_f1"] == pytest.approx(max(best.values()))
    # The official script, on its predictions, says the same.
    capsys.readouterr()
    assert run("evaluate_squad", str(dev), str(output / "predictions.json")) == 0
    official = json.loads(capsys.readouterr().out)
    assert official == pytest.approx({"exact_match": results["eval_exact_match"], "f1": results["eval_f1"]})
    # The folder is all that answering takes.
    context = "a market near the old bridge again"
    found = bertworks.load(output).answer("what was the old ?", context, top_k=2)
    assert found.answers[0].text == "bridge"
    assert context[found.answers[0].begin : found.answers[0].end] == "bridge"
    several = tmp_path / "a.txt", tmp_path / "b.txt"
    several[0].write_text("a school near some garden again")
    several[1].write_text(context)
    files = f"--context_file={tmp_path / '[ab].txt'}"
    assert run("answer", "what was the old ?", files, f"--model={output}", "--format=jsonl") == 0
    (line,) = capsys.readouterr().out.splitlines()
    first = json.loads(line)["answers"][0]
    assert (first["text"], first["document"]) == ("bridge", str(several[1]))
    assert run("answer", "what was the old ?", files, f"--model={output}", "--top_k=1") == 0
    assert "near the old [bridge] again" in capsys.readouterr().out


def test_the_best_threshold_is_found_written_and_remembered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = made_up(tmp_path / "train.json", 240, impossible=True)
    dev = made_up(tmp_path / "dev.json", 60, impossible=True)
    begin = [f"--init_checkpoint={TINY / 'trained.ckpt'}", f"--train_file={train}", f"--predict_file={dev}"]
    rest = ["--do_predict", "--num_train_epochs=8", "--learning_rate=4e-3", "--version_2_with_negative"]
    output = tmp_path / "out"
    assert run(*TRAIN, *begin, *rest, f"--output_dir={output}") == 0
    results = read(output / "eval_results.json")
    assert results["eval_HasAns_f1"] > 50 < results["eval_NoAns_f1"]
    assert results["eval_f1"] == results["eval_best_f1"]
    predictions, odds = read(output / "predictions.json"), read(output / "null_odds.json")
    threshold = read(output / "config.json")["fine_tuning"]["null_score_diff_threshold"]
    assert threshold == results["eval_best_f1_thresh"]
    assert all((text == "") == (odds[name] > threshold) for name, text in predictions.items())
    # Another prediction reads texts as training did, at the same threshold, with nothing said.
    again = ["run_squad", f"--model={output}", f"--predict_file={dev}", "--do_predict"]
    assert run(*again, f"--output_dir={tmp_path / 'again'}") == 0
    assert read(tmp_path / "again" / "predictions.json") == predictions
    # Given, the flag is obeyed.
    assert run(*again, f"--output_dir={tmp_path / 'never'}", "--null_score_diff_threshold=-1e6") == 0
    assert set(read(tmp_path / "never" / "predictions.json").values()) == {""}


def test_the_originals_record_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
    files = made_up(tmp_path / "train.json", 64), made_up(tmp_path / "dev.json", 20)
    for path, name, training in zip(files, (TRAIN_RECORDS, EVAL_RECORDS), (True, False), strict=True):
        made = make_windows(tokenizer, SquadReader(path, training).examples(), WindowSettings(64, 16, 16), training)
        write_records(tmp_path / name, (one for _, one in made), 64)
    begin = [f"--init_checkpoint={TINY / 'trained.ckpt'}", "--num_train_epochs=1", "--do_predict"]
    predict, output = f"--predict_file={files[1]}", tmp_path / "records"
    records = f"--predict_record_file={tmp_path / EVAL_RECORDS}"
    assert (
        run(*TRAIN, *begin, predict, records, f"--train_file={tmp_path / TRAIN_RECORDS}", f"--output_dir={output}") == 0
    )
    assert run(*TRAIN, *begin, predict, f"--train_file={files[0]}", f"--output_dir={tmp_path / 'json'}") == 0
    # Every question has one window, so that both ways are the same training.
    weights = [(folder / "model.safetensors").read_bytes() for folder in (output, tmp_path / "json")]
    assert weights[0] == weights[1]
    assert read(output / "predictions.json") == read(tmp_path / "json" / "predictions.json")
    other = ["run_squad", f"--model={output}", "--do_predict", f"--predict_file={files[0]}", records]
    assert run(*other, f"--output_dir={tmp_path / 'other'}") == 2
    assert "is it of another --predict_file" in capsys.readouterr().err


def test_it_opens_in_transformers_with_the_same_logits(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    train = made_up(tmp_path / "train.json", 16)
    begin = [f"--init_checkpoint={TINY / 'trained.ckpt'}", f"--train_file={train}", "--num_train_epochs=1"]
    assert run(*TRAIN, *begin, f"--output_dir={tmp_path / 'out'}") == 0
    theirs = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    question, context = "what was the old ?", "a market near the old bridge again"
    with torch.no_grad():
        logits = theirs(**tokenizer(question, context, return_tensors="pt"))
    ours = bertworks.load(tmp_path / "out").answer(question, context, top_k=1)
    null = float(logits.start_logits[0, 0] + logits.end_logits[0, 0])
    first = len(tokenizer(question)["input_ids"])
    spans = logits.start_logits[0, first:-1, None] + logits.end_logits[0, first:-1]
    best = float(spans.triu().masked_fill(~torch.ones_like(spans).triu().bool(), -torch.inf).max())
    assert ours.answers[0].score == pytest.approx(best, abs=1e-4)
    assert null != pytest.approx(best)


def test_continues_after_a_kill_and_refuses_other_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = made_up(tmp_path / "train.json", 64)
    begin = [f"--init_checkpoint={TINY / 'trained.ckpt'}", f"--train_file={train}", "--save_checkpoints_steps=3"]
    command = [*TRAIN, *begin, "--num_train_epochs=1", "--learning_rate=1e-3"]
    assert run(*command, f"--output_dir={tmp_path / 'whole'}") == 0
    parts = tmp_path / "parts"
    assert run(*command, f"--output_dir={parts}") == 0
    for path in sorted((parts / "checkpoints").glob("step-*"))[1:]:
        shutil.rmtree(path)
    (parts / "model.safetensors").unlink()
    assert run(*command, f"--output_dir={parts}") == 0
    weights = [(folder / "model.safetensors").read_bytes() for folder in (tmp_path / "whole", parts)]
    assert weights[0] == weights[1]
    assert run(*command, f"--output_dir={parts}", "--doc_stride=8") == 2
    assert "--doc_stride" in capsys.readouterr().err
    # As many questions, but one of them has another answer.
    train.write_text(train.read_text().replace("near the old", "near the other old", 1))
    file = read(train)
    question = file["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]
    question["answer_start"] = file["data"][0]["paragraphs"][0]["context"].rindex(question["text"])
    train.write_text(json.dumps(file))
    assert run(*command, f"--output_dir={parts}") == 2
    assert "the training data (a hash): " in capsys.readouterr().err


FILES = {
    "good.json": None,
    "no_answer.json": {
        "data": [{"paragraphs": [{"context": "a b", "qas": [{"id": "1", "question": "q", "answers": []}]}]}]
    },
    "twice.json": {
        "data": [
            {
                "paragraphs": [
                    {
                        "context": "a b",
                        "qas": [{"id": "1", "question": "q", "answers": [{"text": "a", "answer_start": 0}]}] * 2,
                    }
                ]
            }
        ]
    },
    "empty.json": {"data": [{"paragraphs": [{"context": " ", "qas": [{"id": "1", "question": "q", "answers": []}]}]}]},
}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "give at least one of"),
        (["--do_train"], "--train_file: must be given"),
        (["--do_predict"], "--predict_file: must be given"),
        (["--do_predict", "--predict_file=none.json"], "none.json"),
        (["--do_predict", "--predict_file=eval.tf_record"], "go to --predict_record_file"),
        (["--do_predict", "--predict_file=good.json", "--output_dir=good.json"], "--output_dir=good.json: cannot be"),
        (["--do_predict", "--predict_file=bad.json"], "bad.json, line 1, column"),
        (["--do_predict", "--predict_file=twice.json"], "a second question has id '1'"),
        (["--do_predict", "--predict_file=empty.json", f"--init_checkpoint={TINY / 'squad.ckpt'}"], "context is empty"),
        (["--do_train", "--train_file=no_answer.json"], "has no answer; set --version_2_with_negative"),
        (["--do_train", "--do_eval", "--train_file=good.json", "--predict_file=no_answer.json"], "without an answer"),
        (["--do_predict", "--predict_file=good.json", "--max_query_length=61"], "leaves no room for a document"),
        (["--do_predict", "--predict_file=good.json", "--max_seq_length=4096"], "the model has 128 positions"),
        (["--do_predict", "--predict_file=good.json"], "has no classifier of answers; train one"),
    ],
)  # fmt: skip
def test_mistakes(arguments: list[str], error: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        if content is None:
            made_up(Path(name), 8)
        else:
            Path(name).write_text(json.dumps(content))
    Path("bad.json").write_text('{"data": [{]}')
    model = [*MODEL, f"--init_checkpoint={TINY / 'trained.ckpt'}", *WINDOWS]
    assert cli.main(["run_squad", *model, "--output_dir=out", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert error in lines[-1]
    assert len(lines) == 1 or "Weights from" in lines[0]


def test_the_best_model_of_version_2_is_best_at_its_threshold(tmp_path: Path) -> None:
    train = made_up(tmp_path / "train.json", 96, impossible=True)
    begin = [f"--init_checkpoint={TINY / 'trained.ckpt'}", f"--train_file={train}", f"--predict_file={train}"]
    rest = ["--do_eval", "--num_train_epochs=2", "--learning_rate=2e-3", "--version_2_with_negative"]
    assert run(*TRAIN, *begin, *rest, f"--output_dir={tmp_path / 'out'}") == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    found = {
        line["step"]: line["evaluation"]["eval_best_f1"] for line in lines if "evaluation" in line and line["step"]
    }
    assert read(tmp_path / "out" / "best" / "evaluations.json") == pytest.approx(
        {str(s): f1 for s, f1 in found.items()}
    )


@pytest.mark.parametrize("command", [["answer", "who ?", "--context=a b c"], ["run_squad", "--do_predict"]])
def test_answers_of_any_length(command: list[str], tmp_path: Path) -> None:
    more = [f"--predict_file={made_up(tmp_path / 'a.json', 4)}", f"--output_dir={tmp_path}"]
    more = more if command[0] == "run_squad" else []
    model = [*MODEL, f"--init_checkpoint={TINY / 'squad.ckpt'}", *WINDOWS[:2]]
    query = WINDOWS[2:] if command[0] == "run_squad" else []
    assert run(*command, *model, *query, *more, "--max_answer_length=5000000000") == 0


def test_answers_in_text_without_blanks_by_characters(tmp_path: Path) -> None:
    """A Chinese paragraph is one word, of which the original gives all where it does not find the tokens."""
    context = "李白在北京，一九九八年的\u3000河上有桥鑫，桥上有人。"
    file = tmp_path / "chinese.json"
    asked = {"id": "1", "question": "who ?", "answers": [{"text": "桥", "answer_start": context.index("桥")}]}
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [asked]}]}]}))
    nbest = {}
    for name, more in (("words", []), ("characters", ["--tighten_by_characters"])):
        output = tmp_path / name
        command = ["run_squad", *GOLDEN, "--do_predict", f"--predict_file={file}", f"--output_dir={output}", *more]
        assert run(*command, "--max_answer_length=5", "--nopredict_padding") == 0
        nbest[name] = [one["text"] for one in read(output / "nbest_predictions.json")["1"]]
        assert read(output / "predictions.json") == {"1": nbest[name][0]}
    assert nbest["words"] == [context]
    assert len(nbest["characters"]) > 3
    assert all(text in context and len(text) <= 6 for text in nbest["characters"])
