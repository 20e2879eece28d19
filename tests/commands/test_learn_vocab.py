"""`bert learn_vocab` from the command line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from bertworks import cli
from bertworks.text.tokenizer import Tokenizer

SENTENCES = [
    f"The {a} {b} of the {a}s {b}ed, and {b}ing {a}s {b}."
    for a in ("cat", "bird", "wolf")
    for b in ("walk", "jump", "turn")
]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(SENTENCES[:5]) + "\n\n" + "\n".join(SENTENCES[5:]) + "\n")
    return path


def learn(*words: object) -> int:
    return cli.main(["learn_vocab", *map(str, words)])


def test_the_file_has_the_released_layout_and_tokenizes_its_text(text: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "new" / "vocab.txt"
    assert learn(f"--input_file={text}", f"--output_file={output}", "--vocab_size=170") == 0
    assert output.read_text().endswith("\n")
    pieces = output.read_text().splitlines()
    assert len(pieces) == len(set(pieces)) == 170
    assert pieces[:100] == ["[PAD]", *(f"[unused{n}]" for n in range(99))]
    assert pieces[100:104] == ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer.from_vocab(output, do_lower_case=True)
    assert tokenizer.tokenize("The cats walk.") == ["the", "cats", "walk", "."]
    assert "[UNK]" not in tokenizer.tokenize(" ".join(SENTENCES))
    said = capsys.readouterr().out
    assert "Wrote 170 pieces" in said
    assert f"bert create_pretraining_data --input_file={text} --vocab_file={output} --output_dir" in said


def test_every_kind_of_file_gives_the_same_vocabulary(text: Path, tmp_path: Path) -> None:
    content = text.read_text()
    (tmp_path / "text.txt.gz").write_bytes(gzip.compress(content.encode()))
    records = "".join(json.dumps({"body": document}) + "\n" for document in content.split("\n\n"))
    (tmp_path / "text.jsonl").write_text(records)
    (tmp_path / "text.jsonl.gz").write_bytes(gzip.compress(records.encode()))
    learned = set()
    for name in ("text.txt", "text.txt.gz", "text.jsonl", "text.jsonl.gz", "text.t?t"):
        output = tmp_path / "vocab.txt"
        assert (
            learn(f"--input_file={tmp_path / name}", f"--output_file={output}", "--text_field=body", "--vocab_size=150")
            == 0
        )
        learned.add(output.read_bytes())
    assert len(learned) == 1


def test_workers_change_nothing(text: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        assert (
            learn(
                f"--input_file={text}",
                f"--output_file={tmp_path / str(workers)}",
                "--vocab_size=150",
                f"--num_workers={workers}",
            )
            == 0
        )
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_case_is_kept_on_request_and_the_next_command_says_so(text: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "vocab.txt"
    assert (
        learn(
            f"--input_file={text}",
            f"--output_file={output}",
            "--vocab_size=80",
            "--unused_tokens=0",
            "--nodo_lower_case",
        )
        == 0
    )
    pieces = output.read_text().splitlines()
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert "The" in pieces
    assert "--do_lower_case=False --output_dir" in capsys.readouterr().out


def test_words_over_the_limit_are_counted_and_the_limit_can_be_raised(tmp_path: Path, capsys) -> None:
    """As in a script without blanks, where a clause is one word."""
    (tmp_path / "text.txt").write_text("\n".join(["กขคง" * 60] * 3 + ["กขคง กข"] * 10))
    command = (f"--input_file={tmp_path / 'text.txt'}", f"--output_file={tmp_path / 'v.txt'}", "--vocab_size=120")
    assert learn(*command) == 0
    assert "3 words of more than 200 characters, 92.3% of the text, are left out" in capsys.readouterr().out
    assert learn(*command, "--max_input_chars_per_word=240") == 0
    said = capsys.readouterr().out
    assert "left out" not in said
    assert "--max_input_chars_per_word=240 --output_dir" in said
    (tmp_path / "text.txt").write_text("x" * 300)
    assert learn(*command) == 2
    assert "--max_input_chars_per_word=200: every word is longer" in capsys.readouterr().err


def test_the_next_command_has_every_flag_about_words(tmp_path: Path, capsys) -> None:
    (tmp_path / "text").write_text('{"body": "a b"}\n{"body": "a b"}\n')
    flags = "--strip_accents=False --max_input_chars_per_word=100 --text_field=body"
    assert learn(f"--input_file={tmp_path / 'text'}", f"--output_file={tmp_path / 'v'}", *flags.split()) == 0
    said = capsys.readouterr()
    assert f"{flags} --output_dir=shards" in said.out
    assert "read as JSON lines" in said.err


def test_too_little_text_is_said_aloud(text: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "vocab.txt"
    assert learn(f"--input_file={text}", f"--output_file={output}", "--alphabet_limit=20") == 0
    said = capsys.readouterr().out
    assert len(output.read_text().splitlines()) < 400
    assert "fewer than --vocab_size=30522" in said
    assert "[UNK]; --alphabet_limit keeps more" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input_file={tmp}/absent.txt"], "--input_file: no file matches"),
        (["--input_file={tmp}/empty.txt"], "--input_file={tmp}/empty.txt: has no words"),
        (["--input_file={tmp}/latin.txt"], "{tmp}/latin.txt, line 2: not UTF-8"),
        (["--input_file={tmp}/text.txt", "--vocab_size=110"], "--vocab_size=110: too few for 104 special tokens"),
        (["--input_file={tmp}/text.txt", "--unused_tokens=-1"], "--unused_tokens=-1: must be at least 0"),
        (["--input_file={tmp}/text.txt", "--min_frequency=0"], "--min_frequency=0: must be at least 1"),
        (["--input_file={tmp}/text.txt", "--alphabet_limit=0"], "--alphabet_limit=0: must be at least 1"),
        (["--input_file={tmp}/text.txt", "--num_workers=0"], "--num_workers=0: must be at least 1"),
        (["--input_file={tmp}/text.txt", "--output_file={tmp}"], "--output_file={tmp}: is a folder"),
    ],
)
def test_bad_input_names_the_flag_and_writes_nothing(
    text: Path, tmp_path: Path, capsys, words: list[str], message: str
) -> None:
    (tmp_path / "empty.txt").write_text(" \n\n")
    (tmp_path / "latin.txt").write_bytes(b"a\n\xe9\n")
    output = tmp_path / "vocab.txt"
    assert learn(f"--output_file={output}", *(word.format(tmp=tmp_path) for word in words)) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("bert learn_vocab: "))
    assert message.format(tmp=tmp_path) in line
    assert {path.name for path in tmp_path.iterdir()} == {"empty.txt", "latin.txt", "text.txt"}


def test_an_output_that_cannot_be_written_is_told_before_words_are_counted(
    text: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def count(*_: object, **__: object) -> None:
        raise AssertionError("words were counted")

    monkeypatch.setattr("bertworks.text.word_counts.count_words", count)
    assert learn(f"--input_file={text}", "--output_file=/proc/vocab.txt") == 2
    assert "--output_file=/proc: cannot be written to" in capsys.readouterr().err
