"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[..., None]

# Seconds between plain lines when the output is not a terminal.
PLAIN_INTERVAL = 10.0


def say(message: str) -> None:
    """Print one line for a person, on standard error, at once."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def progress(description: str, total: float | None, unit: str, done: float = 0) -> Iterator[Advance]:
    """Show progress while the block runs.

    Args:
        description: what is being done.
        total: how much there is to do, or None if unknown.
        unit: what is counted ("MB", "words", "steps").
        done: how much of it was done before, by an earlier process.

    Yields:
        advance(amount, note=""): tell that `amount` more is done; `note` is shown beside it.
    """
    bar = _bar if sys.stderr.isatty() else _lines
    with bar(description, total, unit, done) as advance:
        yield advance


@contextmanager
def _bar(description: str, total: float | None, unit: str, done: float) -> Iterator[Advance]:
    from rich.console import Console  # noqa: PLC0415  (slow to import, and only needed on a terminal)
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=10),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    # The note gives way on a narrow terminal, not the bar and the time left.
    room = console.width - len(description) - len(" 0123456789 100% 0:00:00 ")
    with Progress(*columns, console=console, refresh_per_second=4) as bar:
        task = bar.add_task(description, total=total, note="")
        bar.update(task, completed=done)

        def advance(amount: float, note: str | None = None) -> None:
            if note is None:
                bar.update(task, advance=amount)
            else:
                bar.update(task, advance=amount, note=note[: max(0, room)])

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
    """Seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
