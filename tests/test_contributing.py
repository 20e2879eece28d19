"""The example of CONTRIBUTING.md: a task in one folder and one command, as it stands there."""

import re
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path

import pytest

from bertworks import cli

HERE = Path(__file__).parent
FIXTURES = HERE / "fixtures"
MODEL = [
    f"--vocab_file={FIXTURES / 'vocab.txt'}",
    f"--bert_config_file={FIXTURES / 'google_tiny' / 'bert_config.json'}",
    f"--init_checkpoint={FIXTURES / 'google_tiny' / 'trained.ckpt'}",
]


def test_the_example_of_a_new_task_runs(tmp_path: Path, monkeypatch, capsys) -> None:
    text = (HERE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n# src/(\S+)\.py\n(.*?)```", text, re.DOTALL)
    assert [path for path, _ in blocks] == ["bertworks/tasks/questions", "bertworks/commands/run_questions"]
    for path, code in blocks:
        module = module_from_spec(ModuleSpec(path.replace("/", "."), None))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(code, path, "exec"), vars(module))
    monkeypatch.setitem(cli.COMMANDS, "run_questions", "Tell questions from statements")
    sentences = ["Is the market open?", "The market is open.", "Who was the king?", "He was the king."]
    (tmp_path / "sentences.txt").write_text("\n".join(sentences * 4) + "\n")
    command = ["run_questions", f"--text_file={tmp_path / 'sentences.txt'}", *MODEL, f"--output_dir={tmp_path / 'out'}"]
    training = ["--do_train", "--do_eval", "--max_seq_length=16", "--train_batch_size=4", "--precision=fp32"]
    assert cli.main([*command, *training]) == 0
    assert "eval_accuracy" in capsys.readouterr().out
    assert (tmp_path / "out" / "model.safetensors").exists()
    with pytest.raises(SystemExit):
        cli.main(["run_questions", "--help"])
    assert "--text_file STR" in capsys.readouterr().out
