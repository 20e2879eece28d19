"""`--plan` counts what a training would take, and leaves nothing."""

import re
from pathlib import Path

import pytest

from bertworks import cli
from tests.commands.runs import FIXTURES, TINY, make_shards
from tests.together import together

GOOGLE = FIXTURES / "google_tiny"


def planned(text: str) -> dict[str, str]:
    head, *lines = text.splitlines()
    assert head == "***** Plan *****"
    return {line[2:24].rstrip(): line[25:] for line in lines}


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return make_shards(tmp_path_factory.mktemp("data") / "shards")


def test_a_pretraining_is_planned_and_not_begun(shards: Path, tmp_path: Path, capsys) -> None:
    command = ["run_pretraining", *TINY, f"--input_file={shards}", f"--output_dir={tmp_path / 'out'}"]
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--num_train_steps=100", "--precision=fp32", "--plan", "--plan_steps=1"])
    assert stop.value.code == 0
    found = planned(capsys.readouterr().out)
    assert not (tmp_path / "out" / "checkpoints").exists()
    assert not (tmp_path / "out" / "model.safetensors").exists()
    parameters = int(found["parameters"].replace(",", ""))
    assert found["a step"].startswith("8 sequences, ")
    assert found["micro-batches"] == "1 a step in each of 1 processes, at most 8,192 tokens each"
    assert found["steps"].startswith("100, ")
    # float32: parameters of 4 bytes, two moments of 4 bytes each, and in a checkpoint a step counter too.
    memory = found["memory of a process"]
    assert f"{4 * parameters / 1e3:.1f} kB parameters, " in memory
    assert f"{8 * parameters / 1e3:.1f} kB optimizer, " in memory
    assert int(found["largest micro-batch"].removesuffix(" tokens fit").replace(",", "")) > 8192
    assert float(found["a checkpoint"].partition(" kB, ")[0]) == pytest.approx(12 * parameters / 1e3, rel=0.01)
    assert re.search(r" for all that are kept; [\d.]+ s to write, by a file of 1 MB", found["a checkpoint"])
    assert "measured over 1 steps" in found["speed"]
    assert found["network"] == "none"
    assert found["breaks first"].endswith("which fits")


def test_a_fine_tuning_of_two_processes_is_planned(tmp_path: Path) -> None:
    model = [f"--vocab_file={FIXTURES / 'vocab.txt'}", f"--bert_config_file={GOOGLE / 'bert_config.json'}"]
    task = ["--task_name=MRPC", f"--data_dir={FIXTURES / 'mrpc'}", "--max_seq_length=32", "--num_train_epochs=2"]
    command = ["run_classifier", *model, f"--init_checkpoint={GOOGLE / 'trained.ckpt'}", *task, "--train_batch_size=8"]
    done = together(tmp_path / "log", 2, *command, "--do_train", "--plan", f"--output_dir={tmp_path / 'out'}")
    assert [one.code for one in done] == [0, 0], done
    assert done[1].out == ""
    found = planned("***** Plan" + done[0].out.partition("***** Plan")[2])
    assert "in each of 2 processes" in found["micro-batches"]
    assert " 2.0 epochs, " in found["steps"]
    assert found["network"].endswith("a step, sent and received by each process")
    assert found["speed"].startswith("not measured")


def test_only_a_training_has_a_plan(shards: Path, tmp_path: Path, capsys) -> None:
    command = ["run_pretraining", f"--input_file={shards}", f"--output_dir={tmp_path / 'out'}", "--do_eval", "--plan"]
    assert cli.main(command) == 2
    assert "--plan: is the plan of a training; give --do_train too" in capsys.readouterr().err
