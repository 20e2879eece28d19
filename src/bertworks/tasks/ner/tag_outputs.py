"""Predicted entities in other programs' forms: columns as conlleval reads them, CLUENER's JSON lines, BRAT, spaCy.

The entities of a text are spans in characters.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path

from bertworks import files
from bertworks.tasks.ner.entities import EntitySpan, tags


def mentions(text: str, spans: Iterable[EntitySpan]) -> dict[str, dict[str, list[list[int]]]]:
    """Return the spans of a text in characters, as a line of CLUENER has them."""
    found: dict[str, dict[str, list[list[int]]]] = {}
    for kind, begin, end in spans:
        found.setdefault(kind, {}).setdefault(text[begin:end], []).append([begin, end - 1])
    return found


def write_cluener(path: Path, answers: Iterable[tuple[str, str, Iterable[EntitySpan]]]) -> None:
    """Write predictions in CLUENER's format, from the id, the text and the spans of each sentence."""
    with files.written_whole(path) as stream:
        for name, text, spans in answers:
            line = {"id": int(name) if name.isdecimal() else name, "label": mentions(text, spans)}
            stream.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode())


def write_columns(path: Path, sentences: Iterable[Iterable[Sequence[str]]]) -> None:
    """Write the lines of sentences, their columns separated by blanks, as conlleval reads them.

    White space in a word is left out; a word of white space alone is written as "_".
    """
    with files.written_whole(path) as stream:
        for sentence in sentences:
            lines = [" ".join("".join(column.split()) or "_" for column in columns) for columns in sentence]
            stream.write("\n".join([*lines, "", ""]).encode())


def columns_of(text: str, words: Sequence[tuple[int, int]], spans: Sequence[EntitySpan]) -> list[tuple[str, str]]:
    """Return the words of a text, given begin and end of each, with the tags of its entities (BIO)."""
    begins, ends = [begin for begin, _ in words], [end for _, end in words]
    of_words = [EntitySpan(kind, bisect_right(ends, begin), bisect_left(begins, end)) for kind, begin, end in spans]
    return [
        (text[a:b], tag) for (a, b), tag in zip(words, tags(of_words, len(words)), strict=True) if text[a:b].strip()
    ]


def brat_lines(text: str, spans: Iterable[EntitySpan]) -> str:
    """Return the lines of a .ann; an entity over a line end has a part for each line, as BRAT wants it."""
    lines = []
    for number, (kind, begin, end) in enumerate(spans, 1):
        parts = [match.span() for match in re.finditer(r"[^\n]+", text[begin:end])]
        places = ";".join(f"{begin + first} {begin + last}" for first, last in parts)
        mention = " ".join(text[begin + first : begin + last] for first, last in parts)
        lines.append(f"T{number}\t{'_'.join(kind.split())} {places}\t{mention}\n")
    return "".join(lines)


def spacy_line(text: str, spans: Iterable[EntitySpan]) -> str:
    """Return a line of JSON as spaCy's `Doc.to_json` has it, which `displacy.render(..., manual=True)` takes too."""
    ents = [{"start": begin, "end": end, "label": kind} for kind, begin, end in spans]
    return json.dumps({"text": text, "ents": ents}, ensure_ascii=False) + "\n"
