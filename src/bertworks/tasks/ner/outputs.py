"""Predicted entities as files: conlleval's columns, CLUENER's JSON lines, BRAT, spaCy; and the errors of a tagger.

The entities of a text are spans in characters, those of a row spans of its words.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bertworks import files
from bertworks.tasks.ner.entities import EntitySpan, mentions, spans, tags
from bertworks.tasks.ner.tag_files import TaggedRow
from bertworks.tasks.ner.task import PredictedTags

_BLANKS = re.compile(r"\s+")

HEADER = ("row", "what", "gold", "gold type", "predicted", "predicted type", "probability", "text")


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


class EntityError(NamedTuple):
    """A gold entity and what was found in its place; either may be missing."""

    what: str
    gold: EntitySpan | None
    found: EntitySpan | None


def errors_of(gold: Sequence[EntitySpan], found: Sequence[EntitySpan]) -> Iterator[EntityError]:
    """Compare the entities of a sentence, in the order of the words.

    A gold entity that was not found goes with the first wrong one that shares a word with it, if there is one.
    """
    wrong = [span for span in found if span not in gold]
    made: list[tuple[int, EntityError]] = []
    for span in (span for span in gold if span not in found):
        other = next((other for other in wrong if other.begin < span.end and span.begin < other.end), None)
        if other is None:
            made.append((span.begin, EntityError("missed", span, None)))
            continue
        wrong.remove(other)
        edges, kinds = span[1:] != other[1:], span.type != other.type
        what = "other type and edges" if edges and kinds else "other edges" if edges else "other type"
        made.append((span.begin, EntityError(what, span, other)))
    made += [(span.begin, EntityError("not in the file", None, span)) for span in wrong]
    return (error for _, error in sorted(made, key=lambda pair: pair[0]))


def error_table(rows: Sequence[TaggedRow], predicted: Sequence[PredictedTags]) -> str:
    """Return a line for each error, columns separated by tabs, with a header. White space in texts becomes a blank."""
    lines = ["\t".join(HEADER)]
    for row, of_row in zip(rows, predicted, strict=True):
        for what, gold, found in errors_of(spans(row.tags or ()), spans(of_row.tags)):
            sure = "" if found is None else f"{of_row.probabilities[found.begin : found.end].prod():.6f}"
            cells = [row.location.rpartition(", ")[2], what]
            for span in (gold, found):
                cells += ["", ""] if span is None else [_text(row, span), span.type]
            text = row.text if row.text is not None else _joined(row.words)
            lines.append("\t".join(_BLANKS.sub(" ", cell) for cell in [*cells, sure, text]))
    return "\n".join(lines) + "\n"


def _text(row: TaggedRow, span: EntitySpan) -> str:
    if row.text is not None and row.places:
        return row.text[row.places[span.begin][0] : row.places[span.end - 1][1]]
    return _joined(row.words[span.begin : span.end])


def _joined(words: Sequence[str]) -> str:
    """Return words as a text; characters of text without blanks are not set apart."""
    return ("" if all(len(word) == 1 for word in words) else " ").join(words)
