"""Files in SQuAD form: words, answers, what is left out, and what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.squad.documents import GoldAnswer, SquadExample
from bertworks.tasks.squad.reader import GoldAnswers, SquadReader, read_gold_answers
from tests.tasks.squad import slow_squad


def question(name: str = "q", answer: str = "old mill", begin: Any = 4, **more: Any) -> dict[str, Any]:
    return {"id": name, "question": "What?", "answers": [{"text": answer, "answer_start": begin}], **more}


def without_answer(name: str = "q") -> dict[str, Any]:
    return {"id": name, "question": "What?", "answers": [], "is_impossible": True}


def squad(folder: Path, *qas: Any, context: Any = "The old mill.") -> Path:
    path = folder / "squad.json"
    path.write_text(json.dumps({"data": [{"title": "Mills", "paragraphs": [{"context": context, "qas": qas}]}]}))
    return path


def read(path: Path, training: bool = True, version_2: bool = False) -> list[SquadExample]:
    return list(SquadReader(path, training, version_2).examples())


def test_questions_share_their_document_and_have_their_answers(tmp_path: Path) -> None:
    first, second = read(squad(tmp_path, question("1"), question("2", "mill", 8)))
    assert first.document is second.document
    assert [first.id, second.id] == ["1", "2"]
    assert first.answer == GoldAnswer("old mill", 4, 1, 2)
    assert second.answer == GoldAnswer("mill", 8, 2, 2)


def test_a_blank_before_all_words_is_of_the_last_one(tmp_path: Path) -> None:
    """As in the original, where its word is number -1."""
    path = squad(tmp_path, question("1", "   b", 0), question("2", " a", 0), context=" a b")
    reading = SquadReader(path, training=True)
    assert [example.answer for example in reading.examples()] == [GoldAnswer("   b", 0, 1, 1)]
    assert [example.id for example in slow_squad.read(path, True, False)] == ["1"]
    assert len(reading.bad.notes) == 1


def test_in_prediction_answers_are_not_looked_at(tmp_path: Path) -> None:
    path = squad(tmp_path, {"id": "1", "question": "What?"}, question("2", "elsewhere", -1))
    assert [example.answer for example in read(path, training=False)] == [None, None]


def test_questions_without_answer_are_for_version_2(tmp_path: Path) -> None:
    path = squad(tmp_path, without_answer("1"), question("2", is_impossible=False))
    assert [example.answer for example in read(path, version_2=True)] == [None, GoldAnswer("old mill", 4, 1, 2)]
    with pytest.raises(InputError, match=r"question '1': has no answer; set --version_2_with_negative for a SQuAD 2.0"):
        read(path)
    reading = SquadReader(path, training=False)
    assert len(list(reading.examples())) == 2
    assert "1 questions are without answer, as in SQuAD 2.0" in reading.notes[0]


def test_files_of_version_1_are_told_apart(tmp_path: Path) -> None:
    path = squad(tmp_path, question())
    with pytest.raises(InputError, match=r"no question says is_impossible and each .*; leave out --version_2"):
        read(path, version_2=True)
    reading = SquadReader(path, training=False, version_2_with_negative=True)
    assert len(list(reading.examples())) == 1
    assert "no question says is_impossible, as in SQuAD 1.1" in reading.notes[0]


def test_version_2_without_is_impossible(tmp_path: Path) -> None:
    """As the hub's data sets are saved: an empty list of answers says it."""
    path = squad(tmp_path, {"id": "1", "question": "What?", "answers": []}, question("2"))
    reading = SquadReader(path, training=True, version_2_with_negative=True)
    assert [example.answer for example in reading.examples()] == [None, GoldAnswer("old mill", 4, 1, 2)]
    said = "2 questions do not say is_impossible; the 1 of them with an empty list of answers count as without answer"
    assert reading.notes == [f"{path}: {said}"]
    # The advice of one flag does not lead back to the other.
    with pytest.raises(InputError, match="question '1': has no answer; set --version_2_with_negative"):
        read(path)
    contradictory = {"id": "1", "question": "What?", "answers": [], "is_impossible": False}
    with pytest.raises(InputError, match="has no answer, but is_impossible says that it has one"):
        read(squad(tmp_path, contradictory), version_2=True)


@pytest.mark.parametrize(("said", "answer"), [("True", None), ("false", 1), (1, None), (0, 1), (1.0, None), (None, 1)])
def test_is_impossible_in_other_types(tmp_path: Path, said: Any, answer: object) -> None:
    path = squad(tmp_path, question("1", is_impossible=said), question("2", is_impossible=False), without_answer("3"))
    assert (read(path, version_2=True)[0].answer is None) == (answer is None)
    assert read_gold_answers(path).is_version_2
    with pytest.raises(InputError, match="question '1': is_impossible should be true or false, but is maybe"):
        read(squad(tmp_path, question("1", is_impossible="maybe")), version_2=True)


@pytest.mark.parametrize("begin", [4.0, "4", " 4 ", "4.0", "4."])
def test_offsets_of_other_types_are_read_and_counted(tmp_path: Path, begin: Any) -> None:
    reading = SquadReader(squad(tmp_path, question("1", begin=begin), question("2", "mill", 8)), training=True)
    assert [example.answer.begin for example in reading.examples() if example.answer] == [4, 8]
    assert "1 question is odd but is read: answer_start should be a whole number" in reading.notes[0]
    assert "question '1'" in reading.notes[0]


NFC, NFD = "Zoé bought 가지 near Orléans.", "Zoe\u0301 bought \u1100\u1161\u110c\u1175 near Orle\u0301ans."


@pytest.mark.parametrize(
    ("context", "answer", "begin", "found", "why"),
    [
        (NFD, "Orléans", NFD.index("Or"), "Orle\u0301ans", "only the Unicode composition differs"),
        (NFC, "Orle\u0301ans", NFC.index("Or"), "Orléans", "only the Unicode composition differs"),
        (NFC, "Orléans", NFD.index("Or"), "Orléans", "of the decomposed text (Unicode NFD)"),
        (12 * "e\u0301" + " the mill", "mill", 17, "mill", "of the composed text (Unicode NFC)"),
        (NFD, "가지", NFC.index("가"), "\u1100\u1161\u110c\u1175", "of the composed text (Unicode NFC)"),
        ("the old\u00a0mill", "old mill", 4, "old\u00a0mill", "only the white space differs"),
        ("the old\u00a0mill", "old\u00a0mill", 4, "old\u00a0mill", "only the white space differs"),
        ("the old  mill G", "old mill G", 4, "old  mill G", "only the white space differs"),
        ("\U0001f600" * 9 + " a mill", "mill", 21, "mill", "UTF-16 units"),
        ("ßäöüßäöü a mill", "mill", 19, "mill", "UTF-8 bytes"),
        # Beyond the context as Python counts it.
        ("\U0001f600" * 9 + " mill", "mill", 19, "mill", "UTF-16 units"),
    ],
)
def test_offsets_that_count_otherwise_are_read_and_counted(
    tmp_path: Path, context: str, answer: str, begin: int, found: str, why: str
) -> None:
    reading = SquadReader(squad(tmp_path, question("q", answer, begin), context=context), True)
    (example,) = reading.examples()
    assert example.answer is not None
    assert example.answer.text == found == context[example.answer.begin : example.answer.begin + len(found)]
    words = example.document.words[example.answer.first_word : example.answer.last_word + 1]
    assert found.replace("  ", " ") in " ".join(words)
    assert f"{why}; the first: " in reading.notes[0]
    assert not reading.bad.notes


def test_answers_that_are_elsewhere_are_left_out_or_refused(tmp_path: Path) -> None:
    path = squad(tmp_path, question("1"), question("2", "mill", 0), question("3", "ol", 5))
    reading = SquadReader(path, training=True)
    # An answer need only be somewhere in the words that its offset and length touch, as in the original.
    assert [example.id for example in reading.examples()] == ["1", "3"]
    assert len(reading.bad.notes) == 1
    assert reading.bad.notes[0].endswith(
        "question '2': could not find the answer 'mill' at 0, where it says 'The'; the context has it at 8"
    )
    with pytest.raises(
        InputError, match=r"question '2': could not find .* \(to leave out such rows: --on_bad_row=skip\)"
    ):
        list(SquadReader(path, training=True, bad=BadRows("error")).examples())
    with pytest.raises(InputError, match=r"has no question that can be used; the first: .*could not find the answer"):
        read(squad(tmp_path, question("2", "mill", 0)))


@pytest.mark.parametrize(
    ("qas", "message"),
    [
        ([question(begin=6)], "answer_start is 6, which puts the answer outside of the context of 13 characters"),
        ([question(begin=-2)], "answer_start is -2"),
        ([question(begin="four")], "answer_start should be a whole number, but is 'four'"),
        ([question(begin=4.5)], "answer_start should be a whole number, but is 4.5"),
        ([question(begin=True)], "answer_start should be a whole number, but is True"),
        ([question(begin=float("nan"))], "answer_start should be a whole number, but is nan"),
        ([question(begin=None)], "answer_start should be a whole number, but is missing"),
        ([question(begin=1e300)], "which puts the answer outside"),
        ([question(answer=" ")], "question 'q': the answer is empty"),
        ([question(answers=[])], "question 'q': has no answer; set --version_2_with_negative"),
        ([question(answers=2 * question()["answers"])], "question 'q': has 2 answers"),
        ([question(answers=[3])], "'answers' should hold objects, but has int"),
        ([question(answers="mill")], "'answers' should be a list, but is str"),
        ([question(name=3.5)], "paragraph 1: 'id' should be a text, but is float"),  # type: ignore[arg-type]
        ([{"id": "q", "answers": []}], "question 'q': 'question' should be a text, but is missing"),
        (["What?"], "'qas' should hold objects, but has str"),
        ([], "has no question that can be used"),
    ],
)
def test_bad_questions_are_named(tmp_path: Path, qas: list[Any], message: str) -> None:
    path = squad(tmp_path, *qas)
    with pytest.raises(InputError) as caught:
        read(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}{', article 1' if qas else ''}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("", "article 1 'Mills', paragraph 1: the context is empty; remove the paragraph"),
        (" \t\n", "paragraph 1: the context is empty"),
        (None, "paragraph 1: 'context' should be a text, but is missing"),
    ],
)
def test_bad_contexts_are_named(tmp_path: Path, context: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(squad(tmp_path, question(), context=context), training=False)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"q1": "an answer"}, 'has no articles: a file in SQuAD form is {"data": [...]}'),
        ({"data": []}, "has no articles"),
        ({"data": ["a"]}, "article 1: should be an object with paragraphs, but is str"),
        ({"data": [{"title": "A\nB"}]}, "article 1 'A B': 'paragraphs' should be a list, but is missing"),
        ({"data": {}}, "line 1, column 10: not the JSON expected ('[' was expected)"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_ids_that_repeat_are_told_in_training_and_refused_in_prediction(tmp_path: Path) -> None:
    path = squad(tmp_path, question("1"), question("1 (1)"), *[question("1") for _ in range(3)])
    reader = SquadReader(path, training=True)
    assert len({example.id for example in reader.examples()}) == 5
    (note,) = reader.notes
    assert note.startswith(f"{path}: 3 questions are odd but are read: the id is that of another question; the first: ")
    assert note.endswith("paragraph 1, question '1'")
    for refuses in (lambda: read(path, training=False), lambda: read_gold_answers(path)):
        with pytest.raises(InputError, match=r"paragraph 1: a second question has id '1'; make ids unique"):
            refuses()


def test_empty_questions_are_read_and_counted(tmp_path: Path) -> None:
    path = squad(tmp_path, question("1"), {**question("2"), "question": ""}, {**question("3"), "question": " \u200b"})
    reader = SquadReader(path, training=True)
    assert [example.id for example in reader.examples()] == ["1", "2", "3"]
    assert len(reader.notes) == 1
    assert "2 questions are odd but are read: the question is empty; the first: " in reader.notes[0]


def test_whole_numbers_are_ids_as_in_predictions_json(tmp_path: Path) -> None:
    path = squad(tmp_path, question(name=3))  # type: ignore[arg-type]
    assert [example.id for example in SquadReader(path, training=False).examples()] == ["3"]


def data_set(*questions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"data": [{"paragraphs": [{"context": "x", "qas": list(questions)}]}], **more}


def write(folder: Path, content: Any) -> Path:
    path = folder / "file.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(json.dumps(content))
    return path


ONE = {"id": "q", "answers": [{"text": "x", "answer_start": 0}]}


@pytest.mark.parametrize(
    ("more", "is_version_2"),
    [({"version": "1.1"}, False), ({}, False), ({"version": "v2.0"}, True), ({"version": 2.0}, True)],
)
def test_the_version(tmp_path: Path, more: dict[str, Any], is_version_2: bool) -> None:
    found = read_gold_answers(write(tmp_path, data_set(ONE, **more)))
    assert found == GoldAnswers(str(more.get("version", "")), {"q": ["x"]}, is_version_2)


def test_a_question_without_answer_tells_the_version(tmp_path: Path) -> None:
    assert read_gold_answers(write(tmp_path, data_set(ONE, {"id": "p", "answers": []}, version="1.1"))).is_version_2
    assert read_gold_answers(write(tmp_path, data_set({**ONE, "is_impossible": True}))).is_version_2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"data": [\n  }', "file.json, line 2, column 3: not the JSON expected (Expecting value)"),
        (b'{"data": "\xff"}', "file.json, line 1, byte 11: not UTF-8"),
        (b"[" * 100_000, "file.json, line 1, column 2: not the JSON expected (lists or objects are nested too deeply"),
        (b"1" * 5000, "file.json, line 1, column 1: not the JSON expected ('{' was expected)"),
        (b"", "file.json, line 1, column 1: not the JSON expected"),
        ([], "file.json: has no articles"),
        ({"q": "x"}, 'file.json: has no articles: a file in SQuAD form is {"data": [...]}'),
        ({"data": [{"paragraphs": [3]}]}, "file.json, article 1: 'paragraphs' should hold objects, but has int"),
        (data_set({"answers": []}), "article 1, paragraph 1: 'id' should be a text, but is missing"),
        (data_set({"id": "q"}), "article 1, paragraph 1, question 'q': 'answers' should be a list, but is missing"),
        (data_set(ONE, ONE), "article 1, paragraph 1: a second question has id 'q'"),
        (data_set({"id": "q", "answers": [{}]}), "paragraph 1, question 'q': 'text' should be a text, but is missing"),
        (data_set(), "file.json: has no question"),
    ],
)
def test_what_is_no_data_set(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_gold_answers(write(tmp_path, content))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
