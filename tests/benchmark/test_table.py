"""Reports as pages, on terminals and as pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bertworks.benchmark import picture, table
from tests.benchmark.entries import BASE, entry, report

MISSING = replace(BASE, name="openvino", version="", missing="openvino is not there: pip install openvino")


def cells(page: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]


def test_a_page_has_a_line_for_each_contestant_and_says_where_it_was_made() -> None:
    page = table.markdown(report(entry((1.0,)), entry((2.0,), name="transformers", difference=1e-6), MISSING))
    titles, _, ours, theirs, missing = cells(page)
    assert {len(row) for row in cells(page)} == {len(titles)}
    assert ours[titles.index("real tokens/s")] == "4,096"
    assert theirs[titles.index("bertworks is so many times as fast")] == "**2.00** (2.00 to 2.00)"
    assert theirs[titles.index("largest difference")] == "1.0e-06"
    assert missing[:2] == ["openvino", "not measured: openvino is not there: pip install openvino"]
    for told in (
        "2026-11-30",
        "A Processor (avx2)",
        "4 cores",
        "may use 2",
        "Python 3.11",
        "Commit abc",
        "`bert bench",
    ):
        assert told in page


def test_columns_without_a_figure_are_left_out() -> None:
    titles = cells(table.markdown(report(entry((1.0,)))))[0]
    assert not {"watts", "price of a million tokens", "share of peak"}.intersection(titles)
    priced = report(entry((1.0,), peak=1e12), price=2.0)
    titles = cells(table.markdown(priced))[0]
    assert {"price of a million tokens", "share of peak", "peak TFLOP/s"} <= set(titles)


@pytest.mark.parametrize("kind", table.COLUMNS)
def test_every_kind_has_a_table_and_a_picture(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = report(entry((1.0,), megabytes=2.0), entry((2.0,), name="peer", megabytes=2.0), MISSING, kind=kind)
    assert "peer" in table.markdown(both)
    table.show(both)
    shown = capsys.readouterr().out
    assert "peer" in shown
    assert "openvino: not measured" in shown
    picture.draw(both, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_long_names_leave_room_for_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = "shards, from which any length and mask is drawn by one process"
    both = report(entry((1.0,), settings=long), entry((1.0,), settings="records"), entry((4.0,), name="peer"))
    table.show(both)
    shown = capsys.readouterr().out
    assert "4.00 (4.00" in shown
    assert {"ours", "faster", "from", "which"} <= set(shown.replace("\u2502", " ").replace("\u2503", " ").split())


@pytest.mark.parametrize("kind", ["latency", "encode", "serve", "train"])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_figure_is_cut_off(
    kind: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 6.0e-08 would be left 6.0."""
    monkeypatch.setenv("COLUMNS", str(width))
    settings = "its example script's defaults: sdpa"
    both = report(
        entry((0.0023,), peak=1e12),
        entry((0.1234, 0.2), name="sentence-transformers", settings=settings, difference=6.0e-08, peak=1e12),
        kind=kind,
    )
    table.show(both)
    shown = capsys.readouterr().out
    words = set(shown.replace("\u2502", " ").split())
    assert {"(70.30", "6.0e-08"} <= words
    if width >= 80:
        assert max(map(len, shown.splitlines())) <= width
    if kind == "latency":
        assert ("p95," in words) is (width == 200)


def test_nothing_measured_draws_no_picture(tmp_path: Path) -> None:
    picture.draw(report(MISSING), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
