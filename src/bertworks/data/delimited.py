"""The rows of a .csv or .tsv file. A row that is wrong is one row, however many lines it has."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import NamedTuple

from bertworks.data import lines as lines_of_files
from bertworks.data.bad_rows import BadRows
from bertworks.data.lines import Lines
from bertworks.errors import one_line

# What the messages of the csv module mean.
_CSV_ERRORS = {
    "unexpected end of data": "a quotation mark begins a field here and nothing ends it",
    "field larger than": "a quotation mark begins a field here and nothing ends it for long",
    "expected after": 'a quotation mark inside of a quoted field; write it twice ("")',
    "new-line character": "a carriage return without a line feed; convert the line ends",
}

# How many lines of a wrong row are searched for its end.
_LONGEST_WRONG_ROW = 200


class Quotes(NamedTuple):
    """How fields are quoted: the mark around them, and what stands before a mark inside; None doubles it."""

    mark: str = '"'
    escape: str | None = None


DOUBLE_MARKS = Quotes()


def delimited_rows(
    lines: Lines, separator: str, quoted: bool, bad: BadRows, quotes: Quotes = DOUBLE_MARKS
) -> Iterator[tuple[str, list[str]]]:
    """Read the location and the fields of every row, without blank lines; a quoted empty field is no blank line.

    In a file of one column a blank line between rows may be meant as a row without a text: it is remarked.

    Args:
        lines: of the file.
        separator: the character between fields.
        quoted: whether fields may be in quotation marks.
        bad: receives the rows that cannot be read, and the remarks.
        quotes: how they are, if they are.

    Raises:
        InputError: for a bad row, if `bad` raises.
    """
    width = 0
    blank: list[str] = []
    for location, row in _quoted_rows(lines, separator, quotes, bad) if quoted else _plain_rows(lines, separator, bad):
        if not row:
            blank += [location] if width == 1 else []
            continue
        width = width or len(row)
        bad.remarks += [f"{place}: a blank line is no row" for place in blank]
        blank.clear()
        yield location, row


def _quoted_rows(lines: Lines, separator: str, quotes: Quotes, bad: BadRows) -> Iterator[tuple[str, list[str]]]:
    """Read the rows of a file whose fields may be quoted; a blank line has no fields."""
    csv.field_size_limit(max(csv.field_size_limit(), lines_of_files.LONGEST_LINE))
    reader = csv.reader(lines, delimiter=separator, quotechar=quotes.mark, escapechar=quotes.escape, strict=True)
    width = 0
    while True:
        lines.begin()
        location = f"{lines.path}, line {lines.number + 1}"
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.keep(_lines_of_wrong_row(lines, separator, quotes.mark, width))
            reason = next((words for part, words in _CSV_ERRORS.items() if part in str(error)), one_line(error))
            bad.rows += 1
            bad.found(f"{lines.place}: {reason}")
            continue
        width = width or len(row)
        if not _told(lines, bad):
            yield location, row


def _plain_rows(lines: Lines, separator: str, bad: BadRows) -> Iterator[tuple[str, list[str]]]:
    """Read the rows of a file without quotes; a blank line has no fields."""
    lines.begin()
    for line in lines:
        if not _told(lines, bad):
            text = line.rstrip("\r\n")
            yield f"{lines.path}, line {lines.number}", text.split(separator) if text else []
        lines.begin()


def _told(lines: Lines, bad: BadRows) -> bool:
    """Tell `bad` what is wrong with the lines of a row; False if nothing is."""
    problem, advice = lines.problem
    if problem:
        several = f" in the row of {lines.place.rpartition(', ')[2]}" if len(lines.taken()) > 1 else ""
        bad.rows += 1
        bad.found(problem + several, advice)
    return bool(problem)


def _lines_of_wrong_row(lines: Lines, separator: str, mark: str, width: int) -> int:
    """Count the lines since `begin`, and of those that follow, that belong to a row with a wrong quotation mark.

    All fields of a line are closed where it has an even number of marks. An odd number opens a field of several lines,
    which ends at the next line with an odd number; unless that opens one too, or whole rows stand between.
    """
    if lines.taken()[0].count(mark) % 2 == 0:
        return 1
    whole = 0
    for i in range(1, _LONGEST_WRONG_ROW):
        if i >= len(lines.taken()) and next(lines, None) is None:
            return 1
        line = lines.taken()[i]
        if line.count(mark) % 2:
            before = line[: line.index(mark)]
            return 1 if whole > 1 or before == "" or before.endswith(separator) else i + 1
        whole += line.count(separator) + 1 == width > 1 and bool(line.strip())
    return 1
