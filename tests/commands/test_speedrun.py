"""The speedrun from end to end at toy size: text, plan, pre-training, GLUE with seeds, and the record."""

import json
import shutil
from pathlib import Path

import pytest

from bertworks.commands import speedrun
from bertworks.flags import parse
from tests.commands.runs import FIXTURES, run


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    glue = tmp_path / "glue"
    shutil.copytree(FIXTURES / "mrpc", glue / "MRPC")
    (glue / "notes").mkdir()
    shape = ["--size=1/32", "--train_batch_size=4", "--max_seq_length=64", "--device=cpu"]
    texts = [f"--input_file={FIXTURES / 'corpus.txt'}", "--vocab_size=900", f"--output_dir={tmp_path / 'out'}"]
    return [
        "speedrun",
        *texts,
        *shape,
        "--max_hours=0.0002",
        f"--glue_dir={glue}",
        "--seeds=1,2",
        "--num_train_epochs=1",
    ]


def test_the_plan_comes_first_and_promises_no_score(words: list[str], tmp_path: Path, capsys) -> None:
    assert run(*words, "--plan", "--price_per_hour=2000") == 0
    said = capsys.readouterr().out
    assert "***** Plan *****" in said
    assert "price                  0.40" in said
    assert "score                  not measured" in said
    assert not (tmp_path / "out" / "model" / "model.safetensors").exists()


def test_from_text_to_scores(words: list[str], tmp_path: Path, capsys) -> None:
    assert run(*words) == 0
    said = capsys.readouterr()
    assert "what to expect" in said.err
    assert "the evaluation is on the text of the training" in said.out
    record = json.loads((tmp_path / "out" / "speedrun.json").read_text())
    assert set(record["glue"]) == {"MRPC"}
    assert set(record["glue"]["MRPC"]["seeds"]) == {"1", "2"}
    assert record["pretraining"]["global_step"] == record["plan"]["num_train_steps"]
    assert run(*words) == 0
    assert "Skipping training" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "speedrun.json").read_text()) == record


def test_a_folder_that_is_not_there_is_told_first(words: list[str], tmp_path: Path, capsys) -> None:
    assert run(*words, "--glue_dir=absent") == 2
    assert "--glue_dir=absent: no such folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--seeds=1,a", "--seeds=1,a: 'a' is not a whole number"),
        ("--eval_input_file=absent", "--eval_input_file: no file matches absent"),
        ("--vocab_file=absent", "--vocab_file=absent: no such file"),
        ("--glue_dir={}/glue/notes", "glue/notes: has no folder of a task, such as MRPC"),
    ],
)
def test_what_a_late_step_would_refuse_is_refused_first(
    word: str, message: str, words: list[str], tmp_path: Path, capsys
) -> None:
    assert run(*words, word.format(tmp_path)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_task_without_its_files_is_told_first(words: list[str], tmp_path: Path, capsys) -> None:
    (tmp_path / "glue" / "RTE").mkdir()
    assert run(*words) == 2
    assert "glue/RTE: has no train.tsv, the train set of RTE" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_only_tasks_that_can_be_trained_are_taken(words: list[str], tmp_path: Path) -> None:
    """GLUE's diagnostic set has no training set, and words with tags are no task of run_classifier."""
    for name in ("AX", "CoNLL-2003"):
        (tmp_path / "glue" / name).mkdir()
    flags = parse(speedrun.Flags, words[1:], "bert speedrun")
    assert [folder.name for folder in speedrun._glue_tasks(flags)] == ["MRPC"]
