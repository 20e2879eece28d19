"""JSON files of questions and answers: large ones a member at a time, fields checked, errors that name line and column.

What Python's `json` reads is read: a byte order mark is skipped, unpaired surrogates stay in texts as characters like
any other, and numbers such as NaN are for whoever wants a number to refuse.
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

_BLANKS = re.compile("[ \t\r\n]*")
_PARTING = frozenset(" \t\r\n,:]}")

# Characters of a file that are read at a time, at least.
_READ = 1 << 20

# Characters of what is no JSON when it is cut: words such as -Infinity, escapes such as \\ud83d.
_LONGEST_WORD = 16


def members(path: Path, name: str, others: dict[str, Any] | None = None) -> Iterator[Any]:
    """The members of the list called `name` of the JSON object that a file is, one by one.

    A file that is a list has the members of that list.

    Args:
        path: the file.
        name: the list.
        others: gets all else that the object has, as it is read: before the end only what stands before the list.

    Raises:
        InputError: there is no such file, or it is not UTF-8, or no such JSON.
    """
    with _opened(path) as parser:
        yield from parser.members(name, {} if others is None else others)


def whole(path: Path) -> dict[str, Any]:
    """The JSON object that a file is.

    Raises:
        InputError: see `members`.
    """
    content: dict[str, Any] = {}
    with _opened(path) as parser:
        for key in parser.names():
            content[key] = parser.value()
        parser.end()
    return content


def items(values: dict[str, Any], name: str, place: str) -> list[dict[str, Any]]:
    """The objects of the list called `name`; `place` says where it stands, for messages.

    Raises:
        InputError: there is no such list.
    """
    found = values.get(name)
    if not isinstance(found, list):
        raise InputError(f"{place}: {name!r} should be a list, but is {kind(found)}")
    wrong = next((item for item in found if not isinstance(item, dict)), found)
    if wrong is not found:
        raise InputError(f"{place}: {name!r} should hold objects, but has {kind(wrong)}")
    return found


def text(values: dict[str, Any], name: str, place: str) -> str:
    """The text called `name`.

    Raises:
        InputError: there is no such text.
    """
    found = values.get(name)
    if not isinstance(found, str):
        raise InputError(f"{place}: {name!r} should be a text, but is {kind(found)}")
    return found


def kind(value: Any) -> str:
    """What a value is, for messages."""
    return "missing" if value is None else type(value).__name__


def short(text: str) -> str:
    """A text for a message of one line."""
    text = " ".join(text.split())
    return repr(text if len(text) <= 60 else text[:57] + "...")


@contextmanager
def _opened(path: Path) -> Iterator[_Parser]:
    if path.is_dir():
        raise InputError(f"{path}: a folder, not a file")
    try:
        stream = path.open(encoding="utf-8-sig", newline="")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    with stream:
        yield _Parser(path, stream)


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

    def members(self, name: str, others: dict[str, Any]) -> Iterator[Any]:
        """See the function of this name."""
        if self._next() == "[":
            yield from self._list()
        else:
            for key in self.names():
                if key == name:
                    yield from self._list()
                else:
                    others[key] = self.value()
        self.end()

    def names(self) -> Iterator[str]:
        """The names in an object; between one and the next its value is to be read."""
        for _ in self._parts("{", "}"):
            if self._next() != '"':
                raise self._error("a name in quotation marks was expected")
            name: str = self.value()
            self._take(":")
            yield name

    def _list(self) -> Iterator[Any]:
        for _ in self._parts("[", "]"):
            yield self.value()

    def _parts(self, begin: str, end: str) -> Iterator[None]:
        """Stop at each of the parts that commas part; who asks for the next has read it."""
        self._take(begin)
        if self._next() != end:
            yield
            while self._next() != end:
                self._take(",")
                yield
        self._take(end)

    def end(self) -> None:
        """There is nothing more."""
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

    def value(self) -> Any:
        """What stands next."""
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
                # What nothing parts from its successor may be the beginning of a longer number.
                if self._is_whole or self._text[end : end + 1] in _PARTING:
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                if self._is_whole or self._is_certain(error):
                    self._at = error.pos
                    raise self._error(error.msg) from None
            except (ValueError, RecursionError) as error:
                raise self._error(" ".join(str(error).split())) from None
            self._read()

    def _is_certain(self, error: json.JSONDecodeError) -> bool:
        """Whether no text that follows can mend it, so that not all of a large file is read."""
        return error.pos + _LONGEST_WORD < len(self._text) and not error.msg.startswith("Unterminated string")

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
