"""Small runs of every command, frozen: their messages, their files and their numbers. And every command's help.

A refactor leaves them as they are; a change that is meant moves them and says why.

python -m tests.commands.test_frozen_runs [NAME...]      writes all of them anew, or the runs of these names
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bertworks import __version__, cli
from tests.commands.frozen import Recorder, assert_equal
from tests.commands.runs import FIXTURES
from tests.commands.small_runs import STORIES

HELP, RUNS = FIXTURES / "help", FIXTURES / "frozen_runs"
ENVIRONMENT = {"BERTWORKS_OFFLINE": "1", "COLUMNS": "120", "RANK": "0"}


def record(story: Callable[[Recorder], None], folder: Path) -> list[dict[str, object]]:
    run = Recorder(folder)
    story(run)
    return run.records


def help_of(command: str | None) -> str:
    """The help of one screen, then all of it."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        for words in ([command, "--help"], [command, "--help=all"]) if command else (["--help"],):
            with contextlib.suppress(SystemExit):
                cli.main(words)
    return out.getvalue().replace(f"bertworks {__version__}", "bertworks {version}")


@pytest.fixture(autouse=True)
def _same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "BERTWORKS_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_run_says_and_leaves_what_it_did(story: Callable[[Recorder], None], tmp_path: Path) -> None:
    for optional in ("tensorboard", "matplotlib"):  # they draw and write files of their own
        pytest.importorskip(optional)
    found = record(story, tmp_path)
    frozen = json.loads((RUNS / f"{story.__name__}.json").read_text(encoding="utf-8"))
    assert_equal(found, frozen, story.__name__)


@pytest.mark.parametrize("command", [None, *cli.COMMANDS], ids=str)
def test_help_is_as_it_was(command: str | None) -> None:
    assert help_of(command) == (HELP / f"{command or 'bert'}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_is_one_screen(command: str) -> None:
    shown, _, _ = help_of(command).partition("Booleans:")
    assert shown.count("\n") <= 45


def test_every_command_is_frozen() -> None:
    frozen = {record["command"].split()[0] for path in RUNS.glob("*.json") for record in json.loads(path.read_text())}
    # The demo takes minutes, times are never the same, and a server does not end.
    assert frozen == set(cli.COMMANDS) - {"demo", "benchmark", "serve", "speedrun"}


def write(names: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    os.environ.update(ENVIRONMENT)
    for folder in (HELP, RUNS):
        folder.mkdir(exist_ok=True)
    for command in (None, *cli.COMMANDS):
        (HELP / f"{command or 'bert'}.txt").write_text(help_of(command), encoding="utf-8")
    for story in (one for one in STORIES if not names or one.__name__ in names):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["BERTWORKS_HOME"] = f"{folder}/home"
            found = record(story, Path(folder))
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        (RUNS / f"{story.__name__}.json").write_text(text, encoding="utf-8")
        print(story.__name__, file=sys.stderr)


if __name__ == "__main__":
    write(sys.argv[1:])
