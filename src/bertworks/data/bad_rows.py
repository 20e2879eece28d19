"""What happens to the rows of a file that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bertworks.errors import InputError

OnBadRow = Literal["error", "skip"]

# The number of bad rows that a summary shows.
_SHOWN = 5

# Of so many rows, one may be left out without a warning.
_FEW = 100


class BadRows:
    """Raise an error at the first row that cannot be used, or skip such rows and remember why.

    Attributes:
        on_bad_row: "error" raises, "skip" leaves the row out.
        advice: what to do about a row, for the message of an error.
        rows: how many rows were read, those that cannot be used included; 0 where the reader does not count them.
        notes: one line for each row that was left out, which says what was wrong.
        remarks: one line for each row that is odd but is used.
    """

    def __init__(
        self, on_bad_row: OnBadRow = "error", advice: str = "to leave out such rows: --on_bad_row=skip"
    ) -> None:
        self.on_bad_row = on_bad_row
        self.advice = advice
        self.rows = 0
        self.notes: list[str] = []
        self.remarks: list[str] = []

    def found(self, message: str, advice: str | None = None) -> None:
        """Raise InputError with this message, which names the row, and with advice; or remember the message."""
        if self.on_bad_row == "error":
            raise InputError(f"{message} ({advice or self.advice})")
        self.notes.append(message)

    def summary(self) -> list[str]:
        """Return lines for a person: the number of rows left out, the first reasons, and the first remarks."""
        count = len(self.notes)
        heading = "1 bad row left out" if count == 1 else f"{count:,} bad rows left out"
        if count * _FEW > self.rows > 0:
            heading = f"WARNING: {count:,} of {self.rows:,} rows ({count / self.rows:.1%}) are bad and left out"
        return [*_first(heading, self.notes), *_first("Remarks", self.remarks)]

    def of(self, path: Path) -> list[str]:
        """Return the notes about the rows of one file."""
        return [note for note in self.notes if note.startswith(str(path))]

    def nothing_left(self, path: Path) -> InputError:
        """Return the error for a file without a single row that can be used."""
        return InputError("; the first: ".join([f"{path}: no row can be used", *self.of(path)[:1]]))


def _first(heading: str, lines: Sequence[str]) -> list[str]:
    """Return the first lines under a heading, and how many more there are; nothing if there are no lines."""
    more = len(lines) - _SHOWN
    rest = [f"  and {more:,} more"] if more > 0 else []
    return [f"{heading}:", *(f"  {line}" for line in lines[:_SHOWN]), *rest] if lines else []
