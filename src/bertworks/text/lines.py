"""Files of one text a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bertworks.errors import InputError
from bertworks.files import BYTE_ORDER_MARK
from bertworks.foreign import foreign, utf16


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
            if number == 1 and (reason := foreign(line, str(name)) or utf16(line)):
                raise InputError(f"{name}: {reason} (--input_file)") from None
            raise InputError(f"{location}: is not valid UTF-8; fix --input_file") from None
        yield location, text
