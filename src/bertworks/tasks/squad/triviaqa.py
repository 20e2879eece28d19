"""TriviaQA in SQuAD form: every page that is evidence for a question becomes a document with this question about it.

The rules are those of `utils/convert_to_squad_format.py` in https://github.com/mandarjoshi90/triviaqa. The beginning of
a page, up to a number of tokens, is the document. The answer is the first of the normalized aliases that the document
contains, where it first occurs. Of a training file of the Web domain, a sample of the pages is taken: the same sample,
drawn by the same generator from the same seed. The differences, and why:

- A document is the page's own text. The script joins NLTK's tokens by blanks and replaces quotation marks.
- An answer is the document's own characters. The script writes the normalized, lower-cased alias, which the original
  `run_squad` does not find in a cased document.
- An alias begins and ends where words do (`whole_words`). The script finds "art" in "party".
- If no normalized alias is found, we look for the aliases as people write them: "Rolls-Royce" besides "rolls royce".
- We skip an alias of only punctuation, whose normal form is empty. The script finds it at once.
- We leave out questions whose answer is not found (`keep_unanswered`). The script writes them without an answer. In a
  training file both count them as part of the sample.
- We leave out and count pages that are missing, empty, not UTF-8, or repeated. The script stops, or repeats an id.
- We count tokens by our own rule, close to NLTK's: words with the signs inside them, other signs one by one, ends of
  lines. It needs no sentence tokenizer.
- The order is that of the file, so that one question is in memory at a time. The script's is that of the sample.
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

_TOKEN = re.compile(r"\w+(?:[-.,'’]\w+)*|[^\w\s]|\n")
_OTHER_BLANK = re.compile(r"[^\S\n ]")

# How many characters of a page are read: more than any sensible number of tokens needs.
_LONGEST_PAGE = 1 << 24

# How many missing pages messages name.
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class TriviaSettings:
    """How to convert a file.

    Attributes:
        max_num_tokens: the most tokens of a page.
        sample_size: the most pages of a training file of the Web domain, including those without the answer.
        whole_words: answers begin and end where words do.
        keep_unanswered: write questions whose answer is not found, without answers.
    """

    wikipedia_dir: Path
    web_dir: Path
    seed: int = 10
    max_num_tokens: int = 800
    sample_size: int = 80_000
    whole_words: bool = True
    keep_unanswered: bool = False


class TriviaContents(NamedTuple):
    """What the conversion must know about a file; most of it is at the end of the file.

    Attributes:
        is_web_training: whether it is a training file of the Web domain.
        verified: which pages count: 0 all, 1 those of questions that people have verified, 2 verified pages of these.
    """

    is_web_training: bool
    verified: int
    pages: int


class _Page(NamedTuple):
    """A page that is evidence for a question; `location` is for messages."""

    location: str
    question: dict[str, Any]
    kind: str
    values: dict[str, Any]

    @property
    def verified(self) -> int:
        """The highest `TriviaContents.verified` for which the page counts."""
        if self.question.get("QuestionPartOfVerifiedEval") is not True:
            return 0
        return 2 if self.values.get("DocPartOfVerifiedEval") is True else 1


def contents(path: Path) -> TriviaContents:
    """Look through a file, such as qa/wikipedia-train.json.

    Raises:
        InputError: it is not in TriviaQA's form (names line and column, or the question); two questions have one id.
    """
    others: dict[str, Any] = {}
    ids: set[str] = set()
    pages = [0, 0, 0]
    for location, question in _questions(path, others):
        name = json_stream.text(question, "QuestionId", location)
        if name in ids:
            raise InputError(f"{location}: a second question has this id; make ids unique")
        ids.add(name)
        for page in _pages(location, question):
            pages[page.verified] += 1
    if not ids:
        raise InputError(f'{path}: has no questions: a file of TriviaQA is {{"Data": [...], "Domain": ...}}')
    is_web = others.get("Domain") == "Web"
    verified = (2 if is_web else 1) if others.get("VerifiedEval") is True else 0
    return TriviaContents(is_web and others.get("Split") == "train", verified, sum(pages[verified:]))


@dataclass
class TriviaConversion:
    """Converts a file, and counts.

    Attributes:
        written: questions that were written.
        not_found: pages without the answer.
        missing, unreadable, empty, repeated: pages that do not exist, are not UTF-8, have no text, or are repeated.
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
        """Make the articles of the converted file, one for each page.

        Args:
            advance: called with the number of pages done.

        Raises:
            InputError: as for `contents`; a page's name leads out of its folder; no page exists; no question is left.
        """
        sample: Collection[int] = range(known.pages)
        if known.is_web_training and known.pages > self.settings.sample_size:
            order = list(sample)
            random.Random(self.settings.seed).shuffle(order)  # as the script, for the same sample
            sample = set(order[: self.settings.sample_size])
        number = 0
        for location, question in _questions(self.path, {}):
            ids: set[str] = set()
            for page in _pages(location, question):
                if page.verified < known.verified:
                    continue
                if number in sample and (article := self._article(page, ids)):
                    self.written += 1
                    yield article
                number += 1
                advance(1)
        if self.written:
            return
        if self.missing and not self.not_found + self.unreadable + self.empty:
            raise InputError(
                f"{self.path}: all its {self.missing:,} pages are missing, such as {self.first_missing[0]}; unpack the "
                "release, and give --wikipedia_dir and --web_dir, its folders evidence/wikipedia and evidence/web"
            )
        why = "; ".join(self.summary()) or "has no pages"
        raise InputError(
            f"{self.path}: no question is left ({why}); to keep questions without an answer: --keep_unanswered"
        )

    def summary(self) -> list[str]:
        """Return lines that say what was left out, and why."""
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
        """Turn a page into an article; None if it is left out. `ids` are those of the question's earlier pages."""
        name = json_stream.text(page.values, "Filename", page.location)
        question = json_stream.text(page.question, "QuestionId", page.location)
        found_id = f"{question}--{name}"
        if found_id in ids:
            self.repeated += 1
            return None
        ids.add(found_id)
        # The name is a path with slashes below the folder.
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/"):
            shown = json_stream.short(name)
            raise InputError(f"{page.location}: the Filename {shown} leads out of its folder; fix the file")
        folder = self.settings.wikipedia_dir if page.kind == "EntityPages" else self.settings.web_dir
        context = self._context(folder.joinpath(*parts))
        if not context:
            return None
        span = find_answer(context, _aliases(page), self.settings.whole_words)
        self.not_found += span is None
        if span is None and not self.settings.keep_unanswered:
            return None
        answers = [{"text": context[slice(*span)], "answer_start": span[0]}] if span else []
        text = json_stream.text(page.question, "Question", page.location)
        qa = {"id": found_id, "qid": question, "question": text, "answers": answers}
        title = page.values["Title"] if isinstance(page.values.get("Title"), str) else name
        return {"title": title, "paragraphs": [{"context": context, "qas": [qa]}]}

    def _context(self, path: Path) -> str:
        """Read the beginning of a page; "" if there is none."""
        # Path.is_file() raises for a name that is too long or impossible; this returns False.
        if not os.path.isfile(path):  # noqa: PTH113
            self.missing += 1
            if len(self.first_missing) < _NAMED:
                self.first_missing.append(" ".join(str(path).split()))
            return ""
        try:
            with path.open(encoding="utf-8") as stream:
                context = beginning(stream.read(_LONGEST_PAGE), self.settings.max_num_tokens)
        except UnicodeDecodeError:
            self.unreadable += 1
            return ""
        self.empty += not context
        return context


def beginning(text: str, max_num_tokens: int) -> str:
    """Return the first tokens of a text, unchanged but for white space other than line ends, which becomes blanks."""
    last = deque(islice(_TOKEN.finditer(text), max_num_tokens), maxlen=1)
    return _OTHER_BLANK.sub(" ", text[: last[0].end()]).strip() if last else ""


def find_answer(context: str, aliases: Iterable[str], whole_words: bool = True) -> tuple[int, int] | None:
    """Find the first of the aliases in a context, in any case and with any blanks; return its begin and end."""
    folded = " ".join(context.lower().split())
    for alias in aliases:
        words = alias.lower().split()
        # A cheap test, which most aliases do not pass.
        if words and " ".join(words) in folded:
            pattern = " +".join(map(re.escape, words))
            if found := re.search(rf"(?<!\w){pattern}(?!\w)" if whole_words else pattern, context, re.IGNORECASE):
                return found.span()
    return None


def write(path: Path, articles: Iterable[dict[str, Any]]) -> None:
    """Write a file in SQuAD form, an article a line."""
    with written_whole(path) as stream:
        # Escapes for all but ASCII, as in SQuAD itself, can represent unpaired surrogates.
        stream.write(b'{"version": "1.1", "data": [')
        for number, article in enumerate(articles):
            stream.write(f"{',' if number else ''}\n{json.dumps(article)}".encode("ascii"))
        stream.write(b"\n]}\n")


def _questions(path: Path, others: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the questions of a file, each with its location for messages."""
    for number, question in enumerate(json_stream.members(path, "Data", others), 1):
        location = f"{path}, question {number}"
        if not isinstance(question, dict):
            raise InputError(f"{location}: should be an object, but is {json_stream.kind(question)}")
        name = question.get("QuestionId")
        yield location + (f" {json_stream.short(name)}" if isinstance(name, str) else ""), question


def _pages(location: str, question: dict[str, Any]) -> Iterator[_Page]:
    for kind in ("EntityPages", "SearchResults"):  # the script's order
        for page in json_stream.items(question, kind, location) if kind in question else ():
            yield _Page(location, question, kind, page)


def _aliases(page: _Page) -> list[str]:
    """Return the names of an answer in the order of the search; none if the file does not tell the answer."""
    answer = page.question.get("Answer") or {}
    if not isinstance(answer, dict):
        raise InputError(f"{page.location}: 'Answer' should be an object, but is {json_stream.kind(answer)}")
    found = []
    for name in ("NormalizedAliases", "Aliases"):
        aliases = answer.get(name, [])
        if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
            raise InputError(f"{page.location}: {name!r} should be a list of texts")
        found += aliases
    return found
