"""JSON files of questions and answers: read large ones member by member, check fields, name line and column in errors.

Files are read as Python's `json` does: a byte order mark is skipped, unpaired surrogates stay in texts, and numbers may
be NaN.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from bertworks.errors import InputError
from bertworks.files import unchanged
from bertworks.foreign import refuse_foreign

_BLANKS = re.compile("[ \t\r\n]*")
_DELIMITERS = frozenset(" \t\r\n,:]}")

# How many characters of a file are read at a time, at least.
READ_CHARACTERS = 1 << 20

# A file with such a name may be one line.
_LINES = (".jsonl", ".ndjson")

_TABLES = (".csv", ".tsv")

# The most characters that may be missing from a value that is cut off: of -Infinity, or of an escape such as \\ud83d.
_LONGEST_WORD = 16


def members(path: Path, name: str, others: dict[str, Any] | None = None) -> Iterator[Any]:
    """Yield the members of the list `name` of the JSON object in a file; if the file is a list, that list's members.

    Of a file of several objects, one a line, these are the members.

    Args:
        others: receives all other fields of the object as they are read; those after the list only at the end.

    Raises:
        InputError: there is no such file, it is not UTF-8, or it is not such JSON.
    """
    with _opened(path, "questions come as JSON, as to_json() of datasets writes them") as parser:
        yield from parser.members(name, {} if others is None else others)


def whole(path: Path) -> dict[str, Any]:
    """Read a file that is one JSON object. Raises InputError as `members` does."""
    with _opened(path, "give the JSON that run_squad writes: predictions.json or null_odds.json") as parser:
        content = {key: parser.value() for key in parser.names()}
        parser.end()
    return content


def items(values: dict[str, Any], name: str, location: str) -> list[dict[str, Any]]:
    """Return the list of objects called `name`; raise InputError with the location if there is none."""
    found = values.get(name)
    if not isinstance(found, list):
        raise InputError(f"{location}: {name!r} should be a list, but is {kind(found)}")
    for item in found:
        if not isinstance(item, dict):
            raise InputError(f"{location}: {name!r} should hold objects, but has {kind(item)}")
    return found


def text(values: dict[str, Any], name: str, location: str) -> str:
    """Return the text called `name`; raise InputError with the location if there is none."""
    found = values.get(name)
    if not isinstance(found, str):
        raise InputError(f"{location}: {name!r} should be a text, but is {kind(found)}")
    return found


def kind(value: Any) -> str:
    """Name the type of a value, for messages."""
    return "missing" if value is None else type(value).__name__


def short(text: str) -> str:
    """Shorten a text to part of a one-line message."""
    text = " ".join(text.split())
    return repr(text if len(text) <= 60 else text[:57] + "...")


@contextmanager
def _opened(path: Path, instead_of_table: str) -> Iterator[JsonParser]:
    refuse_foreign(path)
    if path.suffix.lower() in _TABLES and path.is_file():
        raise InputError(f"{path}: is a table of text; {instead_of_table}")
    if path.is_dir():
        raise InputError(f"{path}: a folder, not a file")
    try:
        stream = path.open(encoding="utf-8-sig", newline="")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    with unchanged(path), stream:
        yield JsonParser(path, stream)


class JsonParser:
    """Parses a file; only the part that is not parsed yet is in memory."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        """Parse a stream; the path is for messages."""
        self._path = path
        self._stream = stream
        self._text = ""
        self._at = 0
        self._is_whole = False  # whether the text reaches to the end of the file
        self._decoder = json.JSONDecoder()
        # Where the text begins in the file, from 0 on.
        self._line = 0
        self._column = 0

    def members(self, name: str, others: dict[str, Any]) -> Iterator[Any]:
        """Yield as the function of this name does."""
        if self._next() == "[":
            yield from self._list()
        else:
            first: dict[str, Any] = {}
            has_list = False
            for key in self.names():
                if key == name:
                    has_list = True
                    others |= first
                    first = others
                    yield from self._list()
                else:
                    first[key] = self.value()
            if not has_list and (self._next() == "{" or self._path.suffix.lower() in _LINES):
                yield first
                while self._next():
                    yield self.value()
            elif not has_list:
                others |= first
        self.end()

    def names(self) -> Iterator[str]:
        """Yield the names in an object; the caller parses each one's value before the next name."""
        for _ in self._parts("{", "}"):
            if self._next() != '"':
                raise self._error("a name in quotation marks was expected")
            name: str = self.value()
            self._take(":")
            yield name

    def value(self) -> Any:
        """Parse the next value."""
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
                # Without a delimiter after it, this may be the beginning of a longer number.
                if self._is_whole or self._text[end : end + 1] in _DELIMITERS:
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                # Do not read the rest of a large file if it cannot make this valid.
                is_cut_off = error.msg.startswith("Unterminated string") or error.pos + _LONGEST_WORD >= len(self._text)
                if self._is_whole or not is_cut_off:
                    self._at = error.pos
                    raise self._error(error.msg) from None
            except RecursionError:
                raise self._error("lists or objects are nested too deeply") from None
            except ValueError as error:
                raise self._error(" ".join(str(error).split())) from None
            self._read()

    def end(self) -> None:
        """Check that nothing follows."""
        if self._next():
            raise self._error("more behind its end")

    def _list(self) -> Iterator[Any]:
        for _ in self._parts("[", "]"):
            yield self.value()

    def _parts(self, begin: str, end: str) -> Iterator[None]:
        """Stop at each part of a list or object; the caller parses it before it asks for the next."""
        self._take(begin)
        if self._next() != end:
            yield
            while self._next() != end:
                self._take(",")
                yield
        self._take(end)

    def _next(self) -> str:
        """Return the next character that is not white space, or "" at the end."""
        while True:
            found = _BLANKS.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or self._is_whole:
                return self._text[self._at : self._at + 1]
            self._read()

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise self._error(f"{character!r} was expected")
        self._at += 1

    def _read(self) -> None:
        """Forget what is parsed, and read at least as many characters as are left."""
        rest = self._text[self._at :]
        self._line, self._column = self._position()
        try:
            more = self._stream.read(max(READ_CHARACTERS, len(rest)))
        except UnicodeDecodeError:
            raise InputError(_where_not_utf8(self._path)) from None
        self._is_whole = not more
        self._text, self._at = rest + more, 0

    def _position(self) -> tuple[int, int]:
        """Line and column of the next character in the file, from 0 on."""
        lines = self._text.count("\n", 0, self._at)
        column = self._at - self._text.rfind("\n", 0, self._at) - 1
        return self._line + lines, column if lines else self._column + self._at

    def _error(self, what: str) -> InputError:
        line, column = self._position()
        return InputError(f"{self._path}, line {line + 1}, column {column + 1}: not the JSON expected ({what})")


def _where_not_utf8(path: Path) -> str:
    """Return the message for a file that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                decoder.decode(line)
            except UnicodeDecodeError as error:
                return f"{path}, line {number}, byte {error.start + 1}: not UTF-8; convert the file"
    return f"{path}: not UTF-8; convert the file"
