"""Twelve jobs of a working day in several programs: what a person types, and how long it takes.

Each program has a page beside this file, with what its documentation asks for: commands in a shell, and lines of
Python. `python -m benchmarks.daily_jobs` counts them; with --rounds it runs them too, in turns.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

# The programs, ours first, and the jobs in the order of README.md.
PROGRAMS = ("bertworks", "transformers", "sentence_transformers", "spacy", "scikit_learn")
JOBS = (
    "sort texts",
    "many labels",
    "scores",
    "tag words",
    "tag spans",
    "ask files",
    "vectors and neighbours",
    "pre-train further",
    "kill and resume",
    "two processes",
    "from transformers and back",
    "compare two models",
)


class Way(NamedTuple):
    """How a program does a job: blocks of bash or Python, in order."""

    blocks: tuple[tuple[str, str], ...]

    @property
    def commands(self) -> int:
        """The commands in a shell."""
        return sum(len(text.splitlines()) for kind, text in self.blocks if kind == "bash")

    @property
    def lines(self) -> int:
        """The lines of Python that are not blank."""
        return sum(bool(line.strip()) for kind, text in self.blocks if kind == "python" for line in text.splitlines())


def ways(program: str) -> dict[str, Way]:
    """Return how a program does each job that its page has."""
    page = (Path(__file__).parent / f"{program}.md").read_text(encoding="utf-8")
    found = {}
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        job, _, rest = part.partition("\n")
        blocks = tuple(re.findall(r"^```(bash|python)\n(.*?)^```", rest, re.MULTILINE | re.DOTALL))
        if job not in JOBS:
            raise ValueError(f"{program}.md: {job} is none of the jobs")
        if blocks:
            found[job] = Way(blocks)
    return found


def table(seconds: dict[tuple[str, str], str] | None = None) -> str:
    """Return the table of commands + lines of Python, and of seconds where they were measured."""
    by_program = {program: ways(program) for program in PROGRAMS}
    lines = [
        "| job | " + " | ".join(f"`{program.replace('_', '-')}`" for program in PROGRAMS) + " |",
        "|---|" + "---|" * len(PROGRAMS),
    ]
    for job in JOBS:
        cells = []
        for program in PROGRAMS:
            way = by_program[program].get(job)
            cell = f"{way.commands} + {way.lines}" if way else ""
            if way and seconds is not None:
                cell += f", {seconds.get((job, program), 'not measured')}"
            cells.append(cell)
        lines.append(f"| {job} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
