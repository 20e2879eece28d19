"""What the content of a file tells about how it is written: its encoding, its separator, its quotes and its header."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path

from bertworks.data import lines as lines_of_files
from bertworks.data.bad_rows import BadRows
from bertworks.data.delimited import Quotes, delimited_rows
from bertworks.data.lines import Lines, encoding_of_mark, open_lines

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}

# The number of lines that are read to find the separator.
_LINES_FOR_SEPARATOR = 50

# A separator divides so many of the first rows into as many fields as the first.
_MOST_ROWS = 0.9

# The number of rows that are read to find out whether there is a header.
_ROWS_FOR_HEADER = 1000

# What does not stand between two letters, or behind a small one, in a text of western Europe.
_NOT_WESTERN = re.compile(
    r"[a-zA-Z][^\x00-\x7f\u00c0-\u00ff\u0152\u0153\u0160\u0161\u017d\u017e\u0178\u0192\u2019\u2018\u00b4\u2013\u2014"
    r"\u2026\u00ad\u00b7\u00aa\u00ba][a-zA-Z]|[a-z][\u00c0-\u00de]|[\u00c0-\u00ff]{3}|[\u00d7\u00f7\u0080-\u009f]"
)
# In Windows-1252 text, the largest share of letters beyond ASCII.
_FEW_ACCENTS = 0.15


def find_encoding(path: Path, remembered: str | None = None) -> tuple[str, str]:
    """Return the encoding of a text file, and a line about it if it is not UTF-8.

    A file with no line beyond ASCII in UTF-8, and at least two that are not, which make plain western text in
    Windows-1252, is taken for that. Otherwise it is UTF-8, and its wrong lines are told when it is read. A file
    of which most such lines are not UTF-8 is in the `remembered` encoding, if there is one.
    """
    if (mark := encoding_of_mark(path)) is not None:
        return mark, "" if mark == "utf-8" else f"{path}: is in {mark.upper()}, as its byte order mark says"
    wrong: list[tuple[int, bytes]] = []
    right = 0
    with path.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(lines_of_files.LONGEST_LINE + 1), b""), 1):
            if line.isascii():
                continue
            if len(line) > lines_of_files.LONGEST_LINE:
                return "utf-8", ""
            try:
                line.decode()
                right += 1
            except UnicodeDecodeError:
                wrong.append((number, line))
    if len(wrong) > right and remembered:
        return remembered, f"{path}: is read as {remembered}; if that is wrong, say what it is in: --encoding"
    try:
        text = b"".join(line for _, line in wrong).decode("cp1252")
    except UnicodeDecodeError:
        return "utf-8", ""
    letters = [character for character in text if character.isalpha()]
    accents = sum(not letter.isascii() for letter in letters)
    if right or len(wrong) < 2 or _NOT_WESTERN.search(text) or accents > _FEW_ACCENTS * len(letters):
        return "utf-8", ""
    number, line = wrong[0]
    found = re.search(r".{0,12}[^\x00-\x7f].{0,8}", line.decode("cp1252"))
    shown = found[0].strip() if found else ""
    return "cp1252", (
        f"{path}: is not UTF-8 and is read as Windows-1252, line {number}: {shown!r}; if that is wrong, say what it is "
        "in: --encoding"
    )


def find_separator(path: Path, encoding: str, usual: str) -> tuple[str, int, str]:
    """Return the separator of a file, how many lines stand before its header, and a line about it if it is unusual.

    Excel's first line `sep=;` says it. A first line of quoted names with blanks between them says a blank. Else it is
    the usual one, unless that does not divide the first lines into the same number of fields, nearly all, and another
    does.
    """
    with closing(Lines(path, encoding)) as lines:
        first = list(islice(lines, _LINES_FOR_SEPARATOR))
    if first and (said := re.fullmatch(r'"?sep=(.)"?\s*', first[0])):
        return said[1], 1, f"{path}: its first line says that {_called(said[1])} separate its fields"
    if first and re.fullmatch(r'"[^"]*"(?: "[^"]*")+\s*', first[0]):
        return " ", 0, f"{path}: blanks separate its fields, which are in quotation marks; others: --separator"
    shares = {separator: _share(first, separator) for separator in [usual, *SEPARATORS]}
    if shares[usual] >= _MOST_ROWS:
        return usual, 0, ""
    # Texts in one column may all have a comma by chance, but their name has not.
    alone = _share(first, usual, width=1) == 1
    for separator, share in shares.items():
        enough = share == 1 and len(first) > 1 if alone else share >= _MOST_ROWS
        if separator != usual and enough and all(part.strip() for part in first[0].split(separator)):
            return separator, 0, f"{path}: {_called(separator)} separate its fields; others: --separator"
    return usual, 0, ""


def _called(separator: str) -> str:
    return SEPARATORS.get(separator, f"{separator!r}")


def _share(first: Sequence[str], separator: str, width: int = 0) -> float:
    """Return which share of the first lines' rows has as many fields as the first; 0 if that is one.

    With `width`, the share of rows with that many fields.
    """
    csv.field_size_limit(max(csv.field_size_limit(), lines_of_files.LONGEST_LINE))
    try:
        rows = [row for row in csv.reader(io.StringIO("".join(first)), delimiter=separator) if row]
    except csv.Error:
        return 0.0
    # The last row may go on behind these lines.
    rows = rows[:-1] if len(first) == _LINES_FOR_SEPARATOR else rows
    wanted = width or (len(rows[0]) if rows else 0)
    if not rows or wanted == 1 != width:
        return 0.0
    return sum(len(row) == wanted for row in rows) / len(rows)


def find_quotes(path: Path, encoding: str, separator: str) -> bool:
    """Tell whether fields of a .tsv file are in quotation marks where they need it, as pandas, R and Excel write them.

    They are if every field of the first line is. They are, if so no more rows are wrong than without, where a field has
    doubled marks between its marks or every field of a column has marks; and if fewer are wrong, where a field holds
    separators or line ends.
    """
    plain_widths: Counter[int] = Counter()
    doubled = False
    in_marks: list[bool] = []
    rows = 0
    with closing(Lines(path, encoding)) as lines:
        for line in lines:
            lines.begin()
            fields = line.rstrip("\r\n").split(separator)
            if fields == [""]:
                continue
            plain_widths[len(fields)] += 1
            marked = [len(field) > 1 and field[0] == field[-1] == '"' for field in fields]
            if not rows and all(marked):
                return True
            for field in (field[1:-1] for field, has_marks in zip(fields, marked, strict=True) if has_marks):
                doubled = doubled or ('""' in field and '"' not in field.replace('""', ""))
            if rows:
                in_marks = [a and b for a, b in zip(in_marks, marked, strict=False)] if rows > 1 else marked
            rows += 1
    bad = BadRows("skip")
    with closing(Lines(path, encoding)) as lines:
        widths: Counter[int] = Counter()
        across = False
        for _, row in delimited_rows(lines, separator, True, bad):
            widths[len(row)] += 1
            across = across or any("\n" in field or separator in field for field in row)
    wrong = [len(bad.notes) + widths.total() - widths[_usual(widths)], plain_widths.total()]
    wrong[1] -= plain_widths[_usual(widths)]
    if doubled or (rows > 2 and any(in_marks)):
        return wrong[0] <= wrong[1]
    return across and (wrong[0] < wrong[1] or set(plain_widths) == {1})


def find_marks(path: Path, encoding: str, separator: str) -> tuple[Quotes, str]:
    """Return how fields are quoted in a file that quotes some, and a line about it if that is unusual.

    They are in double marks, which are doubled inside, unless rows are then wrong that are right in another way: with a
    backslash before a mark or a separator, or in single marks.
    """
    escaped = singles = False
    stream, _ = open_lines(path, encoding)
    with stream:
        first = stream.readline(lines_of_files.LONGEST_LINE).decode(errors="replace").strip("\ufeff\r\n")
        stream.seek(0)
        before, signs = b"", (b'"', b"'", separator.encode())
        while chunk := stream.read(1 << 20):
            text = before + chunk
            escaped = escaped or any(b"\\" + sign in text for sign in signs)
            singles = singles or b"'" + separator.encode() in text
            before = chunk[-1:]
    fields = first.split(separator)
    all_single = all(len(field) > 1 and field[0] == field[-1] == "'" for field in fields)
    if not escaped and not (singles and first) and not all_single:
        return Quotes(), ""
    usual = _count_wrong(path, encoding, separator, Quotes())
    if not usual and not all_single:
        return Quotes(), ""
    for is_likely, quotes, called in (
        (escaped, Quotes('"', "\\"), 'marks and separators inside of fields have a backslash before them (\\")'),
        (singles or all_single, Quotes("'"), "its fields are in single quotation marks"),
        (escaped and singles, Quotes("'", "\\"), "its fields are in single quotation marks, with backslashes inside"),
    ):
        if is_likely and not _count_wrong(path, encoding, separator, quotes):
            return quotes, f"{path}: {called}, which are undone"
    return Quotes(), ""


def has_row_names(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether rows below the names of the columns begin with a number that has no name, as R writes them."""
    wider = len(rows) > 1 and all(len(row) == len(rows[0]) + 1 for row in rows[1:])
    return wider and all(row[0].strip().isdecimal() for row in rows[1:]) and any(row[-1].strip() for row in rows[1:])


def _count_wrong(path: Path, encoding: str, separator: str, quotes: Quotes) -> int:
    """Count the rows that cannot be read, or have another number of fields than most."""
    bad = BadRows("skip")
    with closing(Lines(path, encoding)) as lines:
        rows = (row for _, row in delimited_rows(lines, separator, True, bad, quotes))
        first = list(islice(rows, 2))
        widths = Counter(map(len, chain(first[has_row_names(first) :], rows)))
    return len(bad.notes) + widths.total() - widths[_usual(widths)]


def _usual(widths: Counter[int]) -> int:
    return max(widths, key=widths.__getitem__, default=0)


def find_header(
    rows: Sequence[Sequence[str]], known: Collection[str], otherwise: bool | None = None
) -> tuple[bool, str]:
    """Tell whether the first of these rows has the names of columns; if not, also what tells so.

    It has not if one of its fields stands in its column again, as labels do, or is a number as the whole column is. It
    has if one of its fields is among the `known` names (in lower case), or they are 0, 1, 2, ... Where neither tells,
    it is as `otherwise` says, and has if that is None.
    """
    first = [field.strip() for field in rows[0]] if rows else []
    others = [row for row in rows[1:_ROWS_FOR_HEADER] if list(row) != list(rows[0])]
    if any(name.lower() in known for name in first) or [*filter(None, first)] == [*map(str, range(len(first)))]:
        return True, ""
    for i, name in enumerate(first):
        column = [row[i].strip() for row in others if len(row) == len(first)]
        if name and name in column:
            return False, f"{name!r:.40} stands in its column again"
        if column and _is_number(name) and all(map(_is_number, column)):
            return False, f"{name} is a number, as all of its column"
    return (False, "so were the files of the training") if otherwise is False else (True, "")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+(e[-+]?[0-9]+)?", text, re.IGNORECASE) is not None
