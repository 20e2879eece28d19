"""`bert convert_triviaqa` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bertworks import cli
from bertworks.tasks.squad.reader import SquadReader


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The folders of the release, with a question and two pages."""
    for kind, text in (("wikipedia", "The Mill is old."), ("web", "It is an old mill.")):
        (tmp_path / "evidence" / kind).mkdir(parents=True)
        (tmp_path / "evidence" / kind / "1.txt").write_text(text)
    question = {
        "QuestionId": "q1",
        "Question": "What is old?",
        "Answer": {"NormalizedAliases": ["mill"]},
        "EntityPages": [{"Filename": "1.txt"}],
        "SearchResults": [{"Filename": "1.txt"}, {"Filename": "2.txt"}],
    }
    (tmp_path / "qa").mkdir()
    (tmp_path / "qa" / "web-dev.json").write_text(json.dumps({"Data": [question], "Domain": "Web", "Split": "dev"}))
    return tmp_path


def run(release: Path, *words: str) -> int:
    files = (f"--triviaqa_file={release}/qa/web-dev.json", f"--squad_file={release}/squad.json")
    return cli.main(["convert_triviaqa", *files, *words])


def test_a_release_is_converted(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(release, "--tokenizer=tokenizers/punkt/english.pickle") == 0
    assert capsys.readouterr().err.splitlines() == [
        f"{release}/squad.json: 1 questions, of 3 pages",
        f"1 pages are not there: {release}/evidence/web/2.txt",
        "1 pages were named before for the same question: left out",
    ]
    (example,) = SquadReader(release / "squad.json", training=True).examples()
    assert (example.id, example.answer and example.answer.text) == ("q1--1.txt", "Mill")


def test_the_folders_may_be_anywhere(release: Path) -> None:
    (release / "evidence").rename(release / "pages")
    folders = [f"--wikipedia_dir={release}/pages/wikipedia", f"--web_dir={release}/pages/web"]
    assert run(release, *folders, "--max_num_tokens=2") == 0
    (example,) = SquadReader(release / "squad.json", training=True).examples()
    assert example.document.text == "The Mill"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--web_dir=nowhere"], "--web_dir=nowhere: no such folder"),
        (["--max_num_tokens=0"], "--max_num_tokens: 0 must be at least 1"),
        (["--triviaqa_file=none.json"], "none.json: no such file"),
        (["--squad_file=/"], "--squad_file=/: is a folder"),
        (["--max_num_tokens=1"], "no question is left (1 pages do not have the answer"),
    ],
)
def test_mistakes(release: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(release, *words) == 2
    assert message in capsys.readouterr().err
    assert not (release / "squad.json").exists()


def test_the_release_is_not_written_over(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(release, f"--squad_file={release}/qa/../qa/web-dev.json") == 2
    assert "is --triviaqa_file; give another name" in capsys.readouterr().err
