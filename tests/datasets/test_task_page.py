"""The page of the known tasks says what tasks.toml says."""

from __future__ import annotations

from pathlib import Path

from bertworks.datasets import registry
from bertworks.finetuning.flags import TAG_TASK_NAMES, TASK_NAMES
from tests.datasets.task_page import page

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.datasets.task_page > docs/tasks.md"


def test_the_page_has_every_task_in_both_tables() -> None:
    text = page()
    for task in registry.tasks():
        if not task.name.startswith("XNLI-"):
            assert text.count(f"| [{task.name}](") == text.count(f"| {task.name} | ") == 1
        assert task.settings.source in text
    assert "| not run on the real file |" in text
    # Every line of a table has as many cells as its head.
    for table in text.split("\n\n"):
        assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) <= 1


def test_the_help_names_every_task() -> None:
    of_others = {*TAG_TASK_NAMES.split(", "), "SWAG"}  # SWAG is the default of run_multiple_choice
    assert ", ".join(name for name in registry.task_names() if name not in of_others) == TASK_NAMES
    assert of_others <= set(registry.task_names())
