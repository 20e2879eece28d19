"""The contests of every kind, without starting anybody."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bertworks.benchmark import lambda_labs, nvidia
from bertworks.benchmark.contest import Contest
from bertworks.benchmark.flags import BenchmarkFlags
from bertworks.benchmark.plans import plan
from bertworks.benchmark.surroundings import Surroundings
from bertworks.errors import InputError
from bertworks.flags import parse
from tests.commands.runs import FIXTURES

TEXT = (f"--corpus={FIXTURES / 'corpus.txt'}", f"--vocab_file={FIXTURES / 'vocab.txt'}", "--device=cpu")


def surroundings(folder: Path, *words: str) -> Surroundings:
    return Surroundings.of(parse(BenchmarkFlags, ["--size=2/32", *TEXT, *words], "bert benchmark"), folder)


def planned(folder: Path, *words: str) -> list[Contest]:
    return plan(surroundings(folder, *words))[1]


def test_steps_of_pretraining(tmp_path: Path) -> None:
    dense, mrpc = planned(tmp_path, "train", "--batch_size=4", "--precision=fp32", "--against=transformers")
    assert (dense.sequences, dense.tokens, dense.longest, dense.model) == (4, 512, 128, "2/32")
    assert (mrpc.sequences, mrpc.tokens) == (4, 4 * 53)
    assert dense.operations > mrpc.operations > 0
    assert len(dense.entrants) == 3  # ours, transformers at its best and by default
    assert len({path.resolve() for path in tmp_path.glob("*/model")}) == 1


def test_more_tokens_than_the_model_has_positions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--max_seq_length=600: BERT-2/32, random weights reads at most 512 tokens"):
        planned(tmp_path, "train", "--max_seq_length=600")


def test_ours_takes_part_in_every_precision_of_a_peer(tmp_path: Path) -> None:
    """Peers' defaults are in fp32, so ours is measured in it too."""
    (contest,) = planned(
        tmp_path, "train", "--batch_size=4", "--lengths=mrpc", "--precision=bf16", "--against=transformers"
    )
    assert len(contest.entrants) == 4


def test_steps_of_fine_tuning_have_a_model_for_each_head(tmp_path: Path) -> None:
    mrpc, squad = planned(tmp_path, "finetune", "--batch_size=4", "--against=none")
    assert (mrpc.longest, squad.longest) == (128, 384)
    heads = {json.loads(path.read_text())["architectures"][0] for path in tmp_path.glob("model-*/config.json")}
    assert heads == {"BertForSequenceClassification", "BertForQuestionAnswering"}


@pytest.mark.parametrize("kind", ["encode", "latency"])
def test_texts(kind: str, tmp_path: Path) -> None:
    natural, dense = planned(tmp_path, kind, "--texts=6", "--against=none")
    # A pass is all texts, or one of them.
    assert (natural.sequences, dense.sequences) == ((6, 6) if kind == "encode" else (1, 1))
    assert dense.tokens == dense.sequences * 128
    assert (natural.operations > 0) is (kind == "encode")
    assert natural.passes == (1 if kind == "encode" else 6)
    assert len(json.loads((tmp_path / "natural" / "texts.json").read_text())) == 6


def test_text_to_ids_and_to_data(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    cold, warm = planned(tmp_path / "a", "tokenize", "--against=none")
    assert cold.megabytes == warm.megabytes > 0
    assert cold.clock == "processor"
    assert cold.difference(np.array([1, 2, 3]), np.array([1, 5, 9])) == 2  # lines, not the largest difference
    (data,) = planned(tmp_path / "b", "data")
    assert len(data.entrants) == 3
    assert data.clock == "processor"


def test_lambdas_benchmark_has_base_and_large_in_two_precisions(tmp_path: Path) -> None:
    around = surroundings(tmp_path, "finetune", "--like=lambda", "--size=2/32,2/64", "--against=transformers")
    about, contests = lambda_labs.plan(around)
    assert [(one.model, one.sequences, one.longest) for one in contests] == [("2/32", 8, 384)] * 2 + [
        ("2/64", 8, 384)
    ] * 2
    assert {len(one.entrants) for one in contests} == {2}
    assert (around.rounds, around.passes) == (3, 100)
    assert "8, on CPU" in about[0]


def test_without_a_size_lambdas_benchmark_is_of_base_and_large(tmp_path: Path) -> None:
    flags = parse(BenchmarkFlags, ["finetune", "--like=lambda", "--device=cpu"], "bert benchmark")
    assert Surroundings.of(flags, tmp_path).sizes == ["base", "large"]


def test_nvidias_grid(tmp_path: Path) -> None:
    _, contests = nvidia.plan(surroundings(tmp_path, "latency", "--like=nvidia", "--against=none"))
    assert [(one.longest, one.sequences) for one in contests] == [(n, b) for n in (128, 384) for b in (1, 2, 4, 8)]
    assert all(one.tokens == one.longest * one.sequences for one in contests)
    assert {len(one.entrants) for one in contests} == {2}  # ours in two precisions


@pytest.mark.parametrize(("kind", "like"), [("train", nvidia), ("finetune", lambda_labs)])
def test_known_benchmarks_train_ours_as_the_flags_say(
    kind: str, like: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(Surroundings, "entrants", lambda *_, options, **more: seen.append(options) or [])
    name = like.__name__.rpartition(".")[2].partition("_")[0]
    like.plan(
        surroundings(
            tmp_path, kind, f"--like={name}", "--batch_size=2", "--gradient_checkpointing", "--optimizer_bits=8"
        )
    )
    assert seen
    assert all((one["gradient_checkpointing"], one["optimizer_bits"]) == ("True", "8") for one in seen)


def test_nvidias_grid_has_no_more_tokens_than_the_model_reads(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--max_seq_length=600: BERT-2/32, random weights reads at most 512 tokens"):
        nvidia.plan(surroundings(tmp_path, "train", "--like=nvidia", "--max_seq_length=600"))


def test_latency_has_only_the_texts_that_a_turn_takes(tmp_path: Path) -> None:
    (contest,) = planned(tmp_path, "latency", "--texts=12", "--steps=3", "--lengths=natural", "--against=none")
    texts = json.loads((tmp_path / "natural" / "texts.json").read_text())
    sentences = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line.strip()]
    assert contest.name.startswith("3 texts, natural")
    assert contest.passes == len(texts) == 3
    assert texts == sentences[:: len(sentences) // 3][:3]
