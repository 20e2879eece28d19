"""`bert classify`, `bert tag`, `bert embed`: texts from the command line, files, tables and standard input."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import bertworks
from bertworks import pretrained as model_flags
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.model.heads import TokenClassifier, initialise
from tests.commands.runs import FIXTURES, run

TINY = FIXTURES / "google_tiny"
OPTIONS = {"vocab_file": FIXTURES / "vocab.txt", "bert_config_file": TINY / "bert_config.json"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three model folders: encoder, classifier, tagger."""
    folder = tmp_path_factory.mktemp("models")
    encoder = bertworks.load(TINY / "trained.ckpt", **OPTIONS)
    encoder.save(folder / "encoder")
    bertworks.load(TINY / "classifier.ckpt", **OPTIONS).save(folder / "classifier")
    config = encoder.config.with_labels(["O", "B-place", "I-place"])
    network = TokenClassifier(config, 3)
    initialise(network, 0.5, 3)
    with torch.no_grad():
        network.classifier.weight[0] = 0
        network.classifier.weight[1].neg_()
    save_model_folder(folder / "tagger", config, network.state_dict(), "BertForTokenClassification")
    encoder.tokenizer.save(folder / "tagger")
    return folder


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def use(command: str, models: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """What a command says in JSON lines."""
    model = {"classify": "classifier", "tag": "tagger", "embed": "encoder"}[command]
    form = [] if command == "embed" else ["--format=jsonl"]
    assert run(command, f"--model={models / model}", *form, *words) == 0
    return lines(capsys.readouterr().out)


def _about(value: Any) -> Any:
    """What equals a value up to the last digits of its numbers: these may differ beside other texts."""
    if isinstance(value, dict):
        return {name: _about(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_about(part) for part in value]
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


@pytest.mark.parametrize("command", ["classify", "tag", "embed"])
def test_texts_come_from_everywhere_and_mean_the_same(
    command: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (one,) = use(command, models, capsys, "the man went")
    (tmp_path / "a.txt").write_text("the man went\n\n  a house \n")
    (tmp_path / "b.csv").write_text("id,text,label\n7,the man went,x\n8,,x\n9,a house,x\n")
    (tmp_path / "c.jsonl").write_text(json.dumps({"text": "the man went"}) + "\n")
    first, second = use(command, models, capsys, f"--input_file={tmp_path / 'a.txt'}")
    assert first == _about(one)
    assert second["text"] == "a house"
    rows = use(command, models, capsys, f"--input_file={tmp_path / 'b.csv'},{tmp_path / 'c.jsonl'}")
    assert [row.get("id") for row in rows] == ["7", "8", "9", None]
    assert [row["text"] for row in rows] == ["the man went", "", "a house", "the man went"]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"the man went\na house")))
    assert [row["text"] for row in use(command, models, capsys, "-")] == ["the man went", "a house"]


def test_classes_for_people_and_programs(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = use("classify", models, capsys, "the man", "--text_pair=a house", "--top_k=1")
    assert found.keys() == {"text", "pair", "label", "probabilities"}
    assert list(found["probabilities"]) == [found["label"]]
    (tmp_path / "lines.txt").write_text("the man ||| a house\n")
    (again,) = use("classify", models, capsys, f"--input_file={tmp_path / 'lines.txt'}", "--top_k=1")
    assert again == found
    (tmp_path / "pairs.csv").write_text("sentence1,sentence2\nthe man,a house\n")
    (again,) = use("classify", models, capsys, f"--input_file={tmp_path / 'pairs.csv'}", "--top_k=1")
    assert again == found
    assert run("classify", f"--model={models / 'classifier'}", "the man") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "the man"
    assert shown[1].strip() in ("LABEL_0", "LABEL_1")
    assert len([line for line in shown if line.endswith("%")]) == 2
    (tmp_path / "some.csv").write_text('text,other\n"",1\nthe man,2\n')
    assert run("classify", f"--model={models / 'classifier'}", f"--input_file={tmp_path / 'some.csv'}") == 0
    captured = capsys.readouterr()
    assert "(empty text)" in captured.out
    assert "1 text is empty and has no label" in captured.err


def test_pairs_for_a_model_of_single_texts_are_told_once(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lines.txt").write_text("a house\nthe man ||| a house\na house ||| the man\n")
    (tmp_path / "pairs.csv").write_text("sentence1,sentence2\nthe man,a house\n")
    files = f"--input_file={tmp_path / 'lines.txt'},{tmp_path / 'pairs.csv'}"
    told = {}
    for name, remembered in (("single", {}), ("pairs", {"pair_column": "sentence2"})):
        shutil.copytree(models / "classifier", tmp_path / name)
        config = json.loads((tmp_path / name / "config.json").read_text())
        fine_tuning = {"text_column": "text", **remembered}
        (tmp_path / name / "config.json").write_text(json.dumps({**config, "fine_tuning": fine_tuning}))
        assert run("classify", f"--model={tmp_path / name}", files) == 0
        told[name] = [line for line in capsys.readouterr().err.splitlines() if "is a pair of texts" in line]
    assert told["pairs"] == []
    (note,) = told["single"]
    assert note.startswith(f"{tmp_path / 'lines.txt'}, line 2: is a pair of texts, and the model was trained on single")
    assert "--text_column" in note


def test_lines_that_look_like_rows_or_tagged_words_are_told_and_read_as_texts(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content, note in (
        ("rows.txt", "text\tteam\nthe man\tx\n", "2 of its first 2 lines have a tab"),
        ("words.conll", "Marta B-PER\nwent O\n\n", "--test_file="),
    ):
        (tmp_path / name).write_text(content)
        assert run("tag", f"--model={models / 'tagger'}", f"--input_file={tmp_path / name}", "--format=jsonl") == 0
        captured = capsys.readouterr()
        assert [row["text"] for row in lines(captured.out)] == content.splitlines()[:2]
        (told,) = [line for line in captured.err.splitlines() if line.startswith(str(tmp_path / name))]
        assert note in told


def test_entities_are_where_they_say(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "the market of the town and the old harbour"
    (found,) = use("tag", models, capsys, text)
    assert found["entities"]
    for entity in found["entities"]:
        assert text[entity["begin"] : entity["end"]] == entity["text"]
        assert 0 < entity["score"] <= 1
    assert run("tag", f"--model={models / 'tagger'}", text) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2 + len(found["entities"])


def test_entities_in_other_programs_forms(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "the market of the town\nand the old harbour"
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(text)
    (tmp_path / "empty.txt").write_text(" ")
    whole = ("tag", f"--model={models / 'tagger'}", f"--input_file={tmp_path}/*.txt", "--whole_files")
    assert run(*whole, "--format=spacy") == 0
    captured = capsys.readouterr()
    first, second = lines(captured.out)
    assert first == second
    assert first["text"] == text
    assert "empty.txt: has no text" in captured.err
    assert run(*whole, "--format=conll") == 0
    columns = [line.split() for line in capsys.readouterr().out.split("\n\n")[0].splitlines()]
    assert [word for word, _ in columns] == text.split()
    assert sum(tag.startswith("B-") for _, tag in columns) == len(first["ents"])
    assert run(*whole, "--format=brat", f"--output_file={tmp_path / 'brat'}") == 0
    written = sorted(path.name for path in (tmp_path / "brat").iterdir())
    assert written == ["a.ann", "a.txt", "b.ann", "b.txt"]
    assert len((tmp_path / "brat" / "a.ann").read_text().splitlines()) == len(first["ents"])
    assert run(*whole, "--format=brat") == 2
    assert "give the folder as --output_file" in capsys.readouterr().err
    least = use("tag", models, capsys, "the market of the town", "--scores=minimum")[0]["entities"]
    product = use("tag", models, capsys, "the market of the town")[0]["entities"]
    assert all(a["score"] >= b["score"] for a, b in zip(least, product, strict=True))


def test_a_model_of_sentences_reads_a_text_sentence_by_sentence(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "tagger", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "fine_tuning": {"sentences": True}}))
    by_sentence, whole = bertworks.load(tmp_path / "model"), bertworks.load(models / "tagger")
    sentences = ["The market of the town is old.", "And the harbour near it?"]
    text = "  ".join(sentences)
    found = by_sentence.tag(text)
    assert all(text[one.begin : one.end] == one.text for one in found)
    alone = [one for sentence in sentences for one in whole.tag(sentence)]
    assert [(one.type, one.text) for one in found] == [(one.type, one.text) for one in alone]
    assert by_sentence.tag(["", text, " "]) == [[], found, []]


@pytest.mark.parametrize("name", ["out.npy", "out.npz"])
def test_vectors_as_arrays(name: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("the man\na house\n")
    source, output = f"--input_file={tmp_path / 'a.txt'}", tmp_path / name
    expected = [row["vector"] for row in use("embed", models, capsys, source, "--normalize")]
    assert run("embed", f"--model={models / 'encoder'}", source, "--normalize", f"--output_file={output}") == 0
    found = np.load(output) if name.endswith("npy") else np.load(output)["features"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("command", ["classify", "tag", "embed", "fill_mask"])
@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "--text or --input_file: give one of them"),
        ([""], "--text: is empty, or None, which means the same; give a text, or --input_file"),
        (["a", "--input_file=b"], "--text or --input_file: give one of them"),
        (["--input_file=gone.csv"], "--input_file: no file matches gone.csv"),
        (["a", "--output_file=none/out"], "--output_file=none/out: there is no folder none"),
        (["--input_file=."], "--input_file=.: is a folder"),
        (["there.csv"], "--text=there.csv: is the name of a file; give --input_file=there.csv to read it"),
        (["a", "--encoding=cp1252"], "--encoding: is for files; give --input_file"),
        (["--input_file=there.csv", "--encoding=nonsense"], "--encoding=nonsense: there is none of this name"),
        (["--input_file=there.csv", "--separator=ab"], "--separator=ab: give one character, or tab"),
    ],
)
def test_mistakes_show_before_a_model_is_loaded(
    command: str,
    words: list[str],
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(model_flags, "load_model", load)
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("text\na\n")
    assert run(command, "--model=none", *words) == 2
    assert error in capsys.readouterr().err


def test_a_table_is_read_as_flags_say(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_bytes("text;id\nder König, die Königin;7\n".encode("cp1252"))
    words = (f"--input_file={tmp_path / 'a.csv'}", "--encoding=cp1252", "--separator=;")
    (row,) = use("classify", models, capsys, *words)
    assert (row["text"], row["id"]) == ("der König, die Königin", "7")


def test_a_file_without_a_text(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("\n \n")
    assert run("tag", f"--model={models / 'tagger'}", f"--input_file={tmp_path / 'a.txt'}") == 2
    assert f"--input_file={tmp_path / 'a.txt'}: has no text" in capsys.readouterr().err
    (tmp_path / "c.jsonl").write_text('{"text": "the man"}\n{"text": 5}\n')
    assert run("tag", f"--model={models / 'tagger'}", f"--input_file={tmp_path / 'c.jsonl'}") == 2
    assert "c.jsonl, line 2: text is not a text but 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", "text,id\nthe man,1\na,b,c\n"), ("a.jsonl", '{"text": "the man"}\n[1]\n')],
)
def test_a_bad_row_is_told_without_a_flag_that_is_not_there(
    name: str, content: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(content)
    words = (f"--input_file={tmp_path / name}", f"--output_file={tmp_path / 'x'}")
    assert run("tag", f"--model={models / 'tagger'}", *words) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert name in line
    assert line.endswith("(mend the row, or remove it)")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("command", "model"), [("embed", "encoder"), ("classify", "classifier")])
def test_texts_that_are_cut_are_counted(
    command: str, model: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["the lift is out of order", "the lift", "the lift is out"]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    words = (command, f"--input_file={tmp_path / 'texts.txt'}", f"--model={models / model}")
    assert run(*words, "--max_seq_length=6") == 0
    tokenizer = bertworks.load(models / model).tokenizer
    longer = sum(len(tokenizer.encode(text)) > 4 for text in texts)
    assert 0 < longer < 3
    assert f"{longer} of 3 texts are longer than --max_seq_length=6 and lose their end" in capsys.readouterr().err
    assert run(*words) == 0
    assert "are longer than" not in capsys.readouterr().err
