"""The texts of standard input."""

from __future__ import annotations

import io
import sys
import time
import types
from pathlib import Path

import pytest

from bertworks.tasks.text_input import GivenText, TextSource


def texts_of(data: bytes, monkeypatch: pytest.MonkeyPatch) -> list[GivenText]:
    """What is read where this comes as standard input."""
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(data)))
    return [text for block in TextSource(paths=[Path("-")]).blocks(print) for text in block]


def test_lines_are_whole_however_they_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["a", "", "b" * (1 << 16), "c" * (3 << 16), "é" * 70_000, "", "end"]
    found = texts_of("\n".join(lines).encode(), monkeypatch)
    assert [text.text for text in found] == [line for line in lines if line]
    assert [text.location for text in found] == [f"standard input, line {n}" for n in (1, 3, 4, 5, 7)]


def test_a_line_of_many_megabytes_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.perf_counter()
    (found,) = texts_of(b"x" * 60_000_000, monkeypatch)
    assert len(found.text) == 60_000_000
    assert time.perf_counter() - start < 8  # joined anew with each part that came, it took a minute
