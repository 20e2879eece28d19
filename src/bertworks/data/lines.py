"""The lines of a text file, numbered, in any encoding; a reader may put lines back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from bertworks.errors import InputError
from bertworks.files import BYTE_ORDER_MARK
from bertworks.text.text_files import undecodable

# The most bytes in a line: a longer line is no row of texts, and it would be read into memory in one piece.
LONGEST_LINE = 16 << 20

# Where a file has no line feed in so many bytes, carriage returns end its lines.
_FIRST_BYTES = 1 << 16

# Byte order marks, the longer first: that of UTF-32 begins with that of UTF-16.
_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    BYTE_ORDER_MARK: "utf-8",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


class Lines:
    """The lines of a file as text, line ends included.

    A line that is not text comes with marks of replacement in it, and `problem` tells why: so a quoted field of several
    lines still ends where it ends, and an exception does not end the csv.reader that asks for the lines.

    Attributes:
        path: the file.
        number: of the line that came last, from 1.
    """

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        """Open a file; without an encoding it is UTF-8, or what its byte order mark says.

        Raises:
            InputError: it is missing, or a folder, or has bytes that its encoding does not allow and that nothing
                can be read behind (UTF-16).
        """
        self.path = path
        self.number = 0
        self._stream, self._encoding = open_lines(path, encoding)
        self._taken: list[tuple[str, str, str]] = []
        self._back: list[tuple[str, str, str]] = []

    @property
    def problem(self) -> tuple[str, str]:
        """The first problem of the lines since `begin`, and what to do about it; ("", "") if there is none."""
        return next(((problem, advice) for _, problem, advice in self._taken if problem), ("", ""))

    @property
    def place(self) -> str:
        """Where the lines since `begin` are: "rows.csv, line 3" or "rows.csv, lines 3-5"."""
        count = len(self._taken)
        lines = f"line {self.number}" if count <= 1 else f"lines {self.number - count + 1}-{self.number}"
        return f"{self.path}, {lines}"

    def begin(self) -> None:
        """Begin a row: forget the lines that came, which then cannot be put back."""
        self._taken.clear()

    def taken(self) -> list[str]:
        """Return the lines since `begin`."""
        return [text for text, _, _ in self._taken]

    def keep(self, count: int) -> None:
        """Put all lines since `begin` back, but for the first `count`."""
        self._back += reversed(self._taken[count:])
        self.number -= len(self._taken) - count
        del self._taken[count:]

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        if self._back:
            line = self._back.pop()
            self.number += 1
        else:
            content = self._stream.readline(LONGEST_LINE + 1)
            if not content:
                raise StopIteration
            self.number += 1
            line = self._decoded(content)
        self._taken.append(line)
        return line[0]

    def _decoded(self, line: bytes) -> tuple[str, str, str]:
        """Return a line as text, what is wrong with it, and what to do about it."""
        location = f"{self.path}, line {self.number}"
        if len(line) > LONGEST_LINE:
            raise InputError(f"{location}: is longer than {LONGEST_LINE >> 20} MB; is this a file of rows of text?")
        if self.number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        try:
            text = line.decode(self._encoding)
        except UnicodeDecodeError as error:
            wrong, advice = undecodable(line, error, self._encoding)
            problem = f"{location}, {wrong}"
            return line.decode(self._encoding, errors="replace"), problem, advice
        if "\0" in text:
            advice = "is this a text file? if it is UTF-16: --encoding=utf-16-le"
            return text, f"{location}, column {text.index(chr(0)) + 1}: a NUL byte", advice
        return text, "", ""


def open_lines(path: Path, encoding: str | None = None) -> tuple[BinaryIO, str]:
    """Open a text file as bytes whose lines end with byte 10, and return the encoding of these bytes.

    Raises:
        InputError: as in `Lines`.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder, not a file")
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    with_mark = encoding_of_mark(path) if encoding in (None, "utf-8", "utf-8-sig") else None
    encoding = with_mark or encoding or "utf-8"
    if '\n",;\t'.encode(encoding) == b'\n",;\t':
        first = stream.read(_FIRST_BYTES)
        stream.seek(0)
        if b"\r" not in first or b"\n" in first:
            return stream, encoding
        # Lines that end in a carriage return, as on old Macs.
        with stream:
            return io.BytesIO(stream.read().replace(b"\r", b"\n")), encoding
    # UTF-16 and the like, where a line ends with other bytes: the whole file becomes UTF-8.
    with stream:
        content = stream.read()
    try:
        return io.BytesIO(content.decode(encoding).encode()), "utf-8"
    except UnicodeError as error:
        raise InputError(f"{path}: is not {encoding} ({error}); say what it is in: --encoding") from None


def encoding_of_mark(path: Path) -> str | None:
    """Return the encoding that the byte order mark of a file tells; None if it has none.

    Raises:
        InputError: as in `Lines`.
    """
    try:
        with path.open("rb") as stream:
            first = stream.read(4)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    return next((encoding for mark, encoding in _MARKS.items() if first.startswith(mark)), None)
