"""`bert answer`: where questions and texts come from, what is shown, and mistakes, which show at once."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bertworks
from bertworks import pretrained as model_flags
from bertworks.tasks.squad.answering import Texts
from bertworks.text.tokenizer import Tokenizer
from tests.commands.runs import run

FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = FIXTURES / "google_tiny"
TEXT = "Kemi wrote that the harbour near the old bridge is the best."
QUESTIONS = ["Who wrote?", "what was the old ?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, of which nothing tells how it was fine-tuned."""
    folder = tmp_path_factory.mktemp("model")
    bertworks.load(
        TINY / "squad.ckpt", vocab_file=FIXTURES / "vocab.txt", bert_config_file=TINY / "bert_config.json"
    ).save(folder)
    return folder


def trained_with(folder: Path, path: Path, trained: object) -> Path:
    """The same model, said to have been fine-tuned with other flags."""
    path.mkdir()
    for file in folder.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "fine_tuning": trained}))
    return path


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def give_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_questions_from_a_file_and_from_standard_input(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = b"\xef\xbb\xbf" + f"{QUESTIONS[0]}\r\n\n{QUESTIONS[1]}".encode()
    (tmp_path / "questions.txt").write_bytes(content)
    command = ["answer", f"--model={folder}", f"--context={TEXT}", "--format=jsonl"]
    assert run(*command, f"--input_file={tmp_path / 'questions.txt'}") == 0
    found = lines(capsys)
    assert [one["question"] for one in found] == QUESTIONS
    give_stdin(monkeypatch, content)
    assert run(*command, "--input_file=-", f"--output_file={tmp_path / 'out.jsonl'}") == 0
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == found
    # The byte order mark is no part of the question.
    capsys.readouterr()
    assert run(*command, QUESTIONS[0]) == 0
    assert lines(capsys) == found[:1]


def test_the_text_from_standard_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["answer", f"--model={folder}", QUESTIONS[0], "--format=jsonl"]
    assert run(*command, f"--context={TEXT}") == 0
    (expected,) = lines(capsys)
    give_stdin(monkeypatch, b"\xef\xbb\xbf" + TEXT.encode())
    assert run(*command, "--context_file=-") == 0
    (found,) = lines(capsys)
    assert {one["document"] for one in found["answers"]} == {"standard input"}
    assert [one["begin"] for one in found["answers"]] == [one["begin"] for one in expected["answers"]]


def test_texts_are_prepared_once_for_all_questions(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    plain = Tokenizer.encode_with_offsets
    monkeypatch.setattr(Tokenizer, "encode_with_offsets", lambda self, text: texts.append(text) or plain(self, text))
    (tmp_path / "questions.txt").write_text("\n".join(QUESTIONS * 3))
    questions = f"--input_file={tmp_path / 'questions.txt'}"
    assert run("answer", f"--model={folder}", questions, f"--context={TEXT}") == 0
    assert texts == [TEXT]
    assert len(capsys.readouterr().out.split("\n\n")) == 7


def test_no_answer_is_shown_as_the_training_decides_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["answer", QUESTIONS[0], f"--context={TEXT}"]
    models = {
        "never": trained_with(folder, tmp_path / "1.1", {"version_2_with_negative": False}),
        "willing": trained_with(
            folder, tmp_path / "a", {"version_2_with_negative": True, "null_score_diff_threshold": 100.0}
        ),
        "not": trained_with(
            folder, tmp_path / "b", {"version_2_with_negative": True, "null_score_diff_threshold": -100.0}
        ),
    }
    tables, values = {}, {}
    for name, model in models.items():
        assert run(*command, f"--model={model}") == 0
        tables[name] = capsys.readouterr().out.strip().splitlines()
        assert run(*command, f"--model={model}", "--format=jsonl") == 0
        (values[name],) = lines(capsys)
    assert {name: value["has_answer"] for name, value in values.items()} == {
        "never": True,
        "willing": True,
        "not": False,
    }
    assert "(no answer)" not in "".join(tables["never"])
    assert values["never"]["no_answer_probability"] is None
    assert tables["willing"][-1].endswith("%  (no answer)")
    assert tables["not"][1].endswith("%  (no answer) is what the model says; its best guesses:")
    assert len(tables["not"]) == len(tables["willing"]) == len(tables["never"]) + 1


def test_a_long_question_is_said_to_be_cut(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["answer", f"--model={folder}", f"--context={TEXT}", "--format=jsonl", "--max_query_length=3"]
    assert run(*command, "Who wrote?") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["question_cut"] is False
    assert "--max_query_length" not in captured.err
    assert run(*command, "Who wrote? Who?") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["question_cut"] is True
    assert "only the beginning of a question is read (--max_query_length): 'Who wrote? Who?'" in captured.err


def test_how_many_starts_and_ends_are_looked_at(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["answer", f"--model={folder}", f"--context={TEXT}", "--format=jsonl", "--top_k=1", "Who wrote?"]
    probabilities = []
    for size in (1, 20):
        assert run(*command, f"--n_best_size={size}") == 0
        (found,) = lines(capsys)
        probabilities.append(found["answers"][0]["probability"])
    assert probabilities[0] > probabilities[1]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--context=a b"], "--question or --input_file: give one of them"),
        (["", "--context=a b"], "--question: is empty, or None, which means the same; give a text, or --input_file"),
        (["who ?", "--context="], "--context: is empty, or None, which means the same; give a text, or --context_file"),
        (["who ?", "--input_file=good.txt", "--context=a"], "--question or --input_file: give one of them"),
        (["who ?"], "--context or --context_file: give one of them"),
        ([" ", "--context=a b"], "--question: is empty"),
        (["who ?", "--context= "], "--context: is empty"),
        (["who ?", "--context_file=none.txt"], "none.txt"),
        (["who ?", "--context_file=bad.txt"], "bad.txt: byte 1 is not valid UTF-8"),
        (["--input_file=none.txt", "--context=a"], "--input_file=none.txt: no such file"),
        (["--input_file=.", "--context=a"], "--input_file=.: is a folder"),
        (["--input_file=empty.txt", "--context=a"], "--input_file=empty.txt: has no question"),
        (["--input_file=bad.txt", "--context=a"], "bad.txt, line 1: is not valid UTF-8; fix --input_file"),
        (["--input_file=wide.txt", "--context=a"], "wide.txt: is UTF-16LE; convert it: iconv -f UTF-16 -t UTF-8"),
        (["--input_file=-", "--context_file=-"], "only one of them can be standard input"),
        (["who ?", "--context=a", "--output_file=none/out.txt"], "--output_file=none/out.txt: there is no folder none"),
        (["who ?", "--context=a", "--output_file=."], "--output_file=.: is not a plain file"),
    ],
)
def test_mistakes_show_before_a_model_is_loaded(
    arguments: list[str],
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(model_flags, "load_model", load)
    monkeypatch.chdir(tmp_path)
    Path("good.txt").write_text("who ?\n")
    Path("empty.txt").write_bytes(b"\xef\xbb\xbf\n \n")
    Path("bad.txt").write_bytes(b"\xffa")
    Path("wide.txt").write_bytes("who ?\n".encode("utf-16"))
    assert run("answer", "--model=none", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert error in line


def test_standard_input_without_a_question(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_stdin(monkeypatch, b"\n\n")
    assert run("answer", f"--model={folder}", "--input_file=-", "--context=a") == 2
    assert "--input_file=-: has no question" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("trained", "error"),
    [
        ({"max_seq_length": "abc"}, "config.json: fine_tuning: max_seq_length is 'abc', not a whole number from 0 on"),
        ([], "config.json: fine_tuning is [], not an object of flags"),
    ],
)
def test_odd_settings_of_the_training_are_one_line(
    folder: Path, tmp_path: Path, trained: object, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained_with(folder, tmp_path / "odd", trained)
    assert run("answer", f"--model={model}", "who ?", "--context=a b") == 2
    assert error in capsys.readouterr().err.splitlines()[-1]


def test_messages_name_the_file_of_a_text(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "odd.txt").write_text("\x00")
    assert run("answer", f"--model={folder}", "who ?", f"--context_file={tmp_path / 'odd.txt'}") == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("odd.txt: is empty after tokenization")


def test_the_package_prepares_texts(folder: Path) -> None:
    model = bertworks.load(folder)
    assert model.answer(QUESTIONS[0], Texts(model.tokenizer, TEXT)) == model.answer(QUESTIONS[0], TEXT)
