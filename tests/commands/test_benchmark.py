"""Whole runs of `bert benchmark`, each contestant in its process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bertworks import cli
from tests.commands.runs import FIXTURES

CORPUS = (f"--corpus={FIXTURES / 'corpus.txt'}", f"--vocab_file={FIXTURES / 'vocab.txt'}")
SHORT = ("--rounds=1", "--steps=1", "--device=cpu", "--threads=1", *CORPUS)


def run(folder: Path, what: str, *words: str) -> dict[str, Any]:
    assert cli.main(["benchmark", what, *SHORT, f"--output_dir={folder}", *words]) == 0
    assert (folder / f"{what}.png").read_bytes()[:4] == b"\x89PNG"
    found: dict[str, Any] = json.loads((folder / f"{what}.json").read_text())
    return found


def test_tokenizing_beside_tokenizers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path, "tokenize", "--against=tokenizers")
    assert [one["name"] for one in found["entries"]] == 2 * ["bertworks", "bertworks", "tokenizers", "tokenizers"]
    for contest in ("cold: nothing remembered", "warm: after a first pass"):
        ours, again, *theirs = (one for one in found["entries"] if one["contest"] == contest)
        assert again["times_as_fast_is_ours"] is None
        for one in theirs:
            assert one["megabytes"] == ours["megabytes"] == pytest.approx(0.0, abs=0.1)
            assert one["difference"] == 0
            ((seconds,),) = (turn["seconds"] for turn in one["turns"])
            ((mine,),) = (turn["seconds"] for turn in ours["turns"])
            assert one["times_as_fast_is_ours"]["median"] == pytest.approx(seconds / mine)
            assert one["turns"][0]["memory"] > 10**7
    page = (tmp_path / "tokenize.md").read_text()
    assert page.count("\n| ") == 2 * (2 + 4)
    assert "cold: nothing remembered" in capsys.readouterr().out


def test_a_step_of_training(tmp_path: Path) -> None:
    words = ("--size=2/32", "--batch_size=3", "--lengths=mrpc", "--precision=fp32", "--price=1", "--against=none")
    (ours,) = run(tmp_path, "train", *words)["entries"]
    (turn,) = ours["turns"]
    assert (ours["tokens"], ours["sequences"]) == (159, 3)
    assert turn["peak"] > 0
    assert 5 < turn["value"] < 15  # about ln 30522 for words, and ln 2 for next sentences
    assert ours["share_of_peak"] == pytest.approx(ours["operations"] / turn["seconds"][0] / turn["peak"])
    assert "price of a million tokens" in (tmp_path / "train.md").read_text()


def test_how_ours_trains_can_be_set(tmp_path: Path) -> None:
    words = ("--size=2/32", "--batch_size=3", "--lengths=mrpc", "--precision=fp32", "--against=none")
    (plain,) = run(tmp_path, "train", *words)["entries"]
    (ours,) = run(tmp_path, "train", *words, "--gradient_checkpointing", "--optimizer_bits=8", "--compile")["entries"]
    assert ours["settings"].endswith(
        "blocks not compiled, there is no compiler, gradient checkpointing, moments in 8 bits"
    )
    assert ours["turns"][0]["value"] == pytest.approx(plain["turns"][0]["value"], abs=1e-4)


def test_a_peer_that_fails_or_is_missing_stands_in_the_table(tmp_path: Path) -> None:
    found = run(tmp_path, "data", "--against=original")
    records, shards, original = found["entries"]
    assert records["turns"]
    assert shards["turns"]
    assert original["turns"] == []
    assert "--original=FOLDER" in original["missing"]
    assert "not measured: create_pretraining_data is not there" in (tmp_path / "data.md").read_text()


def test_a_program_that_is_no_python(tmp_path: Path) -> None:
    found = run(tmp_path, "tokenize", "--against=tokenizers", "--peer_python=tokenizers=false")
    assert {one["missing"] for one in found["entries"] if one["name"] == "tokenizers"} == {
        "its process ended with code 1"
    }


def test_like_lambda(tmp_path: Path) -> None:
    words = ("--like=lambda", "--size=2/32", "--batch_size=2", "--precision=fp32", "--against=none")
    run(tmp_path, "finetune", *words, f"--train_file={FIXTURES / 'squad-v1.json'}")
    (log,) = tmp_path.glob("results_v2/bertworks_*/PyTorch_bert_2_32_squad_FP32/*-*_*.txt")
    assert "training_sequences_per_second : " in log.read_text()
    assert (log.parent / "benchmark.para").read_text() == "GLOBAL_BATCH 2\nGPU 1\n"
    assert len(list(tmp_path.glob("pytorch-train-*.csv"))) == 4


def test_like_nvidia(tmp_path: Path) -> None:
    words = (
        "--like=nvidia",
        "--size=2/32",
        "--batch_size=2",
        "--max_seq_length=16",
        "--precision=fp32",
        "--against=none",
    )
    found = run(tmp_path, "latency", *words)
    (only,) = found["entries"]
    assert (only["tokens"], only["longest"]) == (32, 16)
    assert "| 16 | 2 |" in (tmp_path / "nvidia.md").read_text()
    assert "Latency Average (ms) = " in (tmp_path / "nvidia.log").read_text()


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertworks.benchmark.publish.run", lambda *_: pytest.fail("it measures"))
    (tmp_path / "file").touch()
    assert cli.main(["benchmark", "tokenize", *SHORT, f"--output_dir={tmp_path}/file/here"]) == 2
    assert f"--output_dir={tmp_path}/file/here: cannot be written to" in capsys.readouterr().err
