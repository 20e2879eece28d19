"""TriviaQA in SQuAD form: which pages, which text of them, where the answer is; all of it readable in training."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.tasks.squad.reader import SquadReader
from bertworks.tasks.squad.triviaqa import TriviaConversion, TriviaSettings, beginning, contents, find_answer, write

BRIDGE = {"NormalizedAliases": ["stone bridge", "old bridge"], "Aliases": ["The Stone Bridge", "Old-Bridge"]}


def question(name: str, *pages: str, web: tuple[str, ...] = (), answer: Any = BRIDGE, **more: Any) -> dict[str, Any]:
    return {
        "Answer": answer,
        "EntityPages": [{"Filename": page, "Title": page.removesuffix(".txt")} for page in pages],
        "Question": f"What crosses the river in {name}?",
        "QuestionId": name,
        "SearchResults": [{"Filename": page} for page in web],
        **more,
    }


def released(folder: Path, *questions: Any, **more: Any) -> Path:
    """A file of the release; its lists and names stand in the authors' order, by the alphabet."""
    path = folder / "qa" / "wikipedia-train.json"
    path.parent.mkdir(exist_ok=True)
    content = {"Data": list(questions), "Domain": "Wikipedia", "Split": "train", "VerifiedEval": False, "Version": 1.0}
    path.write_text(json.dumps({**content, **more}, sort_keys=True, indent=1))
    return path


def page(folder: Path, name: str, text: str | bytes, kind: str = "wikipedia") -> None:
    path = folder / "evidence" / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def settings(folder: Path, **more: Any) -> TriviaSettings:
    return TriviaSettings(wikipedia_dir=folder / "evidence/wikipedia", web_dir=folder / "evidence/web", **more)


def convert(path: Path, **more: Any) -> tuple[list[dict[str, Any]], TriviaConversion]:
    """The questions that a file becomes, as a file in SQuAD form has them, with their contexts."""
    conversion = TriviaConversion(path, settings(path.parent.parent, **more))
    to = path.parent.parent / "squad.json"
    write(to, conversion.articles(contents(path)))
    content = json.loads(to.read_text())
    assert content["version"] == "1.1"
    if not conversion.settings.keep_unanswered:
        assert len(list(SquadReader(to, training=True).examples())) == conversion.written
    found = []
    for article in content["data"]:
        (paragraph,) = article["paragraphs"]
        (qa,) = paragraph["qas"]
        for answer in qa["answers"]:
            assert paragraph["context"].startswith(answer["text"], answer["answer_start"])
        found.append({"title": article["title"], "context": paragraph["context"], **qa})
    return found, conversion


def test_every_page_becomes_a_document(tmp_path: Path) -> None:
    page(tmp_path, "River.txt", "River\n\nThere was a bridge.\r\nThe  Stone\u00a0Bridge  fell.\n")
    page(tmp_path, "3/3_7.txt", "An OLD BRIDGE stands.", kind="web")
    page(tmp_path, "3/3_8.txt", "Nothing stands.", kind="web")
    found, conversion = convert(released(tmp_path, question("q", "River.txt", web=("3/3_7.txt", "3/3_8.txt"))))
    text = "What crosses the river in q?"
    context = "River\n\nThere was a bridge.\nThe  Stone Bridge  fell."
    first = {"id": "q--River.txt", "title": "River", "answers": [{"text": "Stone Bridge", "answer_start": 32}]}
    second = {"id": "q--3/3_7.txt", "title": "3/3_7.txt", "answers": [{"text": "OLD BRIDGE", "answer_start": 3}]}
    assert found == [
        {"context": context, "qid": "q", "question": text, **first},
        {"context": "An OLD BRIDGE stands.", "qid": "q", "question": text, **second},
    ]
    assert conversion.summary() == ["1 pages do not have the answer in their first tokens: left out"]


def test_pages_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    page(tmp_path, "a.txt", "A stone bridge.")
    page(tmp_path, "empty.txt", " \n\t")
    page(tmp_path, "latin.txt", b"stone bridge \xe9")
    (tmp_path / "evidence/wikipedia/folder").mkdir()
    names = ("a.txt", "a.txt", "empty.txt", "latin.txt", "folder", "none", "x" * 300, "\ud800", "n\0l")
    found, conversion = convert(released(tmp_path, question("q", *names), question("p", web=("a.txt",))))
    assert [qa["id"] for qa in found] == ["q--a.txt"]
    folder = tmp_path / "evidence/wikipedia"
    assert conversion.summary() == [
        f"6 pages are not there: {folder}/folder, {folder}/none, {folder}/{'x' * 300}, ...",
        "1 pages are not UTF-8: left out",
        "1 pages have no text: left out",
        "1 pages were named before for the same question: left out",
    ]


def test_questions_without_answer_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    page(tmp_path, "a.txt", "A ford.")
    test = question("q", "a.txt")
    del test["Answer"]
    path = released(tmp_path, question("p", "a.txt"), test, question("r", "a.txt", answer=None), Split="test")
    found, conversion = convert(path, keep_unanswered=True)
    assert [(qa["id"], qa["answers"]) for qa in found] == [("p--a.txt", []), ("q--a.txt", []), ("r--a.txt", [])]
    assert conversion.summary() == ["3 pages do not have the answer in their first tokens: written without an answer"]
    assert len(list(SquadReader(tmp_path / "squad.json", training=False).examples())) == 3
    with pytest.raises(InputError, match=r"no question is left \(3 pages do not have .*: --keep_unanswered"):
        convert(path)


def test_only_what_people_have_verified(tmp_path: Path) -> None:
    page(tmp_path, "a.txt", "A stone bridge.")
    page(tmp_path, "b.txt", "A stone bridge.")
    good, bad = (
        question(name, "a.txt", "b.txt", QuestionPartOfVerifiedEval=name == "good") for name in ("good", "bad")
    )
    good["EntityPages"][1]["DocPartOfVerifiedEval"] = True
    bad["EntityPages"][1]["DocPartOfVerifiedEval"] = True
    everything = ["bad--a.txt", "bad--b.txt", "good--a.txt", "good--b.txt"]
    for more, ids in (
        ({"VerifiedEval": False}, everything),
        ({"VerifiedEval": True}, everything[2:]),
        ({"VerifiedEval": True, "Domain": "Web"}, everything[3:]),
    ):
        found, _ = convert(released(tmp_path, bad, good, Split="dev", **more))
        assert [qa["id"] for qa in found] == ids


def test_the_sample_is_that_of_the_authors(tmp_path: Path) -> None:
    names = [f"{number}.txt" for number in range(20)]
    for name in names:
        page(tmp_path, name, "A stone bridge.")
        page(tmp_path, name, "An old bridge.", kind="web")
    questions = [question(str(n), *names[n : n + 3], web=tuple(names[:n])) for n in range(10)]
    # What random.shuffle does to the authors' list of pages.
    expected = [f"{n}--{name}" for n in range(10) for name in (*names[n : n + 3], *names[:n])]
    random.Random(3).shuffle(expected)
    path = released(tmp_path, *questions, Domain="Web")
    found, conversion = convert(path, seed=3, sample_size=12)
    # A page that is named twice for a question counts as two.
    assert sorted(qa["id"] for qa in found) == sorted(set(expected[:12]))
    assert conversion.written == len(found)
    assert len(convert(path, seed=4, sample_size=1000)[0]) == len(set(expected))
    for more in ({"Domain": "Wikipedia"}, {"Domain": "Web", "Split": "dev"}):
        assert len(convert(released(tmp_path, *questions, **more), sample_size=12)[0]) == len(set(expected))


@pytest.mark.parametrize(
    ("text", "tokens", "expected"),
    [
        ("It's 3.5 km.", 2, "It's 3.5"),
        ("It's 3.5 km.", 3, "It's 3.5 km"),
        ("It's 3.5 km.", 99, "It's 3.5 km."),
        ("  a\n\nb c", 3, "a"),
        ("  a\n\nb c", 4, "a\n\nb"),
        ("a\tb\u2028c\x0bd", 4, "a b c d"),
        ("... well-known", 4, "... well-known"),
        ("", 5, ""),
        ("\n\n", 5, ""),
    ],
)
def test_the_beginning_of_a_page(text: str, tokens: int, expected: str) -> None:
    assert beginning(text, tokens) == expected


@pytest.mark.parametrize(
    ("context", "aliases", "whole_words", "expected"),
    [
        ("The party, the art.", ["art"], True, "art"),
        ("The party.", ["art"], True, None),
        ("The pArty.", ["art"], False, "Art"),
        ("Old Bridge, Stone Bridge", ["stone bridge", "old bridge"], True, "Stone Bridge"),
        ("the stone  BRIDGE", ["stone bridge"], True, "stone  BRIDGE"),
        ("the stone\nbridge", ["stone bridge"], True, None),
        ("Rolls-Royce", ["rolls royce", "Rolls-Royce"], True, "Rolls-Royce"),
        ("It cost $5 (then).", ["$5"], True, "$5"),
        ("C++ or C", ["c"], True, "C"),
        ("a. (b", [".*", "(", "("], False, "("),
        ("anything", ["", " "], False, None),
        ("İstanbul", ["i̇stanbul"], True, None),
        ("ΟΔΟΣ", ["οδος"], True, "ΟΔΟΣ"),
    ],
)
def test_where_an_answer_is(context: str, aliases: list[str], whole_words: bool, expected: str | None) -> None:
    span = find_answer(context, aliases, whole_words)
    assert (span and context[span[0] : span[1]]) == expected


@given(
    st.text("aAbİß .,\n\u2028", max_size=30), st.lists(st.text("aAbİß .", max_size=4)), st.booleans(), st.integers(1, 9)
)
def test_an_answer_is_where_it_is_said_to_be(text: str, aliases: list[str], whole_words: bool, tokens: int) -> None:
    context = beginning(text, tokens)
    assert len(context) <= len(text)
    span = find_answer(context, aliases, whole_words)
    if span:
        answer = " ".join(context[span[0] : span[1]].split())
        assert answer.lower() in [" ".join(alias.lower().split()) for alias in aliases] or "İ" in "".join(aliases)
    elif not whole_words and context.isascii():
        assert not any(alias.strip() and alias.strip().lower() in context.lower() for alias in aliases)


@pytest.mark.parametrize("name", ["../x.txt", "a/../../x.txt", "/etc/passwd", "//x", "", "."])
def test_names_that_lead_out_of_their_folder_are_refused(tmp_path: Path, name: str) -> None:
    page(tmp_path, "../../x.txt", "A stone bridge.")
    with pytest.raises(InputError) as caught:
        convert(released(tmp_path, question("q", name)))
    path = tmp_path / "qa/wikipedia-train.json"
    assert str(caught.value) == (f"{path}, question 1 'q': the Filename {name!r} leads out of its folder; fix the file")
    assert not (tmp_path / "squad.json").exists()


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ([], 'train.json: has no questions: a file of TriviaQA is {"Data": [...], "Domain": ...}'),
        (["q"], "train.json, question 1: should be an object, but is str"),
        ([question("q"), question("q")], "question 2 'q': a second question has this id"),
        ([question("q")], "train.json: no question is left (has no pages)"),
        ([question("q", "b.txt")], "train.json: all its 1 pages are missing, such as "),
        ([{"Question": "What?"}], "question 1: 'QuestionId' should be a text, but is missing"),
        ([question("q", EntityPages=3)], "question 1 'q': 'EntityPages' should be a list, but is int"),
        ([question("q", EntityPages=[{}])], "question 1 'q': 'Filename' should be a text, but is missing"),
        ([question("q", "a.txt", Question=3)], "question 1 'q': 'Question' should be a text, but is int"),
        ([question("q", "a.txt", answer=["x"])], "question 1 'q': 'Answer' should be an object, but is list"),
        ([question("q", "a.txt", answer={"Aliases": [3]})], "question 1 'q': 'Aliases' should be a list of texts"),
    ],
)
def test_mistakes(tmp_path: Path, questions: list[Any], message: str) -> None:
    page(tmp_path, "a.txt", "A stone bridge.")
    path = released(tmp_path, *questions)
    with pytest.raises(InputError) as caught:
        convert(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_named_with_line_and_column(tmp_path: Path) -> None:
    path = released(tmp_path, question("q", "a.txt"))
    path.write_text(path.read_text().replace('"QuestionId":', '"QuestionId"'))
    with pytest.raises(
        InputError, match=r"train.json, line 21, column 17: not the JSON expected \(Expecting ':' delim"
    ):
        contents(path)
