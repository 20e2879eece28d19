"""The command table: quick to start, plain in its mistakes."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from bertworks import cli
from bertworks.flags import describe

FROZEN = Path(__file__).parent / "fixtures" / "flags.json"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from bertworks.cli import main; main(['--help']); main([]); "
        "print([m for m in ('torch', 'numpy', 'rich', 'safetensors', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_without_heavy_imports(name: str) -> None:
    code = (
        f"import sys; from bertworks.cli import main\ntry: main(['{name}', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'rich') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"bert {name}" in out
    assert out.strip().endswith("[]")


def test_flag_names_and_defaults_are_frozen() -> None:
    """Names and defaults are a promise. A deliberate change changes tests/fixtures/flags.json in the same commit."""
    now = {
        name: {
            f.name: None if f.required else f.default
            for f in describe(import_module(f"bertworks.commands.{name}").Flags).values()
        }
        for name in cli.COMMANDS
    }
    assert now == json.loads(FROZEN.read_text())


def test_mistakes_are_one_line_and_exit_code_two(capsys) -> None:
    assert cli.main(["run_pretrainin"]) == 2
    assert cli.main(["create_pretraining_data", "--nonsense=1"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "bert: run_pretrainin: no such command; did you mean run_pretraining?",
        "bert create_pretraining_data: --nonsense: no such flag",
    ]


def test_the_originals_script_names_work(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["run_pretraining.py", "--help"])
    assert stop.value.code == 0


def test_version(capsys) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bertworks ")


def test_a_message_cannot_steer_the_terminal(capsys) -> None:
    assert cli.main(["evaluate_squad", "\x1b]0;title\x07.json", "other.json"]) == 2
    error = capsys.readouterr().err
    assert "?]0;title?.json" in error
    assert "\x1b" not in error
