"""What a text file is: how it is compressed, and whether it holds JSON lines. Its name tells, or else its content.

And files of one text on each line, or of one text, as a model is used on them.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast

from bertworks import files
from bertworks.errors import InputError
from bertworks.files import BYTE_ORDER_MARK, unchanged
from bertworks.foreign import HEAD_BYTES, compressed, compression, foreign, foreign_folder, refuse_pipe, utf16

_ENDINGS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz"}
_JSON_ENDINGS = (".jsonl", ".json", ".ndjson")
_TABLE_ENDINGS = (".csv", ".tsv")
_MARKUP = (b"<doc ", b"<?xml", b"<mediawiki", b"<!doctype", b"<html")


class Content(NamedTuple):
    """What the text of a file is: plain lines or JSON lines, and a message if that was guessed or looks wrong."""

    kind: Literal["lines", "json lines"]
    message: str = ""


def names_texts(patterns: str, flag: str) -> bool:
    """Tell by their names whether a list of paths and globs names text files, not shards or records.

    `NAME.json` beside `NAME` says how the records were made.

    Raises:
        InputError: some are text files and others are not.
    """
    found = files.expand(patterns, flag)
    paths = [path for path in found if path.suffix != ".json" or path.with_suffix("") not in found]
    texts = [Path(path.stem if path.suffix in _ENDINGS else path).suffix in (".txt", *_JSON_ENDINGS) for path in paths]
    if any(texts) and not all(texts):
        text, other = paths[texts.index(True)], paths[texts.index(False)]
        raise InputError(f"{flag}: {text} is text, but {other} is not; give only texts, or their shards")
    return any(texts)


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, BufferedReader]]:
    """Open a text file, compressed or not: the stream of its text, and the file, whose position tells the progress.

    UTF-16 with a byte order mark, which Windows' Notepad calls Unicode, becomes UTF-8.

    Raises:
        InputError: it cannot be read, it is no text, or an archive is damaged. The block may raise such errors too.
    """
    packed_by = _ENDINGS.get(path.suffix)
    if path.is_dir() and (wrong := foreign_folder(path)):
        raise InputError(f"{path}: {wrong} (--input_file)")
    refuse_pipe(path)
    try:
        with unchanged(path), path.open("rb") as file:
            head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
            if wrong := foreign(head, path) or utf16(head, marked=False):
                raise InputError(f"{path}: {wrong} (--input_file)")
            packed_by = packed_by or compression(head)
            stream = file
            if packed_by:
                stream = _decompressed(packed_by, file)
                head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
                if wrong := foreign(head, path.stem) or utf16(head, marked=False):
                    raise InputError(f"{path}: what is in it {wrong} (--input_file)")
            elif utf16(head) and path.stat().st_size % 2:
                raise InputError(f"{path}: is UTF-16 with half a character at its end; is it whole? (--input_file)")
            yield cast(BinaryIO, _Utf16(stream) if utf16(head) else stream), file
    except UnicodeError as error:
        raise InputError(f"{path}: is not the UTF-16 that its byte order mark says ({error}) (--input_file)") from None
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise _damaged(path, packed_by, error) from None
    except OSError as error:
        if error.errno is None and packed_by:  # so bzip2 says that it is damaged
            raise _damaged(path, packed_by, error) from None
        raise InputError(f"{path}: cannot be read ({error.strerror}) (--input_file)") from None


def content(path: Path, beginning: bytes, text_field: str) -> Content:
    """Tell what a file holds, by its name or else by its first line with text in the `beginning`.

    A first line that is a JSON object with this field makes the file JSON lines. Such an object without the field is an
    error of the reader of JSON lines, except in a `.txt` file, which may hold anything.
    """
    ending = Path(path.stem).suffix if path.suffix in _ENDINGS else path.suffix
    if ending in _JSON_ENDINGS:
        return Content("json lines")
    line = beginning.lstrip().partition(b"\n")[0]
    values = _json_object(line)
    if values is not None:
        if ending != ".txt" or isinstance(values.get(text_field), str):
            return Content("json lines", f"{path}: read as JSON lines, a document each, because its first line is one")
        reason = f"its first line is a JSON object without a text in the field {text_field!r} (--text_field)"
        return Content("lines", f"{path}: read as plain text, but {reason}")
    if line[: max(map(len, _MARKUP))].lower().startswith(_MARKUP):
        reason = "its first line looks like XML or HTML, and tags count as words; extract the text (--input_file)"
        return Content("lines", f"{path}: read as plain text, but {reason}")
    if ending in _TABLE_ENDINGS:
        reason = "its name is that of a table; write its text to a .txt or .jsonl file (--input_file)"
        return Content("lines", f"{path}: read as plain text, but {reason}")
    return Content("lines")


def _decompressed(compression: str, file: BufferedReader) -> BufferedReader:
    """Return the stream of what is in a compressed file. It can peek as a buffered file can."""
    if compression == "gzip":
        return cast(BufferedReader, gzip.GzipFile(fileobj=file))
    return cast(BufferedReader, bz2.BZ2File(file) if compression == "bzip2" else lzma.LZMAFile(file))


class _Utf16:
    """A stream of UTF-16 with a byte order mark, read as UTF-8; half a character at its end is a UnicodeError."""

    def __init__(self, stream: BufferedReader) -> None:
        self._text = TextIOWrapper(stream, "utf-16", newline="")

    def read(self, size: int) -> bytes:
        """Read so many characters, or to the end."""
        return self._text.read(size).encode()


def _damaged(path: Path, compression: str | None, error: Exception) -> InputError:
    return InputError(f"{path}: a damaged or cut-off {compression} file ({error}); fix or drop it (--input_file)")


def _json_object(line: bytes) -> dict[str, object] | None:
    if not line.startswith(b"{"):
        return None
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def decoded_lines(
    lines: Iterable[bytes], name: object, first: int = 1, encoding: str = "utf-8", *, has_flag: bool = False
) -> Iterator[tuple[str, str]]:
    """Yield the location of each line, for messages, and its text; a byte order mark in front is no text.

    Args:
        first: the number of the first of these lines.
        encoding: one in which a line ends with byte 10.
        has_flag: whether the command has --encoding.

    Raises:
        InputError: a line is not in this encoding.
    """
    for number, line in enumerate(lines, first):
        location = f"{name}, line {number}"
        try:
            text = (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).decode(encoding)
        except UnicodeDecodeError as error:
            if number == 1 and (reason := _foreign(line, name)):
                raise InputError(f"{name}: {reason} (--input_file)") from None
            if has_flag:
                raise InputError("{}, {} ({})".format(location, *undecodable(line, error, encoding))) from None
            raise InputError(f"{location}: is not valid UTF-8; fix --input_file") from None
        yield location, text


def undecodable(line: bytes, error: UnicodeDecodeError, encoding: str) -> tuple[str, str]:
    """Return what is wrong with a line that is not in an encoding, and which --encoding to try."""
    wrong = line[error.start : error.start + 1]
    western = wrong.decode("cp1252", errors="ignore")
    if encoding == "utf-8" and western:
        advice = f"if the file is in Windows-1252, where that is {western!r}: --encoding=cp1252"
    else:
        advice = "say what the file is in, such as --encoding=cp1252, gb18030 or cp1251"
    called = "UTF-8" if encoding == "utf-8" else encoding
    return f"byte {error.start + 1}: {wrong.hex()} (hexadecimal) is not {called}", advice


def decoded_text(data: bytes, name: object, encoding: str | None = None) -> str:
    """Return a whole file as text, without a byte order mark; without an encoding it is UTF-8.

    Raises:
        InputError: it is not in this encoding.
    """
    try:
        return data.decode(encoding or "utf-8-sig")
    except UnicodeDecodeError as error:
        advice = "say what it is in: --encoding" if encoding else "convert it to UTF-8"
        wrong = f"byte {error.start + 1} is not valid {encoding or 'UTF-8'}; {advice}"
        raise InputError(f"{name}: {_foreign(data[:HEAD_BYTES], name) or wrong}") from None


def _foreign(head: bytes, name: object) -> str:
    """Return what the file is if it is no text, and what to do; empty if it may be text."""
    return foreign(head, str(name)) or compressed(head) or utf16(head)
