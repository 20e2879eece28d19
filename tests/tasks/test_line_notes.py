"""Lines that are read as texts and may be meant as rows, or as words with tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertworks.tasks.line_notes import about_lines

ROWS = "lines have a tab, and each line is read as a text; rename it to .tsv to read columns"
WORDS = (
    "a.txt: its lines look like words with tags (CoNLL), and each is read as a text; to tag whole sentences: "
    "bert run_ner --do_predict --test_file=a.txt"
)


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        (["text\tteam", "The lift is out.\tlifts"], f"a.txt: 2 of its first 2 {ROWS}"),
        (["text\tteam", *4 * ["a\tb"], '"one line', 'another"\tb'], f"a.txt: 6 of its first 7 {ROWS}"),
        (["text\tteam", "The lift is out."], ""),
        (["one\ttab"], ""),
        (["Marta B-PER", "sails O"], WORDS),
        (["# a comment", "Marta\tB-PER", "sails\tO"], WORDS),
        (["Marta NNP B-NP I-PER", "sails VBZ B-VP O"], WORDS),
        (["Marta sails B-PER", "sails O"], ""),  # not a column each
        (["plan O", "plan B"], ""),  # no type
        (["O", "B-PER"], ""),
        (["# one", "# two"], ""),
        ([], ""),
    ],
)
def test_lines_that_look_like_something_else_are_told(lines: list[str], note: str) -> None:
    assert about_lines(Path("a.txt"), lines) == note
