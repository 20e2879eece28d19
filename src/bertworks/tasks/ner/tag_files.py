"""Sentences with tags, and files that have a word (or a character of Chinese text) a line, its tag in another column.

An empty line ends a sentence; lines with -DOCSTART- separate the documents of CoNLL-2003. Other files of tagged text:
`annotated_texts`, `token_lists`, `tag_records`.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from bertworks import files
from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.ner.entities import in_scheme, scheme_of
from bertworks.tasks.ner.tag_forms import PREFIXED, TagForm

_Record = TypeVar("_Record")
_Row = TypeVar("_Row")

_DOCUMENT = b"-DOCSTART-"
_BLANKS = re.compile(" +")

# The numbers of tokens that CoNLL-U has twice: of several words in one ("3-4"), and of words left out ("3.1").
_EXTRA_NUMBER = re.compile("[0-9]+[-.][0-9]+")


class TaggedRow(NamedTuple):
    """A sentence as words (or characters of Chinese text), and a tag for each of them.

    Attributes:
        location: where the row is ("dev.txt, line 17"), for messages.
        id: of the sentence.
        words: of the sentence.
        tags: of the words; None in a file without tags.
        text: what the words are of; None if the file has only words.
        places: begin and end of each word in the text, in characters.
    """

    location: str
    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    text: str | None = None
    places: tuple[tuple[int, int], ...] = ()


class FileLine(NamedTuple):
    """A line of a file; lines count from 1."""

    location: str
    content: bytes

    @property
    def text(self) -> str:
        """The line as text. Raises InputError if it is not UTF-8."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            raise InputError(
                f"{self.location}: is not UTF-8; convert the file (iconv -f GB18030 or -f CP1252, -t UTF-8)"
            ) from None


@dataclass(frozen=True)
class ColumnLayout:
    """Where a column file has what. Columns count from 0; -1 is the last.

    Attributes:
        word: the column of the words.
        tag: that of the tags; None if none are to be read.
        count: how many columns there are; None is as many as the first line has. With one column there are no tags.
        separator: a comma, a semicolon or a tab; None is tabs in a line that has tabs, else blanks.
        header: the first line, if it has the names of the columns.
        sentence: the column that says, with a value, that a sentence begins.
        numbers: the column that counts the words of each sentence.
        has_comments: whether lines before a sentence that begin with # and do not fit are comments.
        form: of the tags.
    """

    word: int = 0
    tag: int | None = -1
    count: int | None = None
    separator: str | None = None
    header: tuple[str, ...] = ()
    sentence: int | None = None
    numbers: int | None = None
    has_comments: bool = False
    form: TagForm = PREFIXED

    def split(self, text: str) -> list[str]:
        """Split a line into its columns."""
        if self.separator in (",", ";"):
            return next(csv.reader([text], delimiter=self.separator), [""])
        return text.split("\t") if self.separator or "\t" in text else _BLANKS.split(text)

    def is_comment(self, line: FileLine) -> bool:
        """Tell whether a line before a sentence is a comment: # and other columns, or # alone and no tag."""
        if not line.content.startswith(b"#"):
            return False
        columns = self.split(line.content.decode(errors="replace"))
        if len(columns) != self.count or (self.numbers is not None and columns[self.numbers] == "#"):
            return True
        if columns[0] != "#" or self.tag is None or len(columns) == 1:
            return False
        try:
            self.form.read(columns[self.tag])
        except InputError:
            return True
        return False

    def sentences(self, path: Path) -> Iterator[list[FileLine]]:
        """Read the lines of each sentence of a file."""
        found: list[FileLine] = []
        is_header, before = bool(self.header), ""
        for line in file_lines(path):
            is_empty = not (line.content.strip(b",; ") if self.separator in (",", ";") else line.content)
            if is_empty or line.content.startswith(_DOCUMENT):
                if found:
                    yield found
                found = []
            elif self.has_comments and not found and self.is_comment(line):
                continue
            elif is_header:
                is_header = False
            else:
                if self.sentence is not None:
                    columns = self.split(line.content.decode(errors="replace"))
                    named = columns[self.sentence].strip() if self.sentence < len(columns) else ""
                    if named not in ("", before) and found:
                        yield found
                        found = []
                    before = named or before
                found.append(line)
        if found:
            yield found


def read_columns(path: Path, bad: BadRows, layout: ColumnLayout | None = None) -> Iterator[TaggedRow]:
    """Read the sentences of a column file. A word may be empty or a blank.

    Args:
        path: the file.
        bad: gets the sentences that have a bad line.
        layout: of the file; None is the word in the first column and the tag in the last.

    Raises:
        InputError: with the file and the line: not UTF-8, not as many columns as the first line, or no tag of a known
            scheme; or no sentence can be used.
    """
    layout = layout or ColumnLayout()
    count = layout.count or 0

    def parse(number: int, lines: Sequence[FileLine]) -> TaggedRow:
        nonlocal count
        words, found = [], []
        for line in lines:
            columns = layout.split(line.text)
            count = count or len(columns)
            if len(columns) != count:
                raise InputError(f"{line.location}: has {len(columns)} columns, the first line of the file {count}")
            if layout.numbers is not None and _EXTRA_NUMBER.fullmatch(columns[layout.numbers]):
                continue
            words.append(columns[layout.word])
            if count > 1 and layout.tag is not None:
                try:
                    found.append(layout.form.read(columns[layout.tag]))
                except InputError as problem:
                    raise InputError(f"{line.location}: {problem}") from None
        has_tags = count > 1 and layout.tag is not None
        return TaggedRow(lines[0].location, str(number), tuple(words), tuple(found) if has_tags else None)

    return usable(path, layout.sentences(path), parse, bad)


def with_tags(split: str, rows: Iterable[TaggedRow]) -> list[TaggedRow]:
    """Return the rows, which must have tags unless they are to be predicted.

    Raises:
        InputError: one has none.
    """
    found = list(rows)
    if split != "test" and (bare := next((row for row in found if row.tags is None), None)):
        raise InputError(f"{bare.location}: has no tags; a {split} file has one for each word")
    return found


def in_labels(rows: Iterable[TaggedRow], labels: Sequence[str], bad: BadRows) -> Iterator[TaggedRow]:
    """Convert the tags of sentences, of any scheme, to the scheme of a model's labels.

    Args:
        rows: those without tags stay as they are.
        labels: the model's.
        bad: gets the sentences with a tag that is not among the labels.

    Raises:
        InputError: for such a sentence, if `bad` does not skip it; names the tag and the nearest label.
    """
    scheme, known = scheme_of([labels]), set(labels)
    for row in rows:
        if row.tags is None:
            yield row
            continue
        found = in_scheme(row.tags, scheme)
        unknown = next((i for i, tag in enumerate(found) if tag not in known), None)
        if unknown is None:
            yield row._replace(tags=found)
            continue
        tag, word = row.tags[unknown], row.words[unknown]
        near = difflib.get_close_matches(found[unknown], labels, 1, 0.6)
        hint = f"did you mean {near[0]}?" if near else f"known are {listed(labels)}"
        bad.found(f"{row.location}: the tag {tag:.60} of {word!r:.60} is not among those trained on; {hint}")


def usable(
    path: Path, records: Iterable[_Record], parse: Callable[[int, _Record], _Row | None], bad: BadRows
) -> Iterator[_Row]:
    """Yield what `parse` makes of each record of a file and its number.

    Args:
        parse: raises InputError for a bad record, which goes to `bad`; returns None for one that is left out.

    Raises:
        InputError: there is no record, or none can be used.
    """
    number, used = -1, 0
    for number, record in enumerate(records):
        try:
            row = parse(number, record)
        except InputError as problem:
            bad.found(str(problem))
            continue
        if row is not None:
            used += 1
            yield row
    if number < 0:
        raise InputError(f"{path}: has no sentences")
    if not used:
        raise bad.nothing_left(path)


def file_lines(path: Path) -> Iterator[FileLine]:
    """Read the lines of a file without a byte order mark, and without white space at their ends."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            content = line.removeprefix(files.BYTE_ORDER_MARK) if number == 1 else line
            yield FileLine(f"{path}, line {number}", content.rstrip(b" \t\r\n"))
