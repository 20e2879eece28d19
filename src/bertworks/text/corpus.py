"""Reading a corpus as a stream: files -> blocks of text -> documents -> sentences.

The text has the original's format: one sentence on each line and a blank line between documents. (A line is blank if
`str.strip()` leaves nothing.) Or it is JSON lines, and each line is one document, whose text may have blank lines. Both
may be compressed. Blocks are fixed amounts of input, cut only between documents, and the unit of parallel work. Python
handles no line separately: borders are found in the bytes at the speed of C. Memory holds a few blocks, whatever the
size of a file.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bertworks.errors import InputError
from bertworks.files import BYTE_ORDER_MARK
from bertworks.text.text_files import content, opened

# About a million tokens of English. Longer documents are cut, so that blocks have a maximum size.
MAX_DOCUMENT_BYTES = 4_000_000
MAX_LINE_BYTES = 256_000_000
READ_BYTES = 1 << 20

# A line that str.strip() empties, in UTF-8: only code points for which str.isspace() holds.
_BLANK_LINE = re.compile(
    rb"\n(?:[\t\x0b-\r\x1c-\x1f ]+|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f"
    rb"|\xe3\x80\x80)++(?=\n)"
)
_NEWLINES = re.compile(rb"\n*")
_MANY_NEWLINES = re.compile(rb"\n\n\n+")
_BLANK_LINES = re.compile(rb"\n\n+")


@dataclass(frozen=True)
class TextBlock:
    """A run of whole documents.

    Attributes:
        text: UTF-8. Each line ends with a newline. One empty line is between documents, none before or after them.
        source: the location of its first line, for messages: `file.txt, line 123`.
        file_bytes: about how many bytes of the files were read since the block before, for a progress bar.
        messages: changes to the text that its owner should know about, a line each.
        guesses: what files that begin here are taken for, a line each.
    """

    text: bytes
    source: str
    file_bytes: int
    messages: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()


def blocks(
    paths: Sequence[Path], block_bytes: int, *, text_field: str = "text", max_document_bytes: int = MAX_DOCUMENT_BYTES
) -> Iterator[TextBlock]:
    """Cut files into blocks. Each block ends with the first document that brings it to `block_bytes` bytes.

    Small files share a block, and the end of a file ends a document. A document longer than `max_document_bytes` is cut
    after the line that reaches this size, with a message. So a block has at most block_bytes + max_document_bytes + one
    line.

    Args:
        paths: `.jsonl`, `.json` and `.ndjson` files have a JSON object on each line. So has any other file whose first
            line is such an object; the rest is plain text. `.gz`, `.bz2` or `.xz` may follow.
        block_bytes: the amount of text in a block.
        text_field: the field of a JSON line that holds the document's text.

    Raises:
        InputError: a file cannot be read or is no text, an archive is damaged, UTF-8 or JSON is invalid, or a field is
            missing.
    """
    pieces = (piece for path in paths for piece in _read(Path(path), text_field))
    gathered = _Gathered()
    for piece in _shorter_documents(pieces, max_document_bytes):
        gathered.add(piece)
        while (border := gathered.text.find(b"\n\n", max(block_bytes - 2, 0))) >= 0:
            if block := gathered.take(border + 2):
                yield block
    if block := gathered.take(len(gathered.text)):
        yield block


@dataclass(frozen=True)
class _Piece:
    """Whole lines of a file, with blank lines empty. Each is `step` lines of the file (0 for text in a JSON line)."""

    text: bytes
    path: Path
    line: int
    step: int = 1
    file_bytes: int = 0
    message: str = ""
    guess: str = ""
    ends_file: bool = False

    def cut(self, offset: int) -> tuple[_Piece, _Piece]:
        """Split into the text before a line that begins at `offset`, and the rest."""
        line = self.line + self.step * self.text.count(b"\n", 0, offset)
        head = _Piece(self.text[:offset], self.path, self.line, self.step, self.file_bytes, guess=self.guess)
        return head, _Piece(self.text[offset:], self.path, line, self.step)


class _Mark(NamedTuple):
    """The file and line of the text from `offset` on."""

    offset: int
    path: Path
    line: int
    step: int


class _Gathered:
    """The text that will become the next block, with marks of the files and lines of its parts."""

    def __init__(self) -> None:
        self.text = bytearray()
        self._marks: list[_Mark] = []
        self._messages: list[str] = []
        self._guesses: list[str] = []
        self._file_bytes = 0

    def add(self, piece: _Piece) -> None:
        """Append a piece. The end of a file adds nothing after a blank line, which most files end with."""
        if piece.ends_file and (not self.text or self.text.endswith(b"\n\n")):
            return
        self._marks.append(_Mark(len(self.text), piece.path, piece.line, piece.step))
        self.text += piece.text
        self._file_bytes += piece.file_bytes
        if piece.message:
            self._messages.append(piece.message)
        if piece.guess:
            self._guesses.append(piece.guess)

    def take(self, end: int) -> TextBlock | None:
        """Remove the first `end` bytes and return them as a block, unless all are newlines."""
        begin = _leading_newlines(self.text)
        block = None
        if begin < end:
            text = self._between(begin, end)
            start = self._mark(begin)
            source = f"{start.path}, line {start.line}"
            said = tuple(self._messages), tuple(self._guesses)
            block = TextBlock(text, source, self._file_bytes, *said)
            self._file_bytes = 0
            self._messages.clear()
            self._guesses.clear()
        if end:
            later = [mark for mark in self._marks if mark.offset > end]
            self._marks = [mark._replace(offset=mark.offset - end) for mark in (self._mark(end), *later)]
        del self.text[:end]
        return block

    def _between(self, begin: int, end: int) -> bytes:
        """Return the documents in a part of the text. The usual case makes only one copy, because copies are slow."""
        with memoryview(self.text) as view:
            text = bytes(view[begin : end - self.text.endswith(b"\n\n", begin, end)])
        if b"\n\n\n" in text or text.endswith(b"\n\n"):
            text = _MANY_NEWLINES.sub(b"\n\n", text).rstrip(b"\n") + b"\n"
        return text

    def _mark(self, offset: int) -> _Mark:
        """Return the mark of a line that begins at `offset`."""
        mark = self._marks[bisect_right(self._marks, offset, key=lambda mark: mark.offset) - 1]
        line = mark.line + mark.step * self.text.count(b"\n", mark.offset, offset)
        return mark._replace(offset=offset, line=line)


def _shorter_documents(pieces: Iterator[_Piece], max_document_bytes: int) -> Iterator[_Piece]:
    """Put a blank line, with a message, into documents after the line that reaches `max_document_bytes` bytes."""
    length = 0  # of the current document, so far
    due = False  # whether the document has reached its limit: it is cut here unless it ends here
    for whole in pieces:
        rest = whole
        while rest.text:
            newlines = _leading_newlines(rest.text)
            if newlines:
                length = -newlines
            elif due:
                message = f"{rest.path}, line {rest.line}: a document of over {max_document_bytes:,} bytes is cut here"
                yield _Piece(b"\n", rest.path, rest.line, rest.step, message=message)
            due = False
            room = max_document_bytes - length
            if len(rest.text) < room:
                border = rest.text.rfind(b"\n\n")
                length = len(rest.text) - (border + 2) if border >= 0 else length + len(rest.text)
                yield rest
                break
            border = rest.text.rfind(b"\n\n", newlines, room)
            due, length = border < 0, 0
            head, rest = rest.cut(rest.text.index(b"\n", room - 1) + 1 if due else border + 2)
            yield head


def _leading_newlines(text: bytes | bytearray) -> int:
    match = _NEWLINES.match(text)
    assert match is not None
    return match.end()


def _read(path: Path, text_field: str) -> Iterator[_Piece]:
    """Read one file as pieces. The last one ends the current document."""
    with opened(path) as (stream, file):
        pieces = _lines(path, stream, file)
        first = next(pieces, None)
        if first is not None:
            kind, guess = content(path, first.text, text_field)
            pieces = chain([replace(first, guess=guess)], pieces)
            yield from pieces if kind == "lines" else _json_documents(pieces, text_field)
    yield _Piece(b"\n", path, 1, ends_file=True)


def _lines(path: Path, stream: BinaryIO, file: BinaryIO) -> Iterator[_Piece]:
    """Read whole lines, about a megabyte of them together. `file` is the file that `stream` reads from."""
    line, read = 1, 0
    begun: list[bytes] = []  # parts of a line whose end is not read yet
    first = stream.read(READ_BYTES).removeprefix(BYTE_ORDER_MARK)
    for data in chain([first], iter(lambda: stream.read(READ_BYTES), b"")):
        end = data.rfind(b"\n") + 1
        if end:
            text = b"".join([*begun, data[:end]])
            yield _checked(path, line, text, file.tell() - read)
            line, read = line + text.count(b"\n"), file.tell()
            begun.clear()
        begun.append(data[end:])
        if len(begun) * READ_BYTES > MAX_LINE_BYTES:
            raise InputError(
                f"{path}, line {line}: longer than {MAX_LINE_BYTES:,} bytes; put one sentence on a line (--input_file)"
            )
    if last := b"".join(begun):
        yield _checked(path, line, last + b"\n", file.tell() - read)


def _checked(path: Path, line: int, text: bytes, file_bytes: int) -> _Piece:
    """Make a piece that begins at a line of a file, after checking that it is UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        line += text.count(b"\n", 0, error.start)
        raise InputError(
            f"{path}, line {line}: not UTF-8 (byte 0x{text[error.start]:02x}); convert the file (--input_file)"
        ) from None
    return _Piece(_simplified(text), path, line, file_bytes=file_bytes)


def _simplified(text: bytes) -> bytes:
    """Return the lines with LF at their ends, and blank lines empty."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    return _BLANK_LINE.sub(b"\n", b"\n" + text)[1:]


def _json_documents(pieces: Iterator[_Piece], text_field: str) -> Iterator[_Piece]:
    """Return the texts of JSON lines without their blank lines, each followed by one: a JSON line is one document."""
    for piece in pieces:
        file_bytes, guess = piece.file_bytes, piece.guess
        for number, record in enumerate(piece.text.decode().split("\n"), piece.line):
            if record:
                text = _simplified(_json_text(record, text_field, f"{piece.path}, line {number}") + b"\n")
                document = _BLANK_LINES.sub(b"\n", text).removeprefix(b"\n") + b"\n"
                yield _Piece(document, piece.path, number, 0, file_bytes, guess=guess)
                file_bytes, guess = 0, ""


def _json_text(record: str, text_field: str, location: str) -> bytes:
    try:
        values = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{location}: not JSON ({error}); give one object a line (--input_file)") from None
    if isinstance(values, list):
        raise InputError(f"{location}: a JSON list; give one object a line (--input_file)")
    if not isinstance(values, dict) or not isinstance(values.get(text_field), str):
        raise InputError(f"{location}: no text in a field {text_field!r} (--text_field)")
    try:
        text: str = values[text_field]
        return text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{location}: half a surrogate pair in the field {text_field!r} (--input_file)") from None
