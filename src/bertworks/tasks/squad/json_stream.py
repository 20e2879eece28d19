"""One list of a large JSON object, a member in memory at a time, with errors that name line and column."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from bertworks.errors import InputError

_BLANKS = re.compile("[ \t\r\n]*")
_PARTING = frozenset(" \t\r\n,:]}")

# Characters of a file that are read at a time, at least.
_READ = 1 << 20


def members(path: Path, name: str) -> Iterator[Any]:
    """The members of the list called `name` of the JSON object that a file is, one by one.

    Raises:
        InputError: there is no such file, or it is not UTF-8, or no such JSON.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder, not a file")
    try:
        stream = path.open(encoding="utf-8-sig", newline="")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    with stream:
        yield from _Parser(path, stream).members(name)


class _Parser:
    """A file, of which only what is not parsed yet is in memory."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        self._path = path
        self._stream = stream
        self._text = ""
        self._at = 0
        self._is_whole = False  # whether the text reaches to the end of the file
        self._decoder = json.JSONDecoder()
        # Of the beginning of the text in the file, from 0 on.
        self._line = 0
        self._column = 0

    def members(self, name: str) -> Iterator[Any]:
        """See the function of this name."""
        self._take("{")
        while self._next() != "}":
            key = self._value()
            self._take(":")
            if key == name:
                self._take("[")
                while self._next() != "]":
                    yield self._value()
                    if self._next() != "]":
                        self._take(",")
                self._take("]")
            else:
                self._value()
            if self._next() != "}":
                self._take(",")
        self._take("}")
        if self._next():
            raise self._error("more behind its end")

    def _next(self) -> str:
        """The next character that is no white space, or "" at the end."""
        while True:
            found = _BLANKS.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if self._is_whole:
                return ""
            self._read()

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise self._error(f"{character!r} was expected")
        self._at += 1

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
                # What nothing parts from its successor may be the beginning of a longer number.
                if self._is_whole or self._text[end : end + 1] in _PARTING:
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                if self._is_whole:
                    self._at = error.pos
                    raise self._error(error.msg) from None
            except (ValueError, RecursionError) as error:
                raise self._error(" ".join(str(error).split())) from None
            self._read()

    def _read(self) -> None:
        """Forget what has been parsed, and read at least as much as is left."""
        parsed, rest = self._text[: self._at], self._text[self._at :]
        self._line, self._column = self._place(parsed)
        try:
            more = self._stream.read(max(_READ, len(rest)))
        except UnicodeDecodeError:
            raise InputError(_where_not_utf8(self._path)) from None
        self._is_whole = not more
        self._text, self._at = rest + more, 0

    def _place(self, parsed: str) -> tuple[int, int]:
        lines = parsed.count("\n")
        return self._line + lines, len(parsed) - parsed.rfind("\n") - 1 if lines else self._column + len(parsed)

    def _error(self, what: str) -> InputError:
        line, column = self._place(self._text[: self._at])
        return InputError(f"{self._path}, line {line + 1}, column {column + 1}: not the JSON expected ({what})")


def _where_not_utf8(path: Path) -> str:
    """The message for a file that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                decoder.decode(line)
            except UnicodeDecodeError as error:
                return f"{path}, line {number}, byte {error.start + 1}: not UTF-8; convert the file"
    return f"{path}: not UTF-8; convert the file"
