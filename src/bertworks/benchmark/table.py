"""A report as Markdown, and on a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from bertworks.benchmark.results import BenchmarkReport, Entry

Cell = Callable[[BenchmarkReport, Entry], str]

# On a terminal: columns that only the page has, columns of words, and shorter titles.
_ONLY_WRITTEN = {
    "settings",
    "sequences/s",
    "padded tokens/s",
    "peak TFLOP/s",
    "ms a step",
    "ms a pass",
    "peak MB",
    "watts",
}
_TEXTS = {"contestant", "precision"}
_SHORTER = {
    "bertworks is so many times as fast": "ours is faster",
    "largest difference": "difference",
    "price of a million tokens": "price",
}


class Column(NamedTuple):
    """A column of the table: its title and what stands in it. A column without any text is left out."""

    title: str
    cell: Cell


def _per_second(amount: Callable[[Entry], float], digits: int = 0) -> Cell:
    def cell(_: BenchmarkReport, entry: Entry) -> str:
        return f"{amount(entry) / entry.seconds:,.{digits}f}" if amount(entry) else ""

    return cell


def _ratio(report: BenchmarkReport, entry: Entry) -> str:
    found = report.ratio(entry)
    return "" if found is None else f"**{found.median:.2f}** ({found.least:.2f} to {found.greatest:.2f})"


def _times(_: BenchmarkReport, entry: Entry) -> str:
    return f"{1000 * entry.seconds:,.0f} ({1000 * min(entry.passes):,.0f} to {1000 * max(entry.passes):,.0f})"


def _percentile(percent: float) -> Cell:
    return lambda _, entry: f"{1000 * entry.percentile(percent):,.2f}"


def _share(_: BenchmarkReport, entry: Entry) -> str:
    return "" if entry.share is None else f"{entry.share:.0%}"


def _peak(_: BenchmarkReport, entry: Entry) -> str:
    return "" if entry.peak is None or not entry.operations else f"{entry.peak / 1e12:.2f}"


def _memory(_: BenchmarkReport, entry: Entry) -> str:
    return f"{entry.memory / 1e6:,.0f}" if entry.memory else ""


def _watts(_: BenchmarkReport, entry: Entry) -> str:
    return "" if entry.watts is None else f"{entry.watts:,.0f}"


def _price(report: BenchmarkReport, entry: Entry) -> str:
    found = None if report.price is None else entry.price(report.price)
    return "" if found is None else f"{found:.3g}"


def _difference(_: BenchmarkReport, entry: Entry) -> str:
    if entry.difference is None:
        return ""
    return "other answers" if math.isinf(entry.difference) else f"{entry.difference:.1e}"


def _unlike(_: BenchmarkReport, entry: Entry) -> str:
    if entry.difference is None or math.isinf(entry.difference):
        return "" if entry.difference is None else "other lines"
    return f"{entry.difference:,.0f}"


_WHO = (
    Column(
        "contestant",
        lambda _, entry: f"**{entry.name}** {entry.version}" if entry.is_ours else f"{entry.name} {entry.version}",
    ),
    Column("settings", lambda _, entry: entry.settings),
    Column("precision", lambda _, entry: entry.precision),
)
_TOKENS = (
    Column("real tokens/s", _per_second(lambda entry: entry.tokens)),
    Column("padded tokens/s", _per_second(lambda entry: entry.padded_tokens)),
)
_COMPARED = Column("bertworks is so many times as fast", _ratio)
_LIMITS = (
    Column("peak TFLOP/s", _peak),
    Column("share of peak", _share),
)
_COSTS = (
    Column("peak MB", _memory),
    Column("watts", _watts),
    Column("price of a million tokens", _price),
)
_STEPS = (
    *_WHO,
    Column("sequences/s", _per_second(lambda entry: entry.sequences, 1)),
    *_TOKENS,
    _COMPARED,
    Column("ms a step", _times),
    *_LIMITS,
    *_COSTS,
    Column("largest difference", _difference),
)
_TEXT = (*_WHO[:2], Column("MB/s", _per_second(lambda entry: entry.megabytes, 2)), _COMPARED)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "train": _STEPS,
    "finetune": _STEPS,
    "encode": (
        *_WHO,
        Column("texts/s", _per_second(lambda entry: entry.sequences, 1)),
        *_TOKENS,
        _COMPARED,
        Column("ms a pass", _times),
        *_LIMITS,
        *_COSTS,
        Column("largest difference", _difference),
    ),
    "latency": (
        *_WHO,
        *(Column(f"p{percent}, ms", _percentile(percent)) for percent in (50, 90, 95, 99)),
        _COMPARED,
        *_COSTS[:2],
        Column("largest difference", _difference),
    ),
    "serve": (
        *_WHO,
        Column("requests/s", _per_second(lambda entry: entry.sequences, 1)),
        _TOKENS[0],
        *(Column(f"p{percent}, ms", _percentile(percent)) for percent in (50, 99)),
        _COMPARED,
        *_COSTS,
        Column("largest difference", _difference),
    ),
    "tokenize": (
        *_TEXT,
        Column("lines unlike ours", _unlike),
    ),
    "data": (*_TEXT, Column("seconds", lambda _, entry: f"{entry.seconds:,.2f}"), _COSTS[0]),
}


def rows(report: BenchmarkReport, entries: Sequence[Entry]) -> tuple[list[str], list[list[str]]]:
    """Return the titles and the cells of a table; a contestant that is missing has its reason as its settings."""
    columns = COLUMNS[report.kind]
    cells = [
        [
            *(c.cell(report, e) for c in columns[:1]),
            f"not measured: {e.missing}",
            *("" for _ in columns[2:]),
        ]
        if e.missing
        else [c.cell(report, e) for c in columns]
        for e in entries
    ]
    used = [i for i in range(len(columns)) if any(row[i].strip() for row in cells)]
    return [columns[i].title for i in used], [[row[i].strip() for i in used] for row in cells]


def markdown(report: BenchmarkReport) -> str:
    """Return the report as a page."""
    parts = [f"# {report.title}", " ".join(report.machine.lines()[:1]), *report.about]
    for contest, entries in report.contests().items():
        titles, cells = rows(report, entries)
        lines = [f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles), *cells)]
        parts += [f"## {contest}", "\n".join(lines)]
    parts.append(f"Power: {report.power}. Made by {report.machine.lines()[1]}")
    return "\n\n".join(parts) + "\n"


# Columns that a narrow terminal leaves out, the first one first; the page has them.
_LEFT_OUT = ("share of peak", "p95, ms", "p90, ms", "real tokens/s")
# The least characters of a column of names, and the characters between two columns.
_LEAST_NAME, _BETWEEN = 13, 3


def show(report: BenchmarkReport) -> None:
    """Print the tables on the terminal, without the columns that only the page has."""
    from rich.console import Console  # noqa: PLC0415  (slow to import)
    from rich.table import Table  # noqa: PLC0415

    room = Console().width
    for contest, entries in report.contests().items():
        columns = _shown(report, [entry for entry in entries if not entry.missing])
        widths = _widths(columns, room)
        table = Table(title=contest, title_justify="left", pad_edge=False)
        for title, width in widths.items():
            justify: Literal["left", "right"] = "left" if title in _TEXTS else "right"
            table.add_column(_SHORTER.get(title, title), justify=justify, width=width)
        for row in zip(*(columns[title] for title in widths), strict=True):
            table.add_row(*row)
        Console(width=max(room, _taken(widths))).print(table)
        for entry in entries:
            if entry.missing:
                print(f"{entry.name}: not measured: {entry.missing}")


def _shown(report: BenchmarkReport, measured: Sequence[Entry]) -> dict[str, list[str]]:
    """Return the cells of the terminal's columns by their titles, the contestants first."""
    titles, cells = rows(report, measured)
    ways = len({entry.settings for entry in measured if entry.is_ours})
    names = []
    for entry in measured:
        setting = entry.settings.partition(":")[0].removeprefix("its ").removeprefix("example script's ")
        names.append(entry.name if entry.is_ours and ways == 1 else f"{entry.name}, {setting}")
    figures = {
        title: [row[i].replace("**", "") for row in cells]
        for i, title in enumerate(titles)
        if title not in _ONLY_WRITTEN
    }
    return {**figures, "contestant": names}


def _widths(columns: Mapping[str, Sequence[str]], room: int) -> dict[str, int]:
    """Return the characters of each column that there is room for.

    Names and titles are wrapped, and then columns left out, before a figure is cut: what is left of it would look like
    another figure.
    """
    texts = {title: [_SHORTER.get(title, title), *column] for title, column in columns.items()}
    most = {title: max(map(len, lines)) for title, lines in texts.items()}
    words = {title: max(len(word) for line in lines for word in line.split()) for title, lines in texts.items()}
    widths = {**words, "contestant": min(_LEAST_NAME, most["contestant"])}
    for title in _LEFT_OUT:
        if _taken(widths) > room:
            widths.pop(title, None)
    spare = max(0, room - _taken(widths))
    for title in reversed(widths):  # names come last: they can be wrapped
        more = min(spare, most[title] - widths[title])
        widths[title] += more
        spare -= more
    return widths


def _taken(widths: Mapping[str, int]) -> int:
    """Return the characters of a line with columns so wide, with what is between them."""
    return sum(widths.values()) + _BETWEEN * len(widths) - 1
