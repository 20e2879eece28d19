"""A fine-tuning loses little when it is killed, and replaces nothing that it did not write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from bertworks import cli
from bertworks.finetuning import training
from bertworks.train import loop
from bertworks.train.step import Stepper
from tests.commands.runs import FIXTURES, run

TINY = FIXTURES / "google_tiny"
MODEL = [
    f"--vocab_file={FIXTURES / 'vocab.txt'}",
    f"--bert_config_file={TINY / 'bert_config.json'}",
    f"--init_checkpoint={TINY / 'trained.ckpt'}",
]
TASK = ["--task_name=MRPC", f"--data_dir={FIXTURES / 'mrpc'}", "--max_seq_length=32", "--precision=fp32"]
TRAIN = ["run_classifier", *MODEL, *TASK, "--do_train", "--do_eval", "--train_batch_size=8", "--num_train_epochs=3"]


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every training of this test end in an interrupt at a step."""
    original = Stepper.take

    def take(self: Stepper, number: int, *rest: object) -> list[bool]:
        if number == step:
            raise KeyboardInterrupt
        return original(self, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(loop.Stepper, "take", take)


def first_step_of(text: str) -> int:
    """The step from which a training continued."""
    (line,) = [line for line in text.splitlines() if line.startswith("Continuing from")]
    return int(line.partition("(step ")[2].partition(")")[0])


def test_an_evaluation_leaves_a_checkpoint_to_continue_from(tmp_path: Path, monkeypatch, capsys) -> None:
    command = [*TRAIN, f"--output_dir={tmp_path}", "--eval_every=2"]
    killed_at(5, monkeypatch)
    assert run(*command) == 130
    monkeypatch.undo()
    capsys.readouterr()
    assert run(*command) == 0
    assert first_step_of(capsys.readouterr().err) == 4


def test_so_do_some_minutes(tmp_path: Path, monkeypatch, capsys) -> None:
    command = [*TRAIN, f"--output_dir={tmp_path}", "--eval_every=1000"]
    monkeypatch.setattr(training, "SAVE_EVERY_MINUTES", 1e-9)
    killed_at(3, monkeypatch)
    assert run(*command) == 130
    monkeypatch.undo()
    capsys.readouterr()
    assert run(*command) == 0
    assert first_step_of(capsys.readouterr().err) == 3


@pytest.mark.parametrize("seeds", [[], ["--seeds=1,2"]])
def test_a_model_that_was_not_trained_there_is_not_replaced(tmp_path: Path, seeds: list[str], capsys) -> None:
    model = tmp_path / "model"
    assert run("convert_checkpoint", str(TINY / "trained.ckpt"), str(model), *MODEL[:2]) == 0
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    command = ["run_classifier", *TASK, "--do_train", "--do_eval", f"--model={model}", f"--output_dir={model}", *seeds]
    assert cli.main(command) == 2
    assert "holds a model that was not trained there (config.json)" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()} == before


def test_a_foreign_configuration_is_not_replaced(tmp_path: Path, capsys) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"name": "of another program"}))
    assert cli.main([*TRAIN, f"--output_dir={tmp_path}"]) == 2
    assert "config.json" in capsys.readouterr().err
    assert json.loads((tmp_path / "config.json").read_text()) == {"name": "of another program"}


@pytest.mark.parametrize("change", ["--learning_rate=1e-3", "--weight_decay=0.5", "--warmup_proportion=0.3"])
def test_other_settings_do_not_get_a_finished_trainings_results(tmp_path: Path, change: str, capsys) -> None:
    command = [*TRAIN, f"--output_dir={tmp_path}"]
    assert run(*command) == 0
    results = (tmp_path / "eval_results.txt").read_bytes()
    assert cli.main([*command, change]) == 2
    assert f"{change.partition('=')[0]}=" in capsys.readouterr().err
    # The same command again gives what there is.
    assert run(*command) == 0
    assert (tmp_path / "eval_results.txt").read_bytes() == results


def test_a_training_that_has_ended_keeps_the_model_alone(tmp_path: Path, capsys) -> None:
    output = tmp_path / "out"
    command = [*TRAIN, f"--output_dir={output}", "--num_train_epochs=1"]
    assert run(*command) == 0
    assert f"To train more: --model={output} and another --output_dir" in capsys.readouterr().out
    (folder,) = (output / "checkpoints").glob("step-*")
    assert [path.name for path in folder.iterdir()] == ["state.json"]
    weights = (output / "model.safetensors").read_bytes()
    # Again it is not trained; nothing of it is lost.
    assert run(*command) == 0
    captured = capsys.readouterr()
    assert "Skipping training" in captured.err
    assert "global_step = 8" in captured.out
    assert (output / "model.safetensors").read_bytes() == weights
    assert run(*command, "--keep=last") == 0
    assert "The last model was not kept when the training ended" in capsys.readouterr().err
    assert (output / "model.safetensors").read_bytes() == weights
    # Other settings are another training.
    assert run(*command, "--learning_rate=1e-3") == 2
    assert "holds a training that ended with 5e-05" in capsys.readouterr().err


def weights_at(folder: Path) -> dict[str, bytes]:
    """The model of a folder, by tensor."""
    return {name: tensor.tobytes() for name, tensor in load_file(folder / "model.safetensors").items()}


def test_without_a_dev_set_an_older_best_model_is_not_published(tmp_path: Path, monkeypatch, capsys) -> None:
    command = [*(word for word in TRAIN if word != "--do_eval"), f"--output_dir={tmp_path}", "--eval_every=2"]
    killed_at(5, monkeypatch)
    assert run(*command, "--do_eval") == 130
    monkeypatch.undo()
    assert (tmp_path / "best" / "model.safetensors").exists()
    assert run(*command, "--learning_rate=1e-3") == 0
    captured = capsys.readouterr()
    assert "best: is of an earlier part of this training and not compared with its last model" in captured.err
    (last,) = (tmp_path / "checkpoints").glob("step-*")
    assert last.name == "step-24"
    weights = weights_at(tmp_path)
    assert weights == weights_at(last)
    assert weights != weights_at(tmp_path / "best")
    # A dev set that comes after the end changes nothing either.
    assert run(*command, "--learning_rate=1e-3", "--do_eval") == 0
    assert "The training ended with its last model" in capsys.readouterr().err
    assert weights_at(tmp_path) == weights_at(last) == weights


@pytest.mark.parametrize(("first", "then"), [([], ["--do_eval"]), (["--do_eval", "--keep=last"], ["--do_eval"])])
def test_a_best_model_that_is_asked_for_after_the_end_is_the_last(
    tmp_path: Path, first: list[str], then: list[str], capsys
) -> None:
    command = [*(word for word in TRAIN if word != "--do_eval"), f"--output_dir={tmp_path}", "--num_train_epochs=1"]
    assert run(*command, *first) == 0
    weights = weights_at(tmp_path)
    capsys.readouterr()
    for _ in range(2):
        assert run(*command, *then) == 0
        captured = capsys.readouterr()
        assert "The training ended with its last model (without --do_eval, or with --keep=last)" in captured.err
        assert "eval_accuracy = " in captured.out
        (last,) = (tmp_path / "checkpoints").glob("step-*")
        assert weights_at(tmp_path) == weights_at(last) == weights


def test_seeds_that_were_trained_with_their_last_models_are_compared_by_those(tmp_path: Path, capsys) -> None:
    command = [*TRAIN, f"--output_dir={tmp_path}", "--num_train_epochs=1", "--seeds=1,2"]
    assert run(*command, "--keep=last") == 0
    seeds, weights = (tmp_path / "seeds.json").read_bytes(), weights_at(tmp_path)
    assert run(*command) == 0
    assert (tmp_path / "seeds.json").read_bytes() == seeds
    assert weights_at(tmp_path) == weights


def test_a_training_that_stopped_early_does_not_go_on_without_its_optimizer(tmp_path: Path, capsys) -> None:
    command = [*TRAIN, f"--output_dir={tmp_path}", "--eval_every=1", "--num_train_epochs=3"]
    assert run(*command, "--early_stopping=1", "--learning_rate=0") == 0
    assert run(*command, "--early_stopping=9", "--learning_rate=0") == 2
    assert "the training there has ended, and its optimizer was not kept" in capsys.readouterr().err


def test_checkpoints_that_are_asked_for_stay(tmp_path: Path, capsys) -> None:
    command = [*TRAIN, f"--output_dir={tmp_path}", "--num_train_epochs=1", "--eval_every=2", "--keep_checkpoint_max=2"]
    assert run(*command) == 0
    assert "To train more" not in capsys.readouterr().out
    folders = sorted((tmp_path / "checkpoints").glob("step-*"))
    assert [folder.name for folder in folders] == ["step-6", "step-8"]
    assert all((folder / "optimizer.safetensors").exists() for folder in folders)
