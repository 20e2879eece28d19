"""`bert extract_features` from the command line: the original's answers, its reading of lines, and other files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bertworks import cli

FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = FIXTURES / "google_tiny"
MODEL = (
    f"--vocab_file={FIXTURES / 'vocab.txt'}",
    f"--bert_config_file={TINY / 'bert_config.json'}",
    f"--init_checkpoint={TINY / 'trained.ckpt'}",
)


def extract(*words: object) -> int:
    return cli.main(["extract_features", *MODEL, *map(str, words)])


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("the old market\nwhy was the ferry sold ? ||| it costs 80\n" + "the " * 60 + "\n")
    return path


def test_equals_the_original(tmp_path: Path, capsys) -> None:
    output = tmp_path / "features.jsonl"
    how = (
        "--layers=-1,-2",
        "--max_seq_length=32",
        "--batch_size=3",
        "--use_one_hot_embeddings=False",
        "--use_tpu=False",
    )
    assert extract(f"--input_file={FIXTURES / 'lines.txt'}", f"--output_file={output}", *how) == 0
    ours, theirs = output.read_text().splitlines(), (FIXTURES / "features.jsonl").read_text().splitlines()
    assert len(ours) == len(theirs) == 24
    for our_line, their_line in zip(ours, theirs, strict=True):
        mine, original = json.loads(our_line), json.loads(their_line)
        assert json.dumps(mine) == our_line  # the same spaces, and numbers written the same way
        np.testing.assert_allclose(taken_values(mine), taken_values(original), atol=2e-5, rtol=0)
        assert json.dumps(mine) == json.dumps(original)  # all but the values, keys in the same order
    said = capsys.readouterr().out
    assert "8 of 24 lines are longer than --max_seq_length=32 tokens and were cut" in said
    assert f"Wrote 24 lines, 552 tokens, to {output}" in said
    assert "in fp32 on cpu" in said


def taken_values(line: dict) -> list[float]:
    """All values of a line, which it then lacks."""
    return [value for token in line["features"] for layer in token["layers"] for value in layer.pop("values")]


def tokens_of(path: Path) -> list[list[str]]:
    return [[token["token"] for token in json.loads(line)["features"]] for line in path.read_text().splitlines()]


def test_lines_are_read_as_the_original_reads_them(tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out"
    source.write_bytes(
        b"the old\r\n\n  the\xc2\xa0\n||| the\nthe ||| \nthe ||| old ||| market\n"
        b"ol\rd the\nthe|||old\nthe ||| \xe2\x80\x8b \nold"
    )
    assert extract(f"--input_file={source}", f"--output_file={output}", "--layers=-1") == 0

    bars = ["[UNK]"] * 3  # the vocabulary has none
    assert [tokens[1:-1] for tokens in tokens_of(output)] == [
        ["the", "old"],
        [],  # an empty line counts
        ["the"],
        [*bars, "the"],  # a bar without a text on either side is none
        ["the", *bars],
        ["the", *bars, "old", "[SEP]", "market"],  # the last one divides
        ["old", "the"],  # a carriage return vanishes, as in TensorFlow's reader
        ["the", *bars, "old"],
        ["the"],  # nothing is left of the second text
        ["old"],
    ]


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_one_vector_a_line_in_every_file(lines: Path, tmp_path: Path, pooling: str) -> None:
    for name in ("out.jsonl", "out.npy", "out.npz"):
        output = tmp_path / name
        assert extract(f"--input_file={lines}", f"--output_file={output}", f"--pooling={pooling}", "--layers=-1,0") == 0
    array = np.load(tmp_path / "out.npy")
    assert array.shape == (3, 64)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["features"], array)
    for line, row in zip((tmp_path / "out.jsonl").read_text().splitlines(), array, strict=True):
        last, first = json.loads(line)["layers"]
        np.testing.assert_allclose(last["values"] + first["values"], row, atol=1e-6)


def test_token_rows_as_arrays(lines: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.npz"
    assert extract(f"--input_file={lines}", f"--output_file={output}", "--layers=-2", "--max_seq_length=20") == 0
    with np.load(output) as found:
        assert np.diff(found["starts"]).tolist()[0] == 5
        assert found["features"].shape == (found["starts"][-1], 32)


def test_layers_that_nobody_names(lines: Path, tmp_path: Path, capsys) -> None:
    """The last four, as far as the model has them (three); with pooling the last."""
    output = tmp_path / "out.npz"
    assert extract(f"--input_file={lines}", f"--output_file={output}") == 0
    assert "The layers: -1,-2,-3 (--layers)" in capsys.readouterr().err
    with np.load(output) as found:
        assert found["features"].shape[1] == 3 * 32
    pooled = ("--pooling=mean", f"--output_file={tmp_path / 'out.npy'}")
    assert extract(f"--input_file={lines}", *pooled) == 0
    plain = np.load(tmp_path / "out.npy")
    assert plain.shape == (3, 32)
    assert extract(f"--input_file={lines}", *pooled, "--normalize") == 0
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), plain / lengths, atol=1e-6)


def test_a_table_has_rows_not_lines(tmp_path: Path, capsys) -> None:
    table, lines, output = tmp_path / "in.csv", tmp_path / "in.txt", tmp_path / "out.npy"
    table.write_text('number,sentence1,sentence2\n1,"the old\nmarket",\n2,,\n3,the man,a house\n')
    lines.write_text("the old market\n\nthe man ||| a house\n")
    found = []
    for source in (table, lines):
        assert extract(f"--input_file={source}", f"--output_file={output}", "--pooling=mean") == 0
        found.append(np.load(output))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert f"{table}: columns: text sentence1, pair sentence2" in capsys.readouterr().err
    assert extract(f"--input_file={table}", f"--output_file={output}", "--pooling=cls", "--text_column=gone") == 2
    assert "has no column 'gone' (--text_column)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layers=-1,x"], "--layers=-1,x: give numbers"),
        (["--normalize"], "--normalize: is for one vector a text"),
        (["--layers=3"], "--layers: the model has no layer 3"),
        (["--max_seq_length=129"], "--max_seq_length=129: the model has 128 positions"),
        (["--max_seq_length=2"], "--max_seq_length=2: must be at least 3"),
        (["--output_file={tmp}"], "--output_file={tmp}: is a folder"),
        (["--output_file={tmp}/out.npy"], "--pooling=cls, mean or max"),
        (["--input_file={tmp}/none.txt"], "--input_file={tmp}/none.txt: no such file"),
        (["--input_file={tmp}"], "--input_file={tmp}: is a folder"),
        (["--input_file={tmp}/empty.txt"], "--input_file={tmp}/empty.txt: is empty"),
        (["--input_file={tmp}/latin.txt"], "{tmp}/latin.txt, line 2: is not valid UTF-8"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(lines: Path, tmp_path: Path, words, message, capsys) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "latin.txt").write_bytes(b"the\ncaf\xe9\n")
    words = [f"--input_file={lines}", f"--output_file={tmp_path / 'out.jsonl'}", "--layers=-1", *words]
    before = sorted(tmp_path.iterdir())
    assert extract(*(word.format(tmp=tmp_path) for word in words)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("bert extract_features: ")
    assert message.format(tmp=tmp_path) in error
    assert sorted(tmp_path.iterdir()) == before
