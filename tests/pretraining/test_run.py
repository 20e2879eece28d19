"""Departures from the original's recipe, as runs: resumed inside each phase they end with the same bits."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.commands.runs import FIXTURES, TINY, make_shards, metrics, run


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return make_shards(tmp_path_factory.mktemp("data") / "shards")


def words(shards: Path, output: Path, *more: str) -> list[str]:
    return ["run_pretraining", *TINY, f"--input_file={shards}", f"--output_dir={output}", "--precision=fp32", *more]


def forget_after(output: Path, step: int) -> None:
    """As if the process had been killed before its next checkpoint."""
    for path in output.glob("checkpoints/step-*"):
        if int(path.name[5:]) > step:
            shutil.rmtree(path)


MUON = ("--optimizer=muon", "--matrix_learning_rate=0.02")
RUNS = {
    "muon": (*MUON, "--group_weight_decay=embeddings=0,matrices=0.1", "--muon_momentum=0.9"),
    "lamb": ("--optimizer=lamb", "--adam_beta2=0.98", "--schedule=cosine"),
    "adamw in 8 bits": ("--optimizer=adamw", "--optimizer_bits=8", "--final_learning_rate=1e-4"),
    "stable": ("--schedule=warmup_stable_decay", "--num_decay_steps=2"),
    "phases": (
        *("--max_seq_length=32,64,64", "--train_batch_size=4,4,8", "--masked_lm_prob=0.3,0.2,0.1"),
        *("--phase_shares=0.375,0.375,0.25", "--max_predictions_per_seq=0", "--next_sentence=False"),
    ),
    "causal": ("--objective=causal_lm,masked_lm", "--phase_shares=0.5,0.5", "--next_sentence=False"),
    "neighbours": ("--neighbour_heads",),
    "words of texts": (
        *("--bag_of_words=0.5", "--objective=causal_lm,masked_lm", "--phase_shares=0.5,0.5", "--next_sentence=False"),
    ),
    "spans": ("--mean_span_length=5", "--mask_all"),
}


@pytest.mark.parametrize("kind", RUNS)
def test_resumed_inside_each_phase_it_ends_with_the_same_bits(shards: Path, tmp_path: Path, kind: str) -> None:
    more = (*RUNS[kind], "--num_train_steps=8", "--save_checkpoints_steps=1", "--keep_checkpoint_max=9")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(*words(shards, whole, *more)) == 0
    shutil.copytree(whole, cut)
    expected = load_file(whole / "model.safetensors")
    for step in (7, 4, 1) if kind in ("phases", "causal", "words of texts") else (4,):
        forget_after(cut, step)
        assert run(*words(shards, cut, *more)) == 0
        found = load_file(cut / "model.safetensors")
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert metrics(cut) == metrics(whole)


def test_phases_train_on_what_they_say(shards: Path, tmp_path: Path, capsys) -> None:
    assert run(*words(shards, tmp_path / "out", *RUNS["phases"], "--num_train_steps=8")) == 0
    said = capsys.readouterr().err
    assert "phase 1, steps 0 to 3: length 32, 4 instances a step, 30% masked" in said
    assert "phase 3, steps 6 to 8: length 64, 8 instances a step, 10% masked" in said
    tokens = [line["tokens"] for line in metrics(tmp_path / "out") if "tokens" in line]
    assert max(tokens[:3]) <= 4 * 32 < max(tokens[6:]) <= 8 * 64
    # Other steps would be other phases.
    assert run(*words(shards, tmp_path / "out", *RUNS["phases"], "--num_train_steps=9")) == 2
    assert "--num_train_steps: 9 here" in capsys.readouterr().err
    assert (
        run("run_pretraining", f"--input_file={shards}", *RUNS["phases"], "--num_train_steps=8", "--show_step=7") == 0
    )
    assert "Instance 20: " in capsys.readouterr().out  # two phases of length 64: 3 * 4 + 8


def test_the_share_of_masks_falls_exactly(shards: Path) -> None:
    """Every instance of an epoch has exactly the share of its phase."""
    from bertworks.commands.run_pretraining import Flags
    from bertworks.data.masking import how_many
    from bertworks.pretraining.instances import training_input

    flags = Flags(
        input_file=str(shards),
        max_seq_length=64,
        masked_lm_prob=(0.3, 0.15, 0.05),
        phase_shares=(0.5, 0.25, 0.25),
        max_predictions_per_seq=0,
        next_sentence=False,
        num_train_steps=40,
        train_batch_size=5,
    )
    found = training_input(flags)
    epoch = found.sources[0].before(1)
    assert epoch < 200
    instances = [
        source.instances(phase.first_instance, phase.first_instance + 5 * (phase.last_step - phase.first_step))
        for phase, source in zip(found.phases, found.sources, strict=True)
    ]
    assert sum(map(len, instances)) == 200
    plain = training_input(Flags(input_file=str(shards), max_seq_length=64, next_sentence=False)).sources[0]
    assert np.array_equal(np.concatenate([i.lengths for i in instances]), plain.instances(0, 200).lengths)
    for share, part in zip((0.3, 0.15, 0.05), instances, strict=True):
        counts = np.bincount(np.searchsorted(np.cumsum(part.lengths), part.rows, side="right"), minlength=len(part))
        assert np.array_equal(counts, np.minimum(how_many(part.lengths, share, 0), part.lengths - 2))


@pytest.mark.parametrize("keeps", [True, False])
def test_one_process_of_several_keeps_the_counts(shards: Path, tmp_path: Path, keeps: bool, monkeypatch) -> None:
    from bertworks.commands.run_pretraining import Flags
    from bertworks.data import stream
    from bertworks.pretraining.instances import training_input

    monkeypatch.setattr(stream, "SENTENCES_WORTH_WRITING", 1)
    lengths = {"max_seq_length": (32, 64), "phase_shares": (0.5, 0.5)}
    flags = Flags(input_file=str(shards), output_dir=str(tmp_path), num_train_steps=4, **lengths)
    for source in training_input(flags, keeps_counts=keeps).sources:
        source.before(1)
    names = ["instance_counts-64.json", "instance_counts.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == (names if keeps else [])


def test_a_causal_phase_reports_its_own_loss(shards: Path, tmp_path: Path) -> None:
    more = (*RUNS["causal"], "--num_train_steps=4", "--do_eval", "--max_eval_steps=2")
    assert run(*words(shards, tmp_path, *more)) == 0
    names = [{name for name in line if "_lm_" in name} for line in metrics(tmp_path)[1:]]
    causal, masked = ({f"{kind}_lm_{what}" for what in ("loss", "accuracy")} for kind in ("causal", "masked"))
    assert names == [causal, causal, masked, masked]
    results = dict(line.split(" = ") for line in (tmp_path / "eval_results.txt").read_text().splitlines())
    assert "masked_lm_accuracy" in results
    assert "causal_lm_loss" not in results


def test_the_decay_may_start_any_time(shards: Path, tmp_path: Path) -> None:
    """A run in its stable part, ended at 6 steps, is the run of 6 steps."""
    more = ("--schedule=warmup_stable_decay", "--num_decay_steps=2", "--num_warmup_steps=1")
    more += ("--save_checkpoints_steps=1", "--keep_checkpoint_max=99")
    long, short = tmp_path / "long", tmp_path / "short"
    assert run(*words(shards, long, *more, "--num_train_steps=12")) == 0
    assert run(*words(shards, short, *more, "--num_train_steps=6")) == 0
    forget_after(long, 4)
    assert run(*words(shards, long, *more, "--num_train_steps=6")) == 0
    one, other = load_file(long / "model.safetensors"), load_file(short / "model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_evaluation_has_its_own_share_of_masks(shards: Path, tmp_path: Path) -> None:
    more = ("--num_train_steps=1", "--do_eval", "--max_eval_steps=4", "--next_sentence=False")
    results = []
    for name, flags in (("a", ("--masked_lm_prob=0.3",)), ("b", ("--masked_lm_prob=0.15",)), ("c", ())):
        extra = ("--eval_masked_lm_prob=0.3",) if name == "b" else ()
        assert run(*words(shards, tmp_path / name, *more, *flags, *extra, "--max_predictions_per_seq=0")) == 0
        model = load_file(tmp_path / name / "model.safetensors")
        results.append((model["bert.pooler.dense.weight"], (tmp_path / name / "eval_results.txt").read_text()))
    # One step at a rate of 0: the models are one, so the results tell how it was evaluated.
    assert results[0][1] == results[1][1]
    assert results[1][1] != results[2][1]


def test_what_a_cap_cuts_is_said(shards: Path, tmp_path: Path, capsys) -> None:
    assert run(*words(shards, tmp_path, "--masked_lm_prob=0.3", "--num_train_steps=1")) == 0
    said = "--max_predictions_per_seq=10: fewer than 30% of 64 tokens are masked; 0 masks them all"
    assert said in capsys.readouterr().err


def test_record_files_have_one_length(tmp_path: Path, capsys) -> None:
    records = FIXTURES / "pretraining_wwm_False.tfrecord"
    more = (f"--vocab_file={FIXTURES / 'vocab.txt'}", "--num_train_steps=4", "--phase_shares=0.5,0.5")
    assert run(*words(records, tmp_path / "a", *more, "--max_seq_length=64,128")) == 2
    assert "record files hold instances that are cut and masked already" in capsys.readouterr().err
    assert run(*words(records, tmp_path / "b", *more, "--train_batch_size=2,4")) == 0


def test_a_larger_model_grows_from_a_smaller_one(shards: Path, tmp_path: Path, capsys) -> None:
    assert run(*words(shards, tmp_path / "small", "--num_train_steps=2")) == 0
    more = ("--num_train_steps=3", f"--grow_from={tmp_path / 'small'}", "--save_checkpoints_steps=2")
    large = [word for word in words(shards, tmp_path / "large", *more) if not word.startswith("--size")]
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    (tmp_path / "c.json").write_text(json.dumps({**config, "num_hidden_layers": 4, "hidden_act": "gelu"}))
    capsys.readouterr()
    assert run(*large, f"--bert_config_file={tmp_path / 'c.json'}") == 0
    assert "2 layers of 32 -> 4 of 32; layer i begins as its layer i mod 2" in capsys.readouterr().err
    expected = load_file(tmp_path / "large" / "model.safetensors")
    forget_after(tmp_path / "large", 2)
    assert run(*large, f"--bert_config_file={tmp_path / 'c.json'}") == 0
    found = load_file(tmp_path / "large" / "model.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert "Grown from" not in capsys.readouterr().err
    assert run(*large[:-2], "--num_train_steps=3", f"--bert_config_file={tmp_path / 'c.json'}") == 2


def test_a_plan_counts_every_phase(shards: Path, tmp_path: Path, capsys) -> None:
    """The phases are short enough to be counted whole, so the plan's tokens are those of the training."""
    more = (*RUNS["phases"], "--num_train_steps=8")
    with pytest.raises(SystemExit):
        run(*words(shards, tmp_path / "planned", *more, "--plan"))
    said = capsys.readouterr().out
    assert run(*words(shards, tmp_path / "done", *more)) == 0
    tokens = sum(line["tokens"] for line in metrics(tmp_path / "done") if "tokens" in line)
    assert f"8, {tokens:,} tokens" in said
    assert "(the mean of the first steps of each phase)" in said


def test_the_average_is_the_plain_mean_and_is_evaluated(shards: Path, tmp_path: Path, capsys) -> None:
    more = ("--num_train_steps=7", "--save_checkpoints_steps=2", "--average_checkpoints=3", "--do_eval")
    assert run(*words(shards, tmp_path, *more, "--max_eval_steps=2")) == 0
    parts = [load_file(tmp_path / "checkpoints" / f"step-{n}" / "model.safetensors") for n in (4, 6, 7)]
    found = load_file(tmp_path / "averaged" / "model.safetensors")
    for name in parts[0]:
        expected = torch.stack([part[name].double() for part in parts]).mean(0).float()
        torch.testing.assert_close(found[name], expected, rtol=1e-6, atol=1e-8)
    assert not torch.equal(found["cls.predictions.bias"], parts[2]["cls.predictions.bias"])
    results = dict(line.split(" = ") for line in (tmp_path / "eval_results.txt").read_text().splitlines())
    averaged = [
        word
        for word in words(shards, tmp_path / "again", "--do_train=False", "--do_eval", "--max_eval_steps=2")
        if not word.startswith("--size")
    ]
    assert run(*averaged, f"--model={tmp_path / 'averaged'}") == 0
    again = dict(line.split(" = ") for line in (tmp_path / "again" / "eval_results.txt").read_text().splitlines())
    for name in ("loss", "masked_lm_accuracy", "next_sentence_loss"):
        assert float(results[f"averaged_{name}"]) == pytest.approx(float(again[name]))
    assert results["averaged_loss"] != results["loss"]
    capsys.readouterr()
    assert run(*words(shards, tmp_path / "few", "--num_train_steps=2", "--average_checkpoints=2")) == 2
    assert "--average_checkpoints=2: " in capsys.readouterr().err


def test_a_training_that_has_ended_is_not_given_for_another_one(shards: Path, tmp_path: Path, capsys) -> None:
    more = ("--num_train_steps=1", "--optimizer=adamw", "--adam_beta2=0.98")
    assert run(*words(shards, tmp_path, *more)) == 0
    assert run(*words(shards, tmp_path, *more)) == 0
    assert "Skipping training" in capsys.readouterr().err
    for change, message in (
        (("--adam_beta2=0.999",), "--adam_beta2=the default: "),
        (("--adam_beta2=0.98", "--schedule=cosine"), "--schedule=cosine: "),
    ):
        assert run(*words(shards, tmp_path, *more[:2], *change)) == 2
        assert message in capsys.readouterr().err
