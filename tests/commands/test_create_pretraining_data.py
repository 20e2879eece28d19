"""The command from its words to its files: shards, records, both; what it prints, and what it refuses."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from bertworks.cli import main
from bertworks.data.corpus import open_corpus
from bertworks.data.examples import TFRecordSource
from bertworks.data.masking import MaskableWords
from bertworks.data.record_settings import read_settings
from bertworks.data.stream import Drawing, ShardSource
from bertworks.text.tokenizer import Tokenizer
from tests.commands.runs import FIXTURES

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "sample_text.txt"
CORPUS = ROOT / "tests" / "fixtures" / "corpus.txt"
VOCAB = ROOT / "tests" / "fixtures" / "vocab.txt"


def run(*words: str) -> int:
    return main(["create_pretraining_data", f"--vocab_file={VOCAB}", *words])


def records_of(*paths: Path, max_seq_length: int = 128, max_predictions_per_seq: int = 20) -> TFRecordSource:
    return TFRecordSource(
        paths,
        seed=None,
        max_seq_length=max_seq_length,
        max_predictions_per_seq=max_predictions_per_seq,
        vocab_size=900,
    )


def test_the_originals_readme_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its words, with the paths replaced."""
    output = tmp_path / "tf_examples.tfrecord"
    assert not run(
        f"--input_file={SAMPLE}",
        f"--output_file={output}",
        "--do_lower_case=True",
        "--max_seq_length=128",
        "--max_predictions_per_seq=20",
        "--masked_lm_prob=0.15",
        "--random_seed=12345",
        "--dupe_factor=5",
    )
    source = records_of(output)
    assert capsys.readouterr().out == f"Wrote {len(source)} total instances to {output}\n"
    assert {path.name for path in tmp_path.iterdir()} == {"tf_examples.tfrecord", "tf_examples.tfrecord.json"}
    instances = source.instances(0, len(source))
    assert len(source) > 5 * 6
    assert instances.lengths.max() <= 128
    assert 0.12 < len(instances.rows) / len(instances.input_ids) < 0.18
    assert set(instances.is_random_next.tolist()) == {0, 1}


def test_records_are_what_training_on_the_shards_would_draw(tmp_path: Path) -> None:
    shards, outputs = tmp_path / "shards", [tmp_path / name for name in ("a", "b", "c")]
    assert not run(
        f"--input_file={CORPUS}",
        f"--output_dir={shards}",
        f"--output_file={','.join(map(str, outputs))}",
        "--max_seq_length=64",
        "--max_predictions_per_seq=9",
        "--dupe_factor=3",
        "--do_whole_word_mask",
        "--random_seed=7",
    )
    corpus = open_corpus(str(shards))
    drawing = Drawing(max_seq_length=64, max_predictions_per_seq=9, do_whole_word_mask=True, random_seed=7)
    drawn = ShardSource(corpus, MaskableWords.of(Tokenizer.from_vocab(VOCAB).tokens, "vocab.txt"), drawing)
    count = drawn.before(3)
    expected = drawn.instances(0, count)
    for place, output in enumerate(outputs):
        written = records_of(output, max_seq_length=64, max_predictions_per_seq=9)
        found = written.instances(0, len(written))
        assert len(found) == len(range(place, count, 3))
        for i in range(len(found)):
            one, other = found.part(i, i + 1), expected.part(place + 3 * i, place + 3 * i + 1)
            for name in ("input_ids", "segment_ids", "lengths", "rows", "labels", "is_random_next"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_shards_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = tmp_path / "shards"
    assert not run(f"--input_file={CORPUS},{SAMPLE}", f"--output_dir={shards}", "--do_lower_case=false")
    corpus = open_corpus(str(shards))
    assert corpus.documents == 12 + 8
    assert not corpus.vocabulary.do_lower_case
    assert re.search(r"Wrote 20 documents, \d+ sentences, [\d,]+ tokens in 1 shards", capsys.readouterr().out)
    flags = tomllib.loads((shards / "flags.toml").read_text())
    assert flags["input_file"] == f"{CORPUS},{SAMPLE}"
    assert flags["do_lower_case"] is False


def test_a_vocabulary_with_capitals_for_lower_cased_text_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vocab = tmp_path / "vocab.txt"
    vocab.write_text(
        "".join(f"{line.title() if i > 200 else line}\n" for i, line in enumerate(VOCAB.read_text().split()))
    )
    for lower, told in (("true", True), ("false", False)):
        assert not main(
            ["create_pretraining_data", f"--input_file={CORPUS}", f"--vocab_file={vocab}", f"--do_lower_case={lower}",
             f"--output_dir={tmp_path / lower}"]
        )  # fmt: skip
        assert ("but the text is lower-cased" in capsys.readouterr().err) == told


def test_a_run_repeated_gives_the_same_records(tmp_path: Path) -> None:
    for name, workers in (("a", 1), ("b", 2)):
        assert not run(f"--input_file={CORPUS}", f"--output_file={tmp_path / name}", f"--num_workers={workers}")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert not run(f"--input_file={CORPUS}", f"--output_file={tmp_path / 'c'}", "--random_seed=1")
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_a_killed_run_with_other_text_is_not_in_the_way(tmp_path: Path) -> None:
    """Shards beside the records that do not fit are made anew."""
    left = tmp_path / ".a.shards"
    assert not run(f"--input_file={SAMPLE}", f"--output_dir={left}")
    assert not run(f"--input_file={CORPUS}", f"--output_file={tmp_path / 'a'}")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "a.json"}


def test_what_is_lost_is_said_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, shards, records = (tmp_path / name for name in ("text.txt", "shards", "a.tfrecord"))
    text.write_text("the market ก\n\n" * 9 + "the market was sold " * 40 + "\n")
    command = (f"--input_file={text}", f"--output_dir={shards}", f"--output_file={records}", "--max_seq_length=64")
    assert not run(*command)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert said[0].startswith("[UNK] stands for ")
    assert said[1].startswith("10 of 10 documents (100.0%) have one sentence")
    assert said[2].startswith("1 of 10 sentences are longer than an instance of 64 tokens")
    counts = open_corpus(str(shards)).counts()
    settings = read_settings([records], "--input_file")
    assert counts is not None
    assert settings is not None
    assert settings.counts == counts
    assert counts.documents == counts.one_sentence_documents == 10
    assert counts.unknown_tokens == counts.unknown_characters == 9
    assert counts.characters == 9 * len("themarketก") + 40 * len("themarketwassold")
    # A run that finds its shards says the same.
    assert not run(*command)
    assert capsys.readouterr().err.splitlines() == said
    assert not run(f"--input_file={CORPUS}", f"--output_dir={tmp_path / 'cut'}", "--truncate_segments=0.5")
    assert re.search(r"--truncate_segments=0.5 left out \d+\.\d+% of the tokens", capsys.readouterr().err)


def test_show_prints_instances_for_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not run(f"--input_file={CORPUS}", f"--output_dir={tmp_path}", "--show=2", "--masked_lm_prob=0.3")
    shown = capsys.readouterr().out.partition("Instance 0: ")[2]
    first, second = shown.split("Instance 1: ")
    source = ShardSource(
        open_corpus(str(tmp_path)),
        MaskableWords.of(Tokenizer.from_vocab(VOCAB).tokens, "vocab.txt"),
        Drawing(masked_lm_prob=0.3),
    )
    tokens = Tokenizer.from_vocab(VOCAB).tokens
    for i, text in enumerate((first, second)):
        instance = source.instances(i, i + 1)
        head, _, body = text.partition("\n")
        follows = "the second part follows the first" if not instance.is_random_next[0] else "a random second part"
        assert head == f"{instance.lengths[0]} tokens, {len(instance.rows)} to predict, {follows}"
        # What the model sees, once the answers are taken out.
        assert re.sub(r"\{\S+ > (\S+)\}", r"\1", " ".join(body.split())).split() == [
            tokens[token] for token in instance.input_ids
        ]
        assert re.findall(r"\{(\S+) > \S+\}", " ".join(body.split())) == [tokens[label] for label in instance.labels]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((f"--input_file={CORPUS}",), "give --output_dir=FOLDER .* or both"),
        ((f"--input_file={CORPUS}", "--output_file=OUT/a,OUT/a"), "--output_file=.*: names a file twice"),
        (("--input_file=OUT/none.txt", "--output_dir=OUT/s"), "--input_file: no file matches"),
        (("--input_file=OUT/empty.txt", "--output_dir=OUT/s"), "--input_file: no words in .*empty.txt"),
        (("--input_file=OUT/latin.txt", "--output_file=OUT/a"), "latin.txt, line 2: not UTF-8"),
        ((f"--input_file={CORPUS}", "--output_dir=OUT/s", "--dupe_factor=0"), "--dupe_factor: 0 must be at least 1"),
        ((f"--input_file={CORPUS}", "--output_dir=OUT/s", "--max_seq_length=3"), "--max_seq_length=3: must be"),
        ((f"--input_file={CORPUS}", "--output_dir=OUT/s", "--truncate_segments=2"), "--truncate_segments=2.0: must be"),
        ((f"--input_file={CORPUS}", "--output_dir=OUT/s", "--vocab_file=OUT/odd.txt"), r"odd.txt.*\[MASK\]"),
        (
            (f"--input_file={CORPUS}", "--output_dir=OUT/s", "--vocab_file=OUT/no.txt"),
            "--vocab_file=.*no.txt: no such file",
        ),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "latin.txt").write_bytes(b"one\ncaf\xe9\n")
    (tmp_path / "odd.txt").write_text("\n".join(VOCAB.read_text().split("\n")[:4]) + "\n")
    assert run(*(word.replace("OUT", str(tmp_path)) for word in words)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.match(f"bert create_pretraining_data: .*{message}", error)
    assert not (tmp_path / "s" / "index.json").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"empty.txt", "latin.txt", "odd.txt", "s"}


@pytest.mark.parametrize("text", ["one\n", "one", "the market was sold\n", "\n\n \none two\n\n\n"])
def test_documents_of_one_sentence_or_none(tmp_path: Path, text: str) -> None:
    """One sentence of at least two tokens is cut in two; less than that is too little text."""
    (tmp_path / "text.txt").write_text(text)
    tokens = len(Tokenizer.from_vocab(VOCAB).encode(text))
    code = run(f"--input_file={tmp_path / 'text.txt'}", f"--output_file={tmp_path / 'a'}", "--dupe_factor=2")
    if tokens < 2:
        assert code == 2
        assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
    else:
        assert code == 0
        assert len(records_of(tmp_path / "a")) == 2


def test_a_full_disk_leaves_no_records_and_a_later_run_succeeds(tmp_path: Path) -> None:
    """Files may grow to 60 kB: enough for the shard, too little for the records."""
    output = tmp_path / "records"
    command = [sys.executable, "-m", "bertworks", "create_pretraining_data", f"--vocab_file={VOCAB}"]
    command += [f"--input_file={CORPUS}", f"--output_file={output}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    limited = subprocess.run(
        command,
        env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode == 2
    assert "File too large; free some space" in limited.stderr.splitlines()[-1]
    # The shards stay for the next run, which also takes away what a killed one left.
    assert [path.name for path in tmp_path.iterdir()] == [".records.shards"]
    (tmp_path / ".records.1.partial").touch()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} == {"records", "records.json"}
    assert len(records_of(output)) > 100


def test_show_alone_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not run(f"--input_file={CORPUS}", "--show=1")
    assert "Instance 0: " in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_refused_input_leaves_no_folder_behind(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"fine\n\xff\n")
    assert run(f"--input_file={tmp_path / 'bad.txt'}", f"--output_dir={tmp_path / 'out'}") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["bad.txt"]


def test_an_array_of_commands_writes_one_folder(tmp_path: Path, capsys) -> None:
    text, vocab = f"--input_file={FIXTURES / 'corpus.txt'}", f"--vocab_file={FIXTURES / 'vocab.txt'}"
    command = ["create_pretraining_data", text, vocab, "--num_workers=1"]
    assert main([*command, f"--output_dir={tmp_path / 'whole'}"]) == 0
    array = [*command, f"--output_dir={tmp_path / 'array'}", "--num_shards=2"]
    assert main([*array, "--shard_index=1"]) == 0
    assert f"This is part 1 of 2; {tmp_path / 'array'} waits for other parts" in capsys.readouterr().out
    assert main([*array, "--shard_index=0"]) == 0
    assert f"{tmp_path / 'array'} is finished" in capsys.readouterr().out
    for path in (tmp_path / "whole").iterdir():
        expected = path.read_text() if path.suffix == ".toml" else None
        if expected is not None:
            assert (tmp_path / "array" / path.name).read_text() == expected.replace("/whole", "/array")
        else:
            assert (tmp_path / "array" / path.name).read_bytes() == path.read_bytes()
    assert main([*array, "--shard_index=2"]) == 2
    assert "--shard_index=2: must be below --num_shards=2" in capsys.readouterr().err
    assert main([*command, "--num_shards=2", f"--output_file={tmp_path / 'a.tfrecord'}"]) == 2
    assert "--num_shards=2: is for --output_dir alone" in capsys.readouterr().err
