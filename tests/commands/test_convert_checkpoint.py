"""`bert convert_checkpoint` as a person calls it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bertworks.checkpoints.load import open_checkpoint
from tests.commands.runs import FIXTURES, run

VOCAB = f"--vocab_file={FIXTURES / 'vocab.txt'}"
GOOGLE_TINY = FIXTURES / "google_tiny"


def test_to_a_model_folder_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, back = tmp_path / "a folder", tmp_path / "back"
    assert run("convert_checkpoint", f"{GOOGLE_TINY / 'bert_model.ckpt'}", f"{folder}", VOCAB) == 0
    out, err = capsys.readouterr()
    assert "62 tensors, read back; the largest difference is 0" in out
    assert out.endswith(f"\n\nNext:\n  bert fill_mask 'Some [MASK] text.' --model='{folder}'\n")
    assert err.startswith("Warning: the model does not say whether its text is lower-cased")
    assert run("convert_checkpoint", "--format=tensorflow", f"--src={folder}", f"--dst={back}") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"--init_checkpoint={back}/bert_model.ckpt --bert_config_file={back}/bert_config.json" in out
    assert "--do_lower_case=True" in out
    assert (back / "vocab.txt").read_bytes() == (FIXTURES / "vocab.txt").read_bytes()


def test_the_casing_and_the_activation_are_passed_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (f"{GOOGLE_TINY / 'squad.ckpt'}", f"{tmp_path / 'x'}", VOCAB, "--do_lower_case=False", "--hidden_act=gelu")
    assert run("convert_checkpoint", *words) == 0
    assert "text       as it is" in capsys.readouterr().out
    opened = open_checkpoint(tmp_path / "x")
    assert (opened.do_lower_case, opened.hidden_act) == (False, "gelu")
    assert run("convert_checkpoint", f"{tmp_path / 'x'}", f"{tmp_path / 'y'}", "--format=tensorflow") == 0
    out, err = capsys.readouterr()
    assert "python run_squad.py" in out
    assert "--do_lower_case=False" in out
    assert err.startswith("Warning: the weights were trained with the erf form of GELU; the original's graph computes")
    assert len(err.splitlines()) == 1


def test_a_configuration_of_the_originals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights alone do not tell their heads; --bert_config_file does. Without a vocabulary there is a warning."""
    for file in GOOGLE_TINY.glob("classifier.ckpt.*"):
        shutil.copy(file, tmp_path)
    source, folder = f"{tmp_path / 'classifier.ckpt'}", f"{tmp_path / 'x'}"
    assert run("convert_checkpoint", source, folder) == 2
    assert "give --bert_config_file" in capsys.readouterr().err
    assert run("convert_checkpoint", source, folder, f"--bert_config_file={GOOGLE_TINY / 'bert_config.json'}") == 0
    assert capsys.readouterr().err.startswith("Warning: no vocabulary lies beside the weights, so none was written")
    opened = open_checkpoint(folder)
    assert opened.config is not None
    assert opened.config.num_attention_heads == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent"], "--dst: must be given"),
        (["absent", "x"], "--src=absent: "),
        ([f"{GOOGLE_TINY / 'squad.ckpt'}", "x", "--fp16", "--format=tensorflow"], "--fp16: the original's graph reads"),
        (
            [f"{GOOGLE_TINY / 'squad.ckpt'}", "x", "--format=onnx"],
            "--format: 'onnx' is not one of huggingface, tensorflow",
        ),
        ([f"{GOOGLE_TINY / 'squad.ckpt'}", f"{GOOGLE_TINY}"], "is where the model is that is to be converted"),
        ([f"{GOOGLE_TINY / 'squad.ckpt'}", "x", "y"], "'y' is not a flag"),
        ([f"{GOOGLE_TINY / 'squad.ckpt'}", "x", "--vocab_file=absent.txt"], "--vocab_file=absent.txt: no such file"),
        ([f"{GOOGLE_TINY / 'squad.ckpt'}", "file/x"], "Not a directory"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert run("convert_checkpoint", *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
