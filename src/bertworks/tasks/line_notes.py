"""What lines that are read as texts look like, where they may be meant as something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bertworks.errors import InputError
from bertworks.tasks.ner.entities import split_tag
from bertworks.tasks.ner.tag_files import ColumnLayout

# One line may look like anything by chance.
_FEWEST = 2

_MOST_LINES = 0.8


def about_lines(path: Path, lines: Sequence[str]) -> str:
    """Return a line for a person about the first lines of a file; empty if they look like texts.

    Lines that nearly all have a tab may be rows of a table: not all, as a field in quotation marks may have line ends.
    Words with tags behind them are a file of `bert run_ner`.
    """
    if len(lines) < _FEWEST:
        return ""
    if _are_tagged_words(lines):
        return (
            f"{path}: its lines look like words with tags (CoNLL), and each is read as a text; to tag whole sentences: "
            f"bert run_ner --do_predict --test_file={path}"
        )
    tabs = sum("\t" in line for line in lines)
    if tabs >= _MOST_LINES * len(lines):
        return (
            f"{path}: {tabs} of its first {len(lines)} lines have a tab, and each line is read as a text; rename it to "
            ".tsv to read columns"
        )
    return ""


def _are_tagged_words(lines: Sequence[str]) -> bool:
    rows = [ColumnLayout().split(line) for line in lines if not line.startswith("#")]
    if len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return False
    try:
        types = [split_tag(row[-1])[1] for row in rows]
    except InputError:
        return False
    return any(types)
