"""Files to be predicted that are running text, a text a line, and not a word a line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bertworks.data.bad_rows import BadRows
from bertworks.tasks.ner.annotated_texts import AnnotatedText
from bertworks.tasks.ner.tag_files import FileLine, file_lines, usable
from bertworks.tasks.ner.words import TagUnit

# The lines that tell what a file is.
_LOOKED_AT = 200

# Files with blanks between their columns have at most so many (CoNLL-2003).
_MOST_COLUMNS = 4
_FEW = 2


def is_running_text(path: Path, unit: TagUnit | None) -> bool:
    """Tell whether the lines of a file are texts.

    They are if their numbers of words differ, and no line has a tab; or if there are one or two, with more words than a
    file of columns has of these; or, for a model of characters, if most are longer than a character and have no blank.
    """
    if path.suffix.lower() in (".csv", ".tsv"):
        return False
    lines = [line.content.decode(errors="replace") for line in islice(file_lines(path), _LOOKED_AT) if line.content]
    if not lines or any("\t" in line or line.startswith(("#", "-DOCSTART-")) for line in lines):
        return False
    words = [len(line.split()) for line in lines]
    usual = max(map(words.count, set(words)))
    longer = sum(len(line.strip()) > 1 for line in lines)
    few = len(lines) <= _FEW and min(words) > _MOST_COLUMNS
    return few or usual < 0.9 * len(lines) or (unit == "character" and max(words) == 1 and 2 * longer > len(lines))


def read_plain(path: Path, bad: BadRows) -> Iterator[AnnotatedText]:
    """Read the lines of a file; the id of each is its number from 0.

    Raises:
        InputError: with the file and the line: not UTF-8; or there is no line.
    """

    def parse(number: int, line: FileLine) -> AnnotatedText:
        return AnnotatedText(line.location, str(number), line.text, None)

    return usable(path, (line for line in file_lines(path) if line.content), parse, bad)
