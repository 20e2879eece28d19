"""The original's rules for SQuAD, slowly and plainly: one question, one window and one token after the other.

What the fast implementation is compared with. Written from the rules of the original's `run_squad.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Tokenize = Callable[[str], list[str]]


@dataclass
class SlowExample:
    """A question; word numbers are None in prediction and -1 where there is no answer."""

    id: str
    question: str
    words: list[str]
    answer: str = ""
    first_word: int | None = None
    last_word: int | None = None
    is_impossible: bool = False


@dataclass
class SlowWindow:
    """A window; the two maps go from places in it to words and to whether they count here."""

    unique_id: int
    example: int
    begin: int
    tokens: list[str]
    first: int
    word: dict[int, int]
    is_max_context: dict[int, bool]
    position: tuple[int, int] | None
    is_impossible: bool


def read(path: Path, training: bool, version_2_with_negative: bool) -> Iterator[SlowExample]:
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            words, word_of = words_of(paragraph["context"])
            for qa in paragraph["qas"]:
                example = SlowExample(qa["id"], qa["question"], words)
                if not training or add_answer(example, qa, word_of, version_2_with_negative):
                    yield example


def words_of(text: str) -> tuple[list[str], list[int]]:
    """The words of a text, and for each character the number of the last word that has begun."""
    words: list[str] = []
    word_of = []
    inside = False
    for character in text:
        if character in " \t\r\n\u202f":
            inside = False
        elif inside:
            words[-1] += character
        else:
            words.append(character)
            inside = True
        word_of.append(len(words) - 1)
    return words, word_of


def add_answer(example: SlowExample, qa: dict[str, Any], word_of: list[int], version_2_with_negative: bool) -> bool:
    """Add what training wants; False where the words do not contain the answer."""
    if version_2_with_negative and qa["is_impossible"]:
        example.is_impossible, example.first_word, example.last_word = True, -1, -1
        return True
    [answer] = qa["answers"]
    example.answer = answer["text"]
    example.first_word = word_of[answer["answer_start"]]
    example.last_word = word_of[answer["answer_start"] + len(example.answer) - 1]
    found = " ".join(example.words[example.first_word : example.last_word + 1])
    return " ".join(example.answer.split()) in found


def windows(
    examples: list[SlowExample],
    tokenize: Tokenize,
    *,
    max_seq_length: int,
    doc_stride: int,
    max_query_length: int,
    training: bool,
) -> Iterator[SlowWindow]:
    unique_id = 1000000000
    for number, example in enumerate(examples):
        query = tokenize(example.question)[:max_query_length]
        tokens: list[str] = []
        word_of_token = []
        first_token_of_word = []
        for word_number, word in enumerate(example.words):
            first_token_of_word.append(len(tokens))
            for token in tokenize(word):
                word_of_token.append(word_number)
                tokens.append(token)
        first, last = -1, -1
        if training and not example.is_impossible:
            first, last = answer_span(example, tokens, first_token_of_word, tokenize)
        spans = spans_of(len(tokens), max_seq_length - len(query) - 3, doc_stride)
        for span_number, (begin, length) in enumerate(spans):
            row = ["[CLS]", *query, "[SEP]"]
            offset = len(row)
            word, is_max_context = {}, {}
            for place in range(begin, begin + length):
                word[len(row)] = word_of_token[place]
                is_max_context[len(row)] = best_span(spans, place) == span_number
                row.append(tokens[place])
            row.append("[SEP]")
            position = None
            if training:
                is_inside = not example.is_impossible and first >= begin and last <= begin + length - 1
                position = (first - begin + offset, last - begin + offset) if is_inside else (0, 0)
            yield SlowWindow(
                unique_id, number, begin, row, offset, word, is_max_context, position, example.is_impossible
            )
            unique_id += 1


def answer_span(
    example: SlowExample, tokens: list[str], first_token_of_word: list[int], tokenize: Tokenize
) -> tuple[int, int]:
    """The tokens of the answer's words, tightened to the answer's own tokens where they stand among them."""
    assert example.first_word is not None
    assert example.last_word is not None
    first = first_token_of_word[example.first_word]
    if example.last_word < len(example.words) - 1:
        last = first_token_of_word[example.last_word + 1] - 1
    else:
        last = len(tokens) - 1
    wanted = " ".join(tokenize(example.answer))
    for begin in range(first, last + 1):
        for end in range(last, begin - 1, -1):
            if " ".join(tokens[begin : end + 1]) == wanted:
                return begin, end
    return first, last


def spans_of(count: int, room: int, doc_stride: int) -> list[tuple[int, int]]:
    """Begin and length of each window over a document of `count` tokens."""
    spans = []
    begin = 0
    while begin < count:
        length = min(count - begin, room)
        spans.append((begin, length))
        if begin + length == count:
            break
        begin += min(length, doc_stride)
    return spans


def best_span(spans: list[tuple[int, int]], place: int) -> int | None:
    """The number of the window that shows most of what is around a token; of equals the first."""
    best, highest = None, 0.0
    for number, (begin, length) in enumerate(spans):
        end = begin + length - 1
        if begin <= place <= end:
            score = min(place - begin, end - place) + 0.01 * length
            if best is None or score > highest:
                best, highest = number, score
    return best
