"""What holds for the source as a whole: names, sizes, and what lies where."""

import ast
from collections import Counter
from pathlib import Path

import bertworks
from bertworks import cli

SOURCE = Path(bertworks.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES = 300


def test_no_public_class_name_is_defined_twice() -> None:
    """Every command has its own `Flags`; every other name means one thing."""
    names = Counter(
        node.name
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name != "Flags"
    )
    assert {name: count for name, count in names.items() if count > 1} == {}


def test_no_file_is_too_long_to_read() -> None:
    pages = [path for ending in ("html", "css", "js") for path in SOURCE.rglob(f"*.{ending}")]
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in [*FILES, *pages]}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_every_module_of_commands_is_a_command() -> None:
    assert {path.stem for path in (SOURCE / "commands").glob("*.py")} - {"__init__"} == set(cli.COMMANDS)


def test_flags_are_never_changed() -> None:
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not any(isinstance(name, ast.Name) and name.id == "setattr" for name in calls), path
