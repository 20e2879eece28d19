"""`bert explain` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.runs import run
from tests.export.builders import save


def test_a_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = f"--model={save(tmp_path / 'model', 'single')}"
    pictures = (f"--picture_file={tmp_path / 'a.png'}", f"--attention_file={tmp_path / 'b.png'}")
    assert run("explain", "the cat sat", model, "--device=cpu", f"--html_file={tmp_path / 'a.html'}", *pictures) == 0
    out = capsys.readouterr().out
    assert out.startswith("class: ")
    assert "All words together: " in out
    assert all((tmp_path / name).stat().st_size > 500 for name in ("a.html", "a.png", "b.png"))
    assert run("explain", "the cat sat", model, "--format=jsonl", "--label=yes", "--device=cpu") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["decision"] == "class: yes"


def test_an_answer_and_entities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = f"--model={save(tmp_path / 'answers', 'answers')}"
    assert run("explain", "who sat ?", "--text_pair=the cat sat on the mat", model, "--device=cpu") == 0
    assert capsys.readouterr().out.startswith("answer: ")
    assert run("explain", "who sat ?", model, "--device=cpu") == 2
    assert "give a question and a document" in capsys.readouterr().err
    model = f"--model={save(tmp_path / 'tokens', 'tokens')}"
    assert run("explain", "the cat sat on the mat", model, "--device=cpu", "--layer=7") == 2
    assert "--layer=7: the model has layers 0 to 1" in capsys.readouterr().err
    assert run("explain", "the cat sat on the mat", model, "--device=cpu") == 0
    assert "log-odds of its tags" in capsys.readouterr().out
