"""Questions a row each, as Hugging Face's `datasets` has SQuAD, as articles of SQuAD's own form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bertworks.errors import InputError


def is_question_row(article: Mapping[str, Any]) -> bool:
    """Tell whether an article is a row with a question and its context."""
    return "paragraphs" not in article and {"context", "question"} <= article.keys()


def article_of(location: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the article that a row is, with one question; one without answers is impossible.

    Raises:
        InputError: the answers are not two lists of the same length, `text` and `answer_start`.
    """
    question = {name: row[name] for name in ("id", "question", "is_impossible") if name in row}
    answers = row.get("answers")
    if answers is not None:
        texts, starts = (answers.get(name) if isinstance(answers, dict) else None for name in ("text", "answer_start"))
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise InputError(f"{location}: 'answers' should have two lists of one length, text and answer_start")
        found = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
        question = {"is_impossible": not found, **question, "answers": found}
    return {"title": row.get("title"), "paragraphs": [{"context": row["context"], "qas": [question]}]}
