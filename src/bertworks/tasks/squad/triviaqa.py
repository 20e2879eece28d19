"""TriviaQA in SQuAD form: every page that is evidence for a question becomes a document with this question about it.

The rules are those of `utils/convert_to_squad_format.py` in https://github.com/mandarjoshi90/triviaqa: the beginning of
a page, up to a number of tokens, is the document; of the answer's normalized aliases the first that is found in it,
where it is found first, is the answer; of a training file of the Web domain a sample of the pages is taken. The sample
is the same: it is drawn by the same generator from the same seed. What differs, and why:

- A document is the page's own text. There it is NLTK's tokens with blanks between them, its quotation marks replaced.
- An answer is the document's own characters. There it is the normalized, lower-cased alias, which the original's
  `run_squad` does not find in a cased document.
- An alias must begin and end where words do (`whole_words`). There "art" is found in "party".
- The aliases as people write them are looked for where no normalized one is found: "Rolls-Royce" beside "rolls royce".
- An alias of nothing but punctuation, which is normalized to nothing, is passed over. There it is found at once.
- Questions whose answer is not found are left out of every split (`keep_unanswered`). There they are written without
  an answer, and in a training file count as part of the sample, which they do here, too.
- Pages that are missing, empty or not UTF-8 are left out and counted; so is the second mention of a page. There they
  end the conversion, or make a second question of one id.
- Tokens, of which there are `max_num_tokens`, are counted by a rule of our own that is near to NLTK's: words with the
  signs inside of them, other signs one by one, ends of lines. No sentence tokenizer is needed.
- The order is that of the file, so that a question is in memory at a time. There it is that of the sample.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from bertworks.errors import InputError
from bertworks.files import written_whole
from bertworks.tasks.squad import json_stream

# Where the pages of a question are named, in the authors' order.
_KINDS = ("EntityPages", "SearchResults")

_TOKEN = re.compile(r"\w+(?:[-.,'’]\w+)*|[^\w\s]|\n")
_OTHER_BLANK = re.compile(r"[^\S\n ]")

# Characters of a page that are read. No sensible number of tokens needs more.
_LONGEST_PAGE = 1 << 24

# How many missing pages are named.
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class TriviaSettings:
    """How a file is converted; see above.

    Attributes:
        wikipedia_dir, web_dir: the folders of the pages.
        seed: of the sample.
        max_num_tokens: tokens of a page, at most.
        sample_size: pages of a training file of the Web domain, at most, those without the answer among them.
        whole_words: answers begin and end where words do.
        keep_unanswered: questions whose answer is not found are written, without answers.
    """

    wikipedia_dir: Path
    web_dir: Path
    seed: int = 10
    max_num_tokens: int = 800
    sample_size: int = 80_000
    whole_words: bool = True
    keep_unanswered: bool = False


class TriviaContents(NamedTuple):
    """What there is to know of a file before it can be converted, most of which stands at its end.

    Attributes:
        is_web_training: whether it is for training and of the Web domain.
        verified: what counts: 0 every page, 1 those of questions that people have verified, 2 verified pages of these.
        pages: how many count.
    """

    is_web_training: bool
    verified: int
    pages: int


class _Page(NamedTuple):
    """A page that is evidence for a question."""

    place: str
    question: dict[str, Any]
    kind: str
    values: dict[str, Any]

    @property
    def verified(self) -> int:
        """See `TriviaContents`."""
        if self.question.get("QuestionPartOfVerifiedEval") is not True:
            return 0
        return 2 if self.values.get("DocPartOfVerifiedEval") is True else 1


def contents(path: Path) -> TriviaContents:
    """Read a file, such as qa/wikipedia-train.json, for what it is and how much there is.

    Raises:
        InputError: it is not one of TriviaQA's: names line and column, or the question; two questions have one id.
    """
    others: dict[str, Any] = {}
    ids: set[str] = set()
    pages = [0, 0, 0]
    for place, question in _questions(path, others):
        name = json_stream.text(question, "QuestionId", place)
        if name in ids:
            raise InputError(f"{place}: a second question has this id; make ids unique")
        ids.add(name)
        for page in _pages(place, question):
            pages[page.verified] += 1
    if not ids:
        raise InputError(f'{path}: has no questions: a file of TriviaQA is {{"Data": [...], "Domain": ...}}')
    is_web = others.get("Domain") == "Web"
    verified = (2 if is_web else 1) if others.get("VerifiedEval") is True else 0
    return TriviaContents(is_web and others.get("Split") == "train", verified, sum(pages[verified:]))


@dataclass
class TriviaConversion:
    """The conversion of a file.

    Attributes:
        path: the file.
        settings: how.
        written: questions that were written.
        not_found: pages without the answer.
        missing, unreadable, empty, repeated: pages that are not there, are not UTF-8, have no text, or come again.
        first_missing: the first of those that are not there.
    """

    path: Path
    settings: TriviaSettings
    written: int = 0
    not_found: int = 0
    missing: int = 0
    unreadable: int = 0
    empty: int = 0
    repeated: int = 0
    first_missing: list[str] = field(default_factory=list)

    def articles(
        self, known: TriviaContents, advance: Callable[[int], object] = lambda _: None
    ) -> Iterator[dict[str, Any]]:
        """The articles of the converted file, one for each page.

        Args:
            known: of this file.
            advance: is told how many pages are done.

        Raises:
            InputError: as for `contents`; a page's name leads out of its folder; no page is there, or nothing is left.
        """
        sample: Collection[int] = range(known.pages)
        if known.is_web_training and known.pages > self.settings.sample_size:
            order = list(sample)
            # The authors' own generator, so that it is their sample.
            random.Random(self.settings.seed).shuffle(order)
            sample = set(order[: self.settings.sample_size])
        number = 0
        for place, question in _questions(self.path, {}):
            ids: set[str] = set()
            begin = number
            for page in _pages(place, question):
                if page.verified < known.verified:
                    continue
                if number in sample and (article := self._article(page, ids)):
                    self.written += 1
                    yield article
                number += 1
            advance(number - begin)
        if not self.written:
            raise InputError(f"{self.path}: {self._why_nothing()}")

    def summary(self) -> list[str]:
        """Lines for a person: what was left out, and why."""
        without = "written without an answer" if self.settings.keep_unanswered else "left out"
        names = ", ".join(self.first_missing) + (", ..." if self.missing > _NAMED else "")
        lines = (
            (self.not_found, f"pages do not have the answer in their first tokens: {without}"),
            (self.missing, f"pages are not there: {names}"),
            (self.unreadable, "pages are not UTF-8: left out"),
            (self.empty, "pages have no text: left out"),
            (self.repeated, "pages were named before for the same question: left out"),
        )
        return [f"{count:,} {what}" for count, what in lines if count]

    def _article(self, page: _Page, ids: set[str]) -> dict[str, Any] | None:
        """A page as an article; None where it is left out. `ids` are those of the question's pages before it."""
        name = json_stream.text(page.values, "Filename", page.place)
        question = json_stream.text(page.question, "QuestionId", page.place)
        found_id = f"{question}--{name}"
        if found_id in ids:
            self.repeated += 1
            return None
        ids.add(found_id)
        context = self._context(self._path(page.kind, name, page.place))
        if context is None:
            return None
        answers = []
        if span := find_answer(context, _aliases(page), self.settings.whole_words):
            answers = [{"text": context[span[0] : span[1]], "answer_start": span[0]}]
        else:
            self.not_found += 1
            if not self.settings.keep_unanswered:
                return None
        title = page.values.get("Title")
        asked = {
            "id": found_id,
            "qid": question,
            "question": json_stream.text(page.question, "Question", page.place),
            "answers": answers,
        }
        return {
            "title": title if isinstance(title, str) else name,
            "paragraphs": [{"context": context, "qas": [asked]}],
        }

    def _path(self, kind: str, name: str, place: str) -> Path:
        """Where a page lies; its name is a path with slashes below its folder."""
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/"):
            raise InputError(f"{place}: the Filename {json_stream.short(name)} leads out of its folder; mend the file")
        folder = self.settings.wikipedia_dir if kind == "EntityPages" else self.settings.web_dir
        return folder.joinpath(*parts)

    def _context(self, path: Path) -> str | None:
        """The beginning of a page; None where there is none."""
        # Where Path.is_file() fails, False: for a name that is too long, or that no file can have.
        if not os.path.isfile(path):  # noqa: PTH113
            self.missing += 1
            if len(self.first_missing) < _NAMED:
                self.first_missing.append(" ".join(str(path).split()))
            return None
        try:
            with path.open(encoding="utf-8") as stream:
                context = beginning(stream.read(_LONGEST_PAGE), self.settings.max_num_tokens)
        except UnicodeDecodeError:
            self.unreadable += 1
            return None
        if not context:
            self.empty += 1
        return context or None

    def _why_nothing(self) -> str:
        if self.missing and not self.not_found + self.unreadable + self.empty:
            return (
                f"none of its {self.missing:,} pages is there, not {self.first_missing[0]}; unpack the release, and "
                "give --wikipedia_dir and --web_dir, its folders evidence/wikipedia and evidence/web"
            )
        why = "; ".join(self.summary()) or "has no pages"
        return f"no question is left ({why}); for questions without answer: --keep_unanswered"


def beginning(text: str, max_num_tokens: int) -> str:
    """The first tokens of a text as they stand in it, other white space than line ends as blanks."""
    last = deque(islice(_TOKEN.finditer(text), max_num_tokens), maxlen=1)
    return _OTHER_BLANK.sub(" ", text[: last[0].end()]).strip() if last else ""


def find_answer(context: str, aliases: Iterable[str], whole_words: bool = True) -> tuple[int, int] | None:
    """Begin and end of the first of some texts that stands in a context, whatever its case and number of blanks."""
    folded = " ".join(context.lower().split())
    for alias in aliases:
        words = alias.lower().split()
        # Cheap, and most of them are not there.
        if not words or " ".join(words) not in folded:
            continue
        pattern = " +".join(map(re.escape, words))
        found = re.search(rf"(?<!\w){pattern}(?!\w)" if whole_words else pattern, context, re.IGNORECASE)
        if found:
            return found.span()
    return None


def write(path: Path, articles: Iterable[dict[str, Any]]) -> None:
    """Write a file in SQuAD form, an article a line."""
    with written_whole(path) as stream:
        # Escapes for all but ASCII, as in SQuAD itself: they can say unpaired surrogates.
        stream.write(b'{"version": "1.1", "data": [')
        for number, article in enumerate(articles):
            stream.write(f"{',' if number else ''}\n{json.dumps(article)}".encode("ascii"))
        stream.write(b"\n]}\n")


def _questions(path: Path, others: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The questions of a file, and the place of each for messages."""
    for number, question in enumerate(json_stream.members(path, "Data", others), 1):
        if not isinstance(question, dict):
            raise InputError(f"{path}, question {number}: should be an object, but is {json_stream.kind(question)}")
        name = question.get("QuestionId")
        yield f"{path}, question {number}" + (f" {json_stream.short(name)}" if isinstance(name, str) else ""), question


def _pages(place: str, question: dict[str, Any]) -> Iterator[_Page]:
    for kind in _KINDS:
        for page in json_stream.items(question, kind, place) if kind in question else ():
            yield _Page(place, question, kind, page)


def _aliases(page: _Page) -> list[str]:
    """What an answer is called, in the order in which it is looked for; nothing where the file keeps it a secret."""
    answer = page.question.get("Answer") or {}
    if not isinstance(answer, dict):
        raise InputError(f"{page.place}: 'Answer' should be an object, but is {json_stream.kind(answer)}")
    found = []
    for name in ("NormalizedAliases", "Aliases"):
        aliases = answer.get(name, [])
        if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
            raise InputError(f"{page.place}: {name!r} should be a list of texts")
        found += aliases
    return found
