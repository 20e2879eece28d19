"""Files of one text a line, or of one text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bertworks.errors import InputError
from bertworks.files import BYTE_ORDER_MARK
from bertworks.foreign import HEAD_BYTES, compressed, foreign, utf16


def decoded_lines(lines: Iterable[bytes], name: object, first: int = 1) -> Iterator[tuple[str, str]]:
    """Yield the location of each line, for messages, and its text; a byte order mark in front is no text.

    Args:
        first: the number of the first of these lines.

    Raises:
        InputError: a line is not UTF-8.
    """
    for number, line in enumerate(lines, first):
        location = f"{name}, line {number}"
        try:
            text = (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).decode()
        except UnicodeDecodeError:
            if number == 1 and (reason := _foreign(line, name)):
                raise InputError(f"{name}: {reason} (--input_file)") from None
            raise InputError(f"{location}: is not valid UTF-8; fix --input_file") from None
        yield location, text


def decoded_text(data: bytes, name: object) -> str:
    """Return a whole file as text, without a byte order mark.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = _foreign(data[:HEAD_BYTES], name) or f"byte {error.start + 1} is not valid UTF-8; convert it to UTF-8"
        raise InputError(f"{name}: {reason}") from None


def _foreign(head: bytes, name: object) -> str:
    """Return what the file is if it is no text, and what to do; empty if it may be text."""
    return foreign(head, str(name)) or compressed(head) or utf16(head)
