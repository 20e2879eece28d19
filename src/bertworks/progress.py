"""Progress of long work: a bar on a terminal, elsewhere a plain line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from bertworks.addresses import shown

Advance = Callable[..., None]

# Seconds between plain lines when the output is not a terminal.
PLAIN_INTERVAL = 10.0


def say(message: str) -> None:
    """Print one line for a person, on standard error, at once."""
    print(shown(message), file=sys.stderr, flush=True)


def progress(description: str, total: float | None, unit: str, done: float = 0) -> AbstractContextManager[Advance]:
    """Show progress while the block runs.

    Args:
        total: the amount of work, or None if unknown.
        unit: of `total` and `done` ("MB", "words", "steps").
        done: the amount that an earlier process did.

    Returns:
        a block that gives advance(amount, note=None): count `amount` more as done, and show `note` from now on.
    """
    return (_bar if sys.stderr.isatty() else _lines)(description, total, unit, done)


@contextmanager
def _bar(description: str, total: float | None, unit: str, done: float) -> Iterator[Advance]:
    from rich import progress as bars  # noqa: PLC0415  (slow to import, and only needed on a terminal)
    from rich.console import Console  # noqa: PLC0415

    columns = (
        bars.TextColumn("[bold]{task.description}"),
        bars.BarColumn(bar_width=10),
        bars.TaskProgressColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    # On a narrow terminal the note is cut off, not the bar or the time left.
    room = console.width - len(description) - len(" 0123456789 100% 0:00:00 ")
    with bars.Progress(*columns, console=console, refresh_per_second=4) as bar:
        task = bar.add_task(description, total=total, note="")
        bar.update(task, completed=done)

        def advance(amount: float, note: str | None = None) -> None:
            bar.update(task, advance=amount)
            if note is not None:
                bar.update(task, note=note[: max(0, room)])

        yield advance


@contextmanager
def _lines(description: str, total: float | None, unit: str, before: float) -> Iterator[Advance]:
    start = shown = time.monotonic()
    done, last_note = before, ""

    def line(now: float) -> str:
        rate = (done - before) / max(now - start, 1e-9)
        of = "" if total is None else f"/{total:,.0f}"
        left = "" if not total or not rate else f", {clock((total - done) / rate)} left"
        return f"{description}: {done:,.0f}{of} {unit}, {rate:,.1f} {unit}/s{left} {last_note}".rstrip()

    def advance(amount: float, note: str | None = None) -> None:
        nonlocal done, shown, last_note
        done += amount
        last_note = last_note if note is None else note
        now = time.monotonic()
        if now - shown >= PLAIN_INTERVAL:
            shown = now
            say(line(now))

    yield advance
    now = time.monotonic()
    if now - start >= PLAIN_INTERVAL / 5:
        say(line(now))


def clock(seconds: float) -> str:
    """Format seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
