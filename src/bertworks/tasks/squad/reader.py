"""Files in SQuAD form, or with a row for each question, as a stream of examples, by the original's rules.

An article is in memory at a time.

The original: `read_squad_examples` in https://github.com/google-research/bert/blob/master/run_squad.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bertworks.data.bad_rows import BadRows
from bertworks.data.parquet import parquet_rows
from bertworks.errors import InputError
from bertworks.files import unchanged
from bertworks.tasks.squad import json_stream
from bertworks.tasks.squad.documents import Document, GoldAnswer, SquadExample
from bertworks.tasks.squad.question_rows import article_of, is_question_row
from bertworks.tasks.squad.score import Gold
from bertworks.tasks.text_places import place_of

# The answer_start of CMRC 2018 for an answer that is not in its context.
NOWHERE = -1


@dataclass(frozen=True)
class Paragraph:
    """A text of a file, and the questions about it.

    Attributes:
        location: where it stands, for messages.
        values: as the file has it.
        questions: id -> the question as the file has it, in order.
    """

    location: str
    values: dict[str, Any]
    questions: dict[str, dict[str, Any]]

    def location_of(self, question: str) -> str:
        """Say where a question stands, for messages."""
        return f"{self.location}, question {json_stream.short(question)}"


def paragraphs(path: Path, others: dict[str, Any] | None = None) -> Iterator[Paragraph]:
    """Read the paragraphs of a file in SQuAD form; check the ids, but no texts, answers or questions.

    Args:
        path: the file.
        others: receives the other fields of the file, such as its version; complete at the end.

    Raises:
        InputError: the file is not JSON in SQuAD form (names line and column, or article and paragraph), or two
            questions have one id.
    """
    ids: set[str] = set()
    for article_location, article in _articles(path, others):
        for number, values in enumerate(json_stream.items(article, "paragraphs", article_location), 1):
            location = f"{article_location}, paragraph {number}"
            questions: dict[str, dict[str, Any]] = {}
            for qa in json_stream.items(values, "qas", location):
                # The original writes numbers as texts, too, since keys of JSON objects are texts.
                name = str(qa["id"]) if type(qa.get("id")) is int else json_stream.text(qa, "id", location)
                if name in ids:
                    raise InputError(f"{location}: a second question has id {json_stream.short(name)}; make ids unique")
                ids.add(name)
                questions[name] = qa
            yield Paragraph(location, values, questions)


def _articles(path: Path, others: dict[str, Any] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the articles of a file, each with its location for messages."""
    number = 0
    is_table = path.suffix.lower() == ".parquet"
    members = _parquet(path) if is_table else json_stream.members(path, "data", others)
    for number, value in enumerate(members, 1):
        location = f"{path}, article {number}"
        if not isinstance(value, dict):
            raise InputError(f"{location}: should be an object with paragraphs, but is {json_stream.kind(value)}")
        article = article_of(location, value) if is_question_row(value) else value
        if "context_text" in article:
            raise InputError(
                f"{location}: is in CMRC 2018's own form; give the file of the same name in SQuAD form, from the "
                "folder squad-style-data of the release (`bert download_data cmrc2018`)"
            )
        title = article.get("title")
        yield location + (f" {json_stream.short(title)}" if isinstance(title, str) and title else ""), article
    if not number:
        raise InputError(f'{path}: has no articles: a file in SQuAD form is {{"data": [...]}}')


def _parquet(path: Path) -> Iterator[Any]:
    with unchanged(path):
        yield from (row for _, row in parquet_rows(path))


@dataclass
class SquadReader:
    """Reads the questions of a file.

    Attributes:
        path: the file.
        training: whether to read the answers.
        version_2_with_negative: whether questions may have no answer.
        bad: collects the questions whose answer is not where the file says; they are left out, as in the original.
        notes: what the user should know, after reading.
        read_anyway: what is odd but was understood -> the number of questions and the location of the first.
    """

    path: Path
    training: bool
    version_2_with_negative: bool = False
    bad: BadRows = field(default_factory=lambda: BadRows("skip"))
    notes: list[str] = field(default_factory=list)
    read_anyway: dict[str, tuple[int, str]] = field(default_factory=dict)

    def examples(self) -> Iterator[SquadExample]:
        """Read the questions of the file in order, without those that training cannot use.

        Raises:
            InputError: the file is not JSON in SQuAD form (names line and column, or article, paragraph and question);
                two questions have one id; a document has no words; in training an answer is missing, empty or
                outside its document, or the file is not of the version that the flag says; no question is left.
        """
        total, count, impossible, unsaid, unanswered = 0, 0, 0, 0, 0
        for paragraph in paragraphs(self.path):
            text = json_stream.text(paragraph.values, "context", paragraph.location)
            document = Document(text, paragraph.location)
            if not document.words:
                raise InputError(f"{paragraph.location}: the context is empty; remove the paragraph")
            for name, qa in paragraph.questions.items():
                total += 1
                location = paragraph.location_of(name)
                question = json_stream.text(qa, "question", location)
                says = _says_impossible(qa, location)
                unsaid += says is None
                impossible += says is True
                unanswered += says is None and qa.get("answers") == []
                has_none = self.version_2_with_negative and (qa.get("answers") == [] if says is None else says)
                answer = None
                if self.training and not has_none:
                    answer = self._answer(document, qa, location)
                    if answer is None:
                        continue
                count += 1
                yield SquadExample(name, question, document, answer)
        if not count:
            why = f"; the first: {self.bad.notes[0]}" if self.bad.notes else ""
            raise InputError(f"{self.path}: has no question that can be used{why}")
        if self.version_2_with_negative and unsaid == total and self.training and not unanswered:
            raise InputError(
                f"{self.path}: no question says is_impossible and each has an answer; leave out "
                "--version_2_with_negative for a SQuAD 1.1 file"
            )
        if self.version_2_with_negative and unsaid == total and not unanswered:
            self.notes.append(
                f"{self.path}: no question says is_impossible, as in SQuAD 1.1; --version_2_with_negative lets answers "
                "be empty all the same"
            )
        elif self.version_2_with_negative and unanswered:
            self.notes.append(
                f"{self.path}: {unsaid:,} questions do not say is_impossible; the {unanswered:,} of them with an empty "
                "list of answers count as without answer"
            )
        if impossible and not self.version_2_with_negative:
            self.notes.append(
                f"{self.path}: {impossible:,} questions are without answer, as in SQuAD 2.0; all get one unless "
                "--version_2_with_negative is set"
            )
        for what, (questions, first) in self.read_anyway.items():
            self.notes.append(f"{self.path}: {questions:,} questions are odd but are read: {what}; the first: {first}")

    def _answer(self, document: Document, qa: dict[str, Any], location: str) -> GoldAnswer | None:
        """Return the one answer of a question, or None if it is not where the file says."""
        if "answers" not in qa:
            raise InputError(f"{location}: has no 'answers'; a file to train on has one answer for each question")
        answers = json_stream.items(qa, "answers", location)
        if not answers and self.version_2_with_negative:
            raise InputError(f"{location}: has no answer, but is_impossible says that it has one; correct one of them")
        if not answers:
            raise InputError(f"{location}: has no answer; set --version_2_with_negative for a SQuAD 2.0 file")
        if len(answers) != 1:
            raise InputError(
                f"{location}: has {len(answers)} answers; training wants one for each question (leave others out)"
            )
        text, begin = json_stream.text(answers[0], "text", location), self._start(answers[0], location)
        cleaned = " ".join(text.split())
        if not cleaned:
            raise InputError(f"{location}: the answer is empty")
        if begin == NOWHERE:
            self.bad.found(f"{location}: answer_start is {NOWHERE}, which says that the answer is not in the context")
            return None
        if not 0 <= begin <= len(document.text) - len(text):
            if place := self._elsewhere(document, text, begin, location):
                return place
            raise InputError(
                f"{location}: answer_start is {begin!s:.20}, which puts the answer outside of the context of "
                f"{len(document.text)} characters"
            )
        first, last = document.word_at(begin), document.word_at(begin + len(text) - 1)
        # As in the original, the words need only contain the answer, at any position. If the text begins with blanks,
        # the first word is -1, and the original's index makes it the last word.
        found = " ".join(document.words[first : last + 1])
        if cleaned in found:
            return GoldAnswer(text, begin, first % len(document.words), last)
        if place := self._elsewhere(document, text, begin, location):
            return place
        first_place = document.text.find(text)
        hint = f"; the context has it at {first_place}" if first_place >= 0 else ""
        self.bad.found(
            f"{location}: could not find the answer {json_stream.short(cleaned)} at {begin}, where it says "
            f"{json_stream.short(found)}{hint}"
        )
        return None

    def _start(self, answer: dict[str, Any], location: str) -> int:
        """Return where an answer begins. A whole number may be written as a text or with a point."""
        begin = answer.get("answer_start")
        if type(begin) is int:
            return begin
        if isinstance(begin, str) and re.fullmatch(r"\s*-?[0-9]{1,18}(\.0*)?\s*", begin):
            begin = float(begin)
        if isinstance(begin, float) and begin.is_integer():
            self._read_anyway(
                'answer_start should be a whole number and is a text or has a point ("52", 52.0)', location
            )
            return int(begin)
        shown = "missing" if begin is None else f"{begin!r:.20}"
        raise InputError(f"{location}: answer_start should be a whole number, but is {shown}")

    def _elsewhere(self, document: Document, text: str, begin: int, location: str) -> GoldAnswer | None:
        """Return an answer that is where the file says in another way of counting; see `place_of`."""
        place = place_of(document.text, text, begin)
        if place is None:
            return None
        self._read_anyway(place.why, location)
        first, last = document.word_at(place.begin), document.word_at(place.end - 1)
        return GoldAnswer(document.text[place.begin : place.end], place.begin, first % len(document.words), last)

    def _read_anyway(self, what: str, location: str) -> None:
        questions, first = self.read_anyway.get(what, (0, location))
        self.read_anyway[what] = questions + 1, first


def _says_impossible(qa: dict[str, Any], location: str) -> bool | None:
    """Return what a question says of having no answer; None if it says nothing."""
    said = qa.get("is_impossible")
    known = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False, "none": None}
    word = str(said).lower() if isinstance(said, str | int | float | None) else ""
    if word not in known:
        raise InputError(
            f"{location}: is_impossible should be true or false, but is {word or json_stream.kind(said):.20}"
        )
    return known[word]


class GoldAnswers(NamedTuple):
    """The right answers of a data set.

    Attributes:
        version: as the file states it; "" if it does not.
        gold: the answers of each question.
        is_version_2: whether questions may have no answer: the version says so, or a question has none.
    """

    version: str
    gold: Gold
    is_version_2: bool


def read_gold_answers(path: Path) -> GoldAnswers:
    """Read the answers of a file in SQuAD form, 1.1 or 2.0.

    Raises:
        InputError: the file has another form, has no question, or has an id twice; says where.
    """
    others: dict[str, Any] = {}
    gold: dict[str, list[str]] = {}
    impossible = False
    for paragraph in paragraphs(path, others):
        for name, qa in paragraph.questions.items():
            location = paragraph.location_of(name)
            answers = json_stream.items(qa, "answers", location)
            gold[name] = [json_stream.text(answer, "text", location) for answer in answers]
            impossible = impossible or not answers or bool(_says_impossible(qa, location))
    if not gold:
        raise InputError(f"{path}: has no question")
    version = str(others.get("version", ""))
    return GoldAnswers(version, gold, impossible or version.lower().removeprefix("v").startswith("2"))
