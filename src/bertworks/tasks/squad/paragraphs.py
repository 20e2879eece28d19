"""The paragraphs of files in SQuAD form, or with a row for each question: texts, and the questions about each.

An article is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertworks.data.parquet import parquet_rows
from bertworks.errors import InputError
from bertworks.files import unchanged
from bertworks.tasks.squad import json_stream
from bertworks.tasks.squad.question_rows import article_of, is_question_row


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


def paragraphs(
    path: Path, others: dict[str, Any] | None = None, repeated: Callable[[str], None] | None = None
) -> Iterator[Paragraph]:
    """Read the paragraphs of a file in SQuAD form; check the ids, but no texts, answers or questions.

    Args:
        path: the file.
        others: receives the other fields of the file, such as its version; complete at the end.
        repeated: if given, gets the location of each question with the id of another one, which gets a new id.

    Raises:
        InputError: the file is not JSON in SQuAD form (names line and column, or article and paragraph), or two
            questions have one id and `repeated` is not given.
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
                    shown = json_stream.short(name)
                    if repeated is None:
                        raise InputError(f"{location}: a second question has id {shown}; make ids unique")
                    repeated(f"{location}, question {shown}")
                while name in ids:
                    name += f" ({len(ids)})"
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
