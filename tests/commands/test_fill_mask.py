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
    assert "62 tensors" in shown.err


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
        (["--text=no mask"], "no [MASK] in 'no mask'"),
        (["--text=[MASK]", "--top_k=0"], "--top_k: 0 must be at least 1"),
        (["--input_file=gone.txt"], "gone.txt: No such file"),
        (["--text=[MASK]", "--model=x"], "--model and --init_checkpoint"),
    ],
)
def test_mistakes(flags: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fill_mask", *MODEL, *flags]) == 2
    assert error in capsys.readouterr().err


def test_bytes_that_are_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_bytes(b"a [MASK]\n\xff\xfe [MASK]\n")
    assert cli.main(["fill_mask", *MODEL, f"--input_file={texts}"]) == 2
    assert "texts.txt, line 2: is not valid UTF-8" in capsys.readouterr().err
