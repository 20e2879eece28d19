"""Files in SQuAD form, or with a row for each question, as a stream of examples, by the original's rules.

An article is in memory at a time.

The original: `read_squad_examples` in https://github.com/google-research/bert/blob/master/run_squad.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.squad import json_stream
from bertworks.tasks.squad.documents import Document, GoldAnswer, SquadExample
from bertworks.tasks.squad.paragraphs import paragraphs
from bertworks.tasks.squad.score import Gold
from bertworks.tasks.text_places import place_of
from bertworks.tasks.texts import is_blank

# The answer_start of CMRC 2018 for an answer that is not in its context.
NOWHERE = -1


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
                two questions to be predicted, whose answers have their ids, have one id; a document has no words; in
                training an answer is missing, empty or outside its document, or the file is not of the version that the
                flag says; no question is left.
        """
        total, count, impossible, unsaid, unanswered = 0, 0, 0, 0, 0
        repeated = partial(self._read_anyway, "the id is that of another question") if self.training else None
        for paragraph in paragraphs(self.path, repeated=repeated):
            text = json_stream.text(paragraph.values, "context", paragraph.location)
            document = Document(text, paragraph.location)
            if not document.words:
                raise InputError(f"{paragraph.location}: the context is empty; remove the paragraph")
            for name, qa in paragraph.questions.items():
                total += 1
                location = paragraph.location_of(name)
                question = json_stream.text(qa, "question", location)
                if is_blank(question):
                    self._read_anyway("the question is empty", location)
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
            many = "1 question is odd but is" if questions == 1 else f"{questions:,} questions are odd but are"
            self.notes.append(f"{self.path}: {many} read: {what}; the first: {first}")

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
