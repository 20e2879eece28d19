"""Files of tagged text: columns (CoNLL-2003, MSRA, ChineseNER), CLUENER's JSON lines, and the original's record files.

A column file has a word (or a character of Chinese text) a line, its tag in the last column, and an empty line after
each sentence; lines with -DOCSTART- separate the documents of CoNLL-2003. A line of CLUENER is

    {"text": "...", "label": {type: {mention: [[first character, last character], ...]}}}

where both characters belong to the mention.
"""

from __future__ import annotations

import difflib
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bertworks import files
from bertworks.data.bad_rows import BadRows
from bertworks.data.labelled_records import read_labelled_records
from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.ner.entities import (
    BIO,
    EntitySpan,
    Scheme,
    in_scheme,
    scheme_of,
    split_tag,
    tags,
    without_overlaps,
)
from bertworks.tasks.texts import is_blank
from bertworks.text.tokenizer import Tokenizer

_Record = TypeVar("_Record")

_DOCUMENT = b"-DOCSTART-"
_BLANKS = re.compile(" +")


class TaggedRow(NamedTuple):
    """A sentence as words (or characters of Chinese text), and a tag for each of them.

    `location` is where the row is ("dev.txt, line 17"), for messages. `tags` is None in a file without tags.
    """

    location: str
    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None


class _Line(NamedTuple):
    """A line of a file; lines count from 1."""

    location: str
    content: bytes

    @property
    def text(self) -> str:
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            raise InputError(f"{self.location}: is not UTF-8; convert the file (iconv -f GB18030 -t UTF-8)") from None


def read_columns(path: Path, bad: BadRows) -> Iterator[TaggedRow]:
    """Read the sentences of a column file.

    Columns are separated by tabs in a line that has tabs, else by blanks. The word is in the first, the tag in the
    last; with one column there are no tags. A word may be empty or a blank.

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
                raise InputError(f"{line.location}: has {len(columns)} columns, the first line of the file {count}")
            words.append(columns[0])
            if count > 1:
                found.append(columns[-1])
                try:
                    split_tag(columns[-1])
                except InputError as problem:
                    raise InputError(f"{line.location}: {problem}") from None
        return TaggedRow(lines[0].location, str(number), tuple(words), tuple(found) if count > 1 else None)

    def in_sentence(line: _Line) -> bool:
        return bool(line.content) and not line.content.startswith(_DOCUMENT)

    sentences = (list(lines) for inside, lines in groupby(_lines(path), in_sentence) if inside)
    return _rows(path, sentences, parse, bad)


def read_cluener(path: Path, bad: BadRows, scheme: Scheme = BIO) -> Iterator[TaggedRow]:
    """Read the sentences of a CLUENER file; the words are the characters of the text, with white space.

    Args:
        path: the file. Lines without "label" (a test file's) have no tags; without "id" the id is the number from 0.
        bad: gets the bad lines, and a remark for each mention that is dropped because it overlaps a longer one.
        scheme: of the tags.

    Raises:
        InputError: with the file and the line: not UTF-8, not JSON, no text, an id of another line, or a mention that
            differs from the text at its position; or no line can be used.
    """
    locations: dict[str, str] = {}

    def parse(number: int, line: _Line) -> TaggedRow:
        record = _parsed(line)
        text, labels = record.get("text"), record.get("label")
        if not isinstance(text, str) or is_blank(text):
            raise InputError(f'{line.location}: has no "text"')
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(f"{line.location}: half of a surrogate pair in the text")
        name = str(record.get("id", number))
        kept, dropped = without_overlaps([] if labels is None else _spans(line, text, labels))
        if "id" in record and (first := locations.setdefault(name, line.location)) != line.location:
            raise InputError(f"{line.location}: the id {name!r:.60} is that of {first} too; give each sentence its own")
        for kind, begin, end in dropped:
            bad.remarks.append(f"{line.location}: {kind} {text[begin:end]!r} overlaps another mention and is not used")
        return TaggedRow(line.location, name, tuple(text), None if labels is None else tags(kept, len(text), scheme))

    return _rows(path, (line for line in _lines(path) if line.content), parse, bad)


def rows_of_records(
    paths: Sequence[Path], labels: Sequence[str], tokenizer: Tokenizer, max_seq_length: int, *, with_tags: bool
) -> list[TaggedRow]:
    """Read the sentences of record files (`data.labelled_records`); their words are pieces of the vocabulary.

    Args:
        paths: the files.
        labels: the names of the tags, by number.
        tokenizer: over the vocabulary that the files were made with.
        max_seq_length: the most tokens that a sentence may have.
        with_tags: false for a test file, whose tags mean nothing.

    Raises:
        InputError: with the file and the record: damaged, another vocabulary or other tags, pairs, or no tags.
    """
    classes = len(labels) if with_tags else None
    records = read_labelled_records(paths, vocab_size=tokenizer.vocab_size, classes=classes)
    sequences = records.sequences
    if not records.has_tags:
        raise InputError(f"{paths[0]}: has one label for each text; use bert run_classifier")
    rows = []
    for i, (begin, end) in enumerate(pairwise(sequences.starts.tolist())):
        ids, location = sequences.ids[begin:end].tolist(), f"{paths[0]}: record {i}"
        if len(ids) > max_seq_length:
            raise InputError(f"{location} has {len(ids)} tokens; give --max_seq_length={len(ids)}")
        if sequences.first[i] < len(ids) or (ids[0], ids[-1]) != (tokenizer.cls_id, tokenizer.sep_id):
            raise InputError(
                f"{location} is not [CLS], one text, [SEP]; give the vocabulary that the file was made with "
                "(--vocab_file)"
            )
        names = tuple(labels[tag] for tag in records.labels[begin + 1 : end - 1].tolist()) if with_tags else None
        rows.append(TaggedRow(location, str(i), tuple(tokenizer.tokens[piece] for piece in ids[1:-1]), names))
    return rows


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


def mentions(text: str, spans: Iterable[EntitySpan]) -> dict[str, dict[str, list[list[int]]]]:
    """Return the spans of a text in characters, as a line of CLUENER has them."""
    found: dict[str, dict[str, list[list[int]]]] = {}
    for kind, begin, end in spans:
        found.setdefault(kind, {}).setdefault(text[begin:end], []).append([begin, end - 1])
    return found


def write_cluener(path: Path, answers: Iterable[tuple[str, str, Iterable[EntitySpan]]]) -> None:
    """Write predictions in CLUENER's format, from the id, the text and the spans of each sentence."""
    with files.written_whole(path) as stream:
        for name, text, spans in answers:
            line = {"id": int(name) if name.isdecimal() else name, "label": mentions(text, spans)}
            stream.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode())


def write_columns(path: Path, sentences: Iterable[Iterable[Sequence[str]]]) -> None:
    """Write the lines of sentences, their columns separated by blanks, as conlleval reads them.

    White space in a word is left out; a word of white space alone is written as "_".
    """
    with files.written_whole(path) as stream:
        for sentence in sentences:
            lines = [" ".join("".join(column.split()) or "_" for column in columns) for columns in sentence]
            stream.write("\n".join([*lines, "", ""]).encode())


def _rows(
    path: Path, records: Iterable[_Record], parse: Callable[[int, _Record], TaggedRow], bad: BadRows
) -> Iterator[TaggedRow]:
    """Yield the row of each sentence, which `parse` makes of its number and its record; `bad` gets the bad ones."""
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


def _parsed(line: _Line) -> Mapping[str, Any]:
    """The JSON object of a line."""
    text = line.text
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{line.location}: is not JSON ({problem})") from None
    if not isinstance(record, dict):
        raise InputError(f"{line.location}: is no JSON object with a text and its labels")
    return record


def _spans(line: _Line, text: str, labels: object) -> list[EntitySpan]:
    """The spans of a line's labels, each once, in their order."""
    try:
        found = [
            (kind, mention, operator.index(first), operator.index(last))
            for kind, by_mention in labels.items()  # type: ignore[attr-defined]
            for mention, positions in by_mention.items()
            for first, last in positions
        ]
    except (AttributeError, TypeError, ValueError):
        raise InputError(f'{line.location}: "label" is not {{type: {{mention: [[first, last], ...]}}}}') from None
    for kind, mention, first, last in found:
        there = text[max(0, first) : last + 1]
        if not 0 <= first <= last < len(text) or there != mention:
            position = f"is said to be at {first} to {last}, where the text has {there[:40]!r}"
            raise InputError(f"{line.location}: {kind} {mention[:40]!r} {position}")
    return list(dict.fromkeys(EntitySpan(kind, first, last + 1) for kind, _, first, last in found))
