"""Files of predicted tags: columns as conlleval reads them, and CLUENER's JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from bertworks import files
from bertworks.tasks.ner.entities import EntitySpan


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
