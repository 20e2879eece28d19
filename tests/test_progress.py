"""Progress as plain lines, and on a terminal."""

import sys
from types import SimpleNamespace

from bertworks import progress as module
from bertworks.progress import clock, progress


def test_plain_lines_tell_rate_time_left_and_note(capsys, monkeypatch) -> None:
    now = iter([0.0, 5.0, 10.0, 12.0, 20.0])
    # Only this module's clock: a server of other tests may run in this process.
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(now)))
    with progress("reading", 100, "MB") as advance:
        advance(10)
        advance(10, "well")
        advance(5)
    assert capsys.readouterr().err.splitlines() == [
        "reading: 20/100 MB, 2.0 MB/s, 0:40 left well",
        "reading: 25/100 MB, 1.2 MB/s, 1:00 left well",
    ]


def test_short_work_prints_nothing(capsys) -> None:
    with progress("reading", None, "MB") as advance:
        advance(1)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress("reading", 10, "MB") as advance:
        advance(10, "well")
    assert "reading" in capsys.readouterr().err


def test_clock() -> None:
    assert [clock(s) for s in (0, 61, 3723)] == ["0:00", "1:01", "1:02:03"]
