"""Files in SQuAD form as a stream of examples, an article in memory at a time, by the original's rules.

The original: `read_squad_examples` in https://github.com/google-research/bert/blob/master/run_squad.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.squad import json_stream
from bertworks.tasks.squad.documents import Document, GoldAnswer, SquadExample
from bertworks.tasks.squad.score import Gold

# Where CMRC 2018 says that an answer begins which is not in its text.
NOWHERE = -1


@dataclass(frozen=True)
class Paragraph:
    """A text of a file, and the questions about it.

    Attributes:
        place: where it stands, for messages.
        values: as the file has it.
        questions: id -> the question as the file has it, in order.
    """

    place: str
    values: dict[str, Any]
    questions: dict[str, dict[str, Any]]


def paragraphs(path: Path, others: dict[str, Any] | None = None) -> Iterator[Paragraph]:
    """The paragraphs of a file in SQuAD form; of texts, answers and questions only the ids are looked at.

    Args:
        path: the file.
        others: gets what else the file says, such as its version; it is complete at the end.

    Raises:
        InputError: the file is not JSON in SQuAD form (names line and column, or article and paragraph), or two
            questions have one id.
    """
    ids: set[str] = set()
    for place, article in _articles(path, others):
        for number, values in enumerate(json_stream.items(article, "paragraphs", place), 1):
            paragraph = Paragraph(f"{place}, paragraph {number}", values, {})
            for qa in json_stream.items(values, "qas", paragraph.place):
                # As JSON's keys, which are texts, the original writes numbers too.
                whole_number = type(qa.get("id")) is int
                name = str(qa["id"]) if whole_number else json_stream.text(qa, "id", paragraph.place)
                if name in ids:
                    raise InputError(
                        f"{paragraph.place}: a second question has id {json_stream.short(name)}; make ids unique"
                    )
                ids.add(name)
                paragraph.questions[name] = qa
            yield paragraph


def place_of(place: str, question: str) -> str:
    """Where a question of a paragraph at `place` stands, for messages."""
    return f"{place}, question {json_stream.short(question)}"


def _articles(path: Path, others: dict[str, Any] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The articles of a file, and the place of each for messages."""
    number = 0
    for number, article in enumerate(json_stream.members(path, "data", others), 1):
        place = f"{path}, article {number}"
        if not isinstance(article, dict):
            raise InputError(f"{place}: should be an object with paragraphs, but is {json_stream.kind(article)}")
        if "context_text" in article:
            raise InputError(
                f"{place}: is in CMRC 2018's own form; give the file of the same name in SQuAD form, from the folder "
                "squad-style-data of the release (`bert download_data cmrc2018`)"
            )
        title = article.get("title")
        yield place + (f" {json_stream.short(title)}" if isinstance(title, str) and title else ""), article
    if not number:
        raise InputError(f'{path}: has no articles: a file in SQuAD form is {{"data": [...]}}')


@dataclass
class SquadReader:
    """How a file is read, and what there is to say about it afterwards.

    Attributes:
        path: the file.
        training: whether answers are wanted.
        version_2_with_negative: whether questions may be without answer.
        bad: gets the questions whose answer is not where the file says: left out, as in the original.
        notes: what a person should know, after reading.
    """

    path: Path
    training: bool
    version_2_with_negative: bool = False
    bad: BadRows = field(default_factory=lambda: BadRows("skip"))
    notes: list[str] = field(default_factory=list)

    def examples(self) -> Iterator[SquadExample]:
        """The questions of the file, in order; those that cannot be used in training are left out.

        Raises:
            InputError: the file is not JSON in SQuAD form (names line and column, or article, paragraph and question);
                two questions have one id; a document has no words; in training an answer is missing, empty or
                outside its document, or the file is not of the version that the flag says; no question is left.
        """
        total, count, impossible, without_word = 0, 0, 0, 0
        for paragraph in paragraphs(self.path):
            document = Document(json_stream.text(paragraph.values, "context", paragraph.place), paragraph.place)
            if not document.words:
                raise InputError(f"{paragraph.place}: the context is empty; remove the paragraph")
            for name, qa in paragraph.questions.items():
                total += 1
                without_word += "is_impossible" not in qa
                impossible += qa.get("is_impossible") is True
                example = self._example(name, document, qa)
                if example is not None:
                    count += 1
                    yield example
        if not count:
            why = f"; the first: {self.bad.notes[0]}" if self.bad.notes else ""
            raise InputError(f"{self.path}: has no question that can be used{why}")
        self._note_version(without_word == total, impossible)

    def _example(self, name: str, document: Document, qa: dict[str, Any]) -> SquadExample | None:
        place = place_of(document.location, name)
        question = json_stream.text(qa, "question", place)
        if not self.training:
            return SquadExample(name, question, document)
        if self.version_2_with_negative:
            if "is_impossible" not in qa:
                raise InputError(
                    f"{place}: does not say is_impossible; leave out --version_2_with_negative for a SQuAD 1.1 file"
                )
            if qa["is_impossible"]:
                return SquadExample(name, question, document)
        if "answers" not in qa:
            raise InputError(f"{place}: has no 'answers'; a file to train on has one answer for each question")
        answers = json_stream.items(qa, "answers", place)
        if not answers and qa.get("is_impossible"):
            raise InputError(f"{place}: has no answer; set --version_2_with_negative for a SQuAD 2.0 file")
        if len(answers) != 1:
            raise InputError(
                f"{place}: has {len(answers)} answers; training wants one for each question (leave others out)"
            )
        answer = self._answer(document, answers[0], place)
        return SquadExample(name, question, document, answer) if answer else None

    def _answer(self, document: Document, values: dict[str, Any], place: str) -> GoldAnswer | None:
        text, begin = json_stream.text(values, "text", place), values.get("answer_start")
        cleaned = " ".join(text.split())
        if not cleaned:
            raise InputError(f"{place}: the answer is empty")
        if begin == NOWHERE:
            self.bad.found(f"{place}: answer_start is {NOWHERE}, which says that the answer is not in the context")
            return None
        if not isinstance(begin, int) or isinstance(begin, bool) or not 0 <= begin <= len(document.text) - len(text):
            raise InputError(
                f"{place}: answer_start is {begin!r:.20}, which puts the answer outside of the context of "
                f"{len(document.text)} characters"
            )
        first, last = document.word_at(begin), document.word_at(begin + len(text) - 1)
        # As in the original: words that contain the answer, wherever in them, are good enough. A first word of -1,
        # where blanks begin the text, is the last word, which is how its index falls.
        found = " ".join(document.words[first : last + 1])
        if cleaned in found:
            return GoldAnswer(text, begin, first % len(document.words), last)
        self.bad.found(
            f"{place}: could not find the answer {json_stream.short(cleaned)} at {begin}, where it says "
            f"{json_stream.short(found)}"
        )
        return None

    def _note_version(self, is_1_1: bool, impossible: int) -> None:
        """What to say where the flag and the file seem to be of two versions, and yet the file can be read."""
        if self.version_2_with_negative and is_1_1:
            self.notes.append(
                f"{self.path}: no question says is_impossible, as in SQuAD 1.1; --version_2_with_negative lets answers "
                "be empty all the same"
            )
        if impossible and not self.version_2_with_negative:
            self.notes.append(
                f"{self.path}: {impossible:,} questions are without answer, as in SQuAD 2.0; all get one unless "
                "--version_2_with_negative is set"
            )


class GoldAnswers(NamedTuple):
    """What a file of questions says of their answers.

    Attributes:
        version: as the file states it; "" where it does not.
        gold: the answers of each question.
        is_version_2: some question may be without an answer: the version says so, or a question does.
    """

    version: str
    gold: Gold
    is_version_2: bool


def read_gold_answers(path: Path) -> GoldAnswers:
    """The answers of a file in SQuAD's form, 1.1 or 2.0.

    Raises:
        InputError: the file is not of this form, has no question, or has an id twice; says where.
    """
    others: dict[str, Any] = {}
    gold: dict[str, list[str]] = {}
    impossible = False
    for paragraph in paragraphs(path, others):
        for name, qa in paragraph.questions.items():
            place = place_of(paragraph.place, name)
            gold[name] = [json_stream.text(answer, "text", place) for answer in json_stream.items(qa, "answers", place)]
            impossible = impossible or not gold[name] or bool(qa.get("is_impossible"))
    if not gold:
        raise InputError(f"{path}: has no question")
    version = others.get("version", "")
    version = version if isinstance(version, str) else str(version)
    return GoldAnswers(version, gold, impossible or version.lower().removeprefix("v").startswith("2"))
