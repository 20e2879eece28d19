"""Explanations as a page and as pictures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bertworks.tasks.explain.shown import as_html, draw_attentions, draw_explanation
from tests.export.builders import load

TEXT = "The cat <b>sat</b> & went $1 to $2 青湖"


class Words(HTMLParser):
    """The text of a page, and its marked words."""

    def __init__(self) -> None:
        super().__init__()
        self.marked: list[str] = []
        self.open: list[str] = []
        self.whole = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["mark"]:
            self.marked.append(data)
        if "p" in self.open and self.open[-1] in ("p", "mark"):
            self.whole += data


def test_the_page_shows_the_text_as_it_is(tmp_path: Path) -> None:
    (found,) = load(tmp_path, "single").explain(TEXT)
    page = as_html([found])
    parser = Words()
    parser.feed(re.sub(r'<meta charset="utf-8">', "", page).removeprefix("<!DOCTYPE html>"))
    assert TEXT in parser.whole
    assert parser.marked == [word.text for word in found.contributions]
    assert "<script" not in page
    assert "http" not in page
    assert f"{found.strongest[0].value:+.3f}" in page


@pytest.mark.parametrize("draw", ["words", "attentions"])
def test_pictures(tmp_path: Path, draw: str) -> None:
    pretrained = load(tmp_path, "single")
    path = tmp_path / "picture.png"
    if draw == "words":
        draw_explanation(path, pretrained.explain(TEXT)[0])
    else:
        draw_attentions(path, pretrained.attentions(TEXT), 1)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 5000
