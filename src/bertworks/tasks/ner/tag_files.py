"""Files of tagged text: columns, as CoNLL-2003, MSRA and ChineseNER have them, and CLUENER's JSON lines.

A column file has a word (or a character of Chinese text) a line, its tag in the last column, and an empty line after
each sentence; lines with -DOCSTART- stand between the documents of CoNLL-2003. A line of CLUENER is

    {"text": "...", "label": {type: {mention: [[first character, last character], ...]}}}

with both characters part of the mention.
"""

from __future__ import annotations

import difflib
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bertworks import files
from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.ner.entities import BIO, Scheme, Span, in_scheme, recognise, split_tag, tags, without_overlaps
from bertworks.tasks.rows import TaggedRow, is_blank

_Record = TypeVar("_Record")

_DOCUMENT = b"-DOCSTART-"
_BLANKS = re.compile(" +")


class _Line(NamedTuple):
    """A line of a file; lines count from 1."""

    place: str
    content: bytes

    @property
    def text(self) -> str:
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            raise InputError(f"{self.place}: is not UTF-8; convert the file (iconv -f GB18030 -t UTF-8)") from None


def read_columns(path: Path, bad: BadRows) -> Iterator[TaggedRow]:
    """The sentences of a column file.

    Columns are separated by tabs where a line has one, else by blanks. The word is in the first, the tag in the last;
    with one column there are no tags. A word may be empty or a blank.

    Args:
        path: the file.
        bad: gets the sentences that have a bad line.

    Raises:
        InputError: with the file and the line: not UTF-8, not as many columns as the first line, or no tag of a known
            scheme; or no sentence can be used.
    """
    count = 0

    def parse(number: int, lines: Sequence[_Line]) -> TaggedRow:
        nonlocal count
        words, found = [], []
        for line in lines:
            columns = line.text.split("\t") if b"\t" in line.content else _BLANKS.split(line.text)
            count = count or len(columns)
            if len(columns) != count:
                raise InputError(f"{line.place}: has {len(columns)} columns, the first line of the file {count}")
            words.append(columns[0])
            if count > 1:
                found.append(columns[-1])
                try:
                    split_tag(columns[-1])
                except InputError as problem:
                    raise InputError(f"{line.place}: {problem}") from None
        return TaggedRow(lines[0].place, str(number), tuple(words), tuple(found) if count > 1 else None)

    return _rows(path, _blocks(path), parse, bad)


def read_cluener(path: Path, bad: BadRows, scheme: Scheme = BIO) -> Iterator[TaggedRow]:
    """The sentences of a file of CLUENER: the words are the characters of the text, white space among them.

    Args:
        path: the file; lines without "label" (a test file's) have no tags, and without "id" their number from 0 on.
        bad: gets the bad lines; and a remark for each mention that is dropped because it overlaps a longer one.
        scheme: of the tags.

    Raises:
        InputError: with the file and the line: not UTF-8, not JSON, no text, an id that another line has, or a mention
            that is not what the text has at its place; or no line can be used.
    """
    places: dict[str, str] = {}

    def parse(number: int, line: _Line) -> TaggedRow:
        record = _parsed(line)
        text, labels = record.get("text"), record.get("label")
        if not isinstance(text, str) or is_blank(text):
            raise InputError(f'{line.place}: has no "text"')
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(f"{line.place}: half of a surrogate pair in the text")
        row = TaggedRow(line.place, str(record.get("id", number)), tuple(text), None)
        kept, dropped = without_overlaps([] if labels is None else _spans(line, text, labels))
        if "id" in record and (first := places.setdefault(row.id, line.place)) != line.place:
            raise InputError(f"{line.place}: the id {row.id!r:.60} is that of {first} too; give each sentence its own")
        for kind, begin, end in dropped:
            bad.remarks.append(f"{line.place}: {kind} {text[begin:end]!r} overlaps another mention and is not used")
        return row if labels is None else row._replace(tags=tags(kept, len(text), scheme))

    return _rows(path, _filled(path), parse, bad)


def in_labels(rows: Iterable[TaggedRow], labels: Sequence[str], bad: BadRows) -> Iterator[TaggedRow]:
    """Sentences with their tags in the scheme of a model's labels, whatever scheme they were in.

    Args:
        rows: those without tags stay as they are.
        labels: the model's.
        bad: gets the sentences with a tag that is none of the labels.

    Raises:
        InputError: for such a sentence, if `bad` says so; names the tag and the nearest label.
    """
    scheme, known = recognise([labels]), set(labels)
    for row in rows:
        if row.tags is None:
            yield row
            continue
        found = in_scheme(row.tags, scheme)
        strange = next((at for at, tag in enumerate(found) if tag not in known), None)
        if strange is None:
            yield row._replace(tags=found)
            continue
        tag, word = row.tags[strange], row.words[strange]
        near = difflib.get_close_matches(found[strange], labels, 1, 0.6)
        hint = f"did you mean {near[0]}?" if near else f"known are {listed(labels)}"
        bad.found(f"{row.place}: the tag {tag:.60} of {word!r:.60} is not among those trained on; {hint}")


def mentions(text: str, spans: Iterable[Span]) -> dict[str, dict[str, list[list[int]]]]:
    """The spans of a text in characters, as a line of CLUENER has them."""
    found: dict[str, dict[str, list[list[int]]]] = {}
    for kind, begin, end in spans:
        found.setdefault(kind, {}).setdefault(text[begin:end], []).append([begin, end - 1])
    return found


def write_cluener(path: Path, answers: Iterable[tuple[str, str, Iterable[Span]]]) -> None:
    """Write predictions as CLUENER takes them, from the id, the text and the spans of each sentence."""
    with files.written_whole(path) as stream:
        for name, text, spans in answers:
            line = {"id": int(name) if name.isdecimal() else name, "label": mentions(text, spans)}
            stream.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode())


def write_columns(path: Path, sentences: Iterable[Iterable[Sequence[str]]]) -> None:
    """Write sentences of lines of columns with blanks between, as conlleval reads them (word, gold tag, predicted tag).

    White space inside of a word is left out; "_" is written for a word of nothing else.
    """
    with files.written_whole(path) as stream:
        for sentence in sentences:
            lines = [" ".join("".join(column.split()) or "_" for column in columns) for columns in sentence]
            stream.write("\n".join([*lines, "", ""]).encode())


def _rows(
    path: Path,
    records: Iterable[_Record],
    parse: Callable[[int, _Record], TaggedRow],
    bad: BadRows,
) -> Iterator[TaggedRow]:
    """What `parse` makes of the number and the record of each sentence."""
    number, used = -1, 0
    for number, record in enumerate(records):
        try:
            row = parse(number, record)
        except InputError as problem:
            bad.found(str(problem))
            continue
        used += 1
        yield row
    if number < 0:
        raise InputError(f"{path}: has no sentences")
    if not used:
        raise bad.nothing_left(path)


def _lines(path: Path) -> Iterator[_Line]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            content = line.removeprefix(files.BYTE_ORDER_MARK) if number == 1 else line
            yield _Line(f"{path}, line {number}", content.rstrip(b" \t\r\n"))


def _filled(path: Path) -> Iterator[_Line]:
    """The lines that are not empty."""
    return (line for line in _lines(path) if line.content)


def _blocks(path: Path) -> Iterator[list[_Line]]:
    """The lines between empty lines and those of documents."""
    block: list[_Line] = []
    for line in _lines(path):
        if line.content and not line.content.startswith(_DOCUMENT):
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _parsed(line: _Line) -> Mapping[str, Any]:
    """The JSON object of a line."""
    text = line.text
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{line.place}: is not JSON ({problem})") from None
    if not isinstance(record, dict):
        raise InputError(f"{line.place}: is no JSON object with a text and its labels")
    return record


def _spans(line: _Line, text: str, labels: object) -> list[Span]:
    """The spans of a line's labels, each once, in their order."""
    try:
        found = [
            (kind, mention, operator.index(first), operator.index(last))
            for kind, by_mention in labels.items()  # type: ignore[attr-defined]
            for mention, places in by_mention.items()
            for first, last in places
        ]
    except (AttributeError, TypeError, ValueError):
        raise InputError(f'{line.place}: "label" is not {{type: {{mention: [[first, last], ...]}}}}') from None
    for kind, mention, first, last in found:
        there = text[max(0, first) : last + 1]
        if not 0 <= first <= last < len(text) or there != mention:
            place = f"is said to be at {first} to {last}, where the text has {there[:40]!r}"
            raise InputError(f"{line.place}: {kind} {mention[:40]!r} {place}")
    return list(dict.fromkeys(Span(kind, first, last + 1) for kind, _, first, last in found))
