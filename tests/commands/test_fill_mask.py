"""`bert fill_mask` on the golden model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bertworks import cli

FIXTURES = Path(__file__).parents[1] / "fixtures"
MODEL = [
    f"--init_checkpoint={FIXTURES / 'google_tiny' / 'trained.ckpt'}",
    f"--bert_config_file={FIXTURES / 'google_tiny' / 'bert_config.json'}",
    f"--vocab_file={FIXTURES / 'vocab.txt'}",
]


def test_a_table_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fill_mask", *MODEL, "--text=the [MASK] went to the [MASK] .", "--top_k=2"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == "the [MASK] went to the [MASK] ."
    assert [line[2:12].strip() for line in lines[1:5]] == ["[MASK] 1", "", "[MASK] 2", ""]
    assert all(line.endswith("%") for line in lines[1:5])
    assert "3 layers, hidden size 32" in shown.err
    assert len(shown.err.splitlines()) == 2
    assert cli.main(["fill_mask", *MODEL, "--text=the [MASK]", "--verbose"]) == 0
    assert "62 tensors" in capsys.readouterr().err


def test_many_texts_as_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("the [MASK] .\n\n  a [MASK] [MASK] ü \n")
    output = tmp_path / "out.jsonl"
    arguments = [*MODEL, f"--input_file={texts}", "--format=jsonl", f"--output_file={output}", "--top_k=3"]
    assert cli.main(["fill_mask", *arguments]) == 0
    assert capsys.readouterr().out == ""
    first, second = (json.loads(line) for line in output.read_text().splitlines())
    assert (first["text"], second["text"]) == ("the [MASK] .", "a [MASK] [MASK] ü")
    assert [len(mask) for mask in second["masks"]] == [3, 3]
    assert first["masks"][0][0].keys() == {"token", "probability"}


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        ([], "--text or --input_file: give one of them"),
        (["--text=a", "--input_file=b"], "--text or --input_file: give one of them"),
        (["--text=no mask"], "--text: no [MASK] in 'no mask'"),
        (["--text=[MASK]", "--top_k=0"], "--top_k: 0 must be at least 1"),
        (["--input_file=gone.txt"], "--input_file: no file matches gone.txt"),
        (["--text=[MASK]", "--model=x"], "--model and --init_checkpoint"),
    ],
)
def test_mistakes(flags: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fill_mask", *MODEL, *flags]) == 2
    assert error in capsys.readouterr().err


def test_a_line_that_cannot_be_filled_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.txt"
    for wrong, error in (
        ("no mask", "no [MASK] in 'no mask'"),
        ("[MASK] " * 500, f"502 tokens, but the model has 128 positions: '{('[MASK] ' * 6)[:40]}'..."),
    ):
        texts.write_text(f"a [MASK]\n\n{wrong}\nthe [MASK]\n")
        assert cli.main(["fill_mask", *MODEL, f"--input_file={texts}"]) == 2
        assert f"bert fill_mask: {texts}, line 3: {error}\n" in capsys.readouterr().err


def test_a_vocabulary_of_fewer_words_than_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (FIXTURES / "vocab.txt").read_text(encoding="utf-8").splitlines()[:50]
    few = tmp_path / "vocab.txt"
    few.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    asked = ["--text=[MASK]", "--top_k=900", "--format=jsonl"]
    assert cli.main(["fill_mask", *MODEL, f"--vocab_file={few}", *asked]) == 0
    (mask,) = json.loads(capsys.readouterr().out)["masks"]
    assert sorted(one["token"] for one in mask) == sorted(words)


def test_bytes_that_are_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_bytes(b"a [MASK]\n\xff\xfe [MASK]\n")
    assert cli.main(["fill_mask", *MODEL, f"--input_file={texts}"]) == 2
    error = capsys.readouterr().err
    assert "texts.txt, line 2, byte 1: ff (hexadecimal) is not UTF-8 (if the file is in Windows-1252, where" in error
    assert "--encoding=cp1252" in error


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_lines_are_read_in_the_encoding_that_is_said(
    encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("caf\u00e9 [MASK]\nthe [MASK]\n", encoding=encoding)
    flags = [f"--input_file={texts}", "--format=jsonl", f"--encoding={encoding}"]
    assert cli.main(["fill_mask", *MODEL, *flags]) == 0
    found = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
    assert found == ["caf\u00e9 [MASK]", "the [MASK]"]


def test_an_input_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("the [MASK]\n")
    (tmp_path / "link.txt").symlink_to(texts)
    commands = {
        "fill_mask": MODEL,
        "embed": MODEL,
        "extract_features": MODEL,
        "learn_vocab": ["--min_frequency=1"],
        "create_pretraining_data": MODEL[2:],
    }
    for command, flags in commands.items():
        assert cli.main([command, *flags, f"--input_file={texts}", f"--output_file={tmp_path / 'link.txt'}"]) == 2
        assert f"link.txt: is the input {texts}, which would be lost; give another file" in capsys.readouterr().err
    assert texts.read_text() == "the [MASK]\n"
