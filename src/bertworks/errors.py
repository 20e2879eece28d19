"""The one exception for mistakes that a person can fix, and what a person is told of other failures."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


class InputError(ValueError):
    """Something given to us is wrong: a flag, a file, a line of a file.

    The message is one line. It names the file (and the line or record where there is one), says what is wrong and
    which flag to change. The command line prints it without a traceback and exits with code 2.

    Attributes:
        speaker: which of several processes prints it.
    """

    speaker = 0


def told(error: BaseException) -> str | None:
    """Return what a person is told of an error that we understand, in one line; None of any other error."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{_closed(error)}: " if error.filename else ""
        full = "; free some space or write elsewhere" if error.errno in _DISK_FULL else ""
        return f"{where}{error.strerror}{full}"
    return None


def _closed(error: OSError) -> str:
    """Return what an error is about: the folder that we may not enter, if it is that of a file that we look for."""
    file = Path(str(error.filename))
    closed = (folder for folder in reversed(file.parents) if not os.access(folder, os.X_OK))
    return str(next(closed, file) if error.errno == errno.EACCES else file)


def one_line(error: object) -> str:
    """Return the message of an error in one line. An error without a message gives the name of its class."""
    return printable(" ".join(str(error).split())) or type(error).__name__


@contextmanager
def damage_named(path: Path, remedy: str) -> Iterator[None]:
    """Turn the errors that a file's damaged contents cause into an InputError.

    Args:
        path: the file, which the message names.
        remedy: what to do, which the message ends with.
    """
    try:
        yield
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {one_line(error)}); {remedy}") from None


def printable(text: str) -> str:
    """Replace what a terminal would obey instead of show, such as the escapes of a file or a server, by "?"."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
