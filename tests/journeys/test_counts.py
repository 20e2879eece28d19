"""The counts of docs/results.md are those of the pages that are run, and our own page is as our flags are."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from benchmarks import daily_jobs
from bertworks.flags import parse

PAGE = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")


def test_the_table_is_what_the_pages_have() -> None:
    counted = daily_jobs.table().splitlines()
    written = [re.sub(r"(\d+ \+ \d+), [^|]+ \|", r"\1 |", line) for line in PAGE.splitlines()]
    assert written[written.index(counted[0]) :][: len(counted)] == counted


@pytest.mark.parametrize("job", daily_jobs.JOBS)
def test_our_commands_are_read(job: str) -> None:
    blocks = daily_jobs.ways("bertworks")[job].blocks
    lines = [shlex.split(line) for kind, text in blocks if kind == "bash" for line in text.splitlines()]
    for words in lines:
        name, *rest = words[max(words.index(word) for word in ("bert", "bertworks") if word in words) + 1 :]
        parse(importlib.import_module(f"bertworks.commands.{name}").Flags, rest, name)
    assert lines
