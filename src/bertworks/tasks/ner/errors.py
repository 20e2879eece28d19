"""The entities that a tagger did not find as the file has them: a line for each, for a person to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bertworks.tasks.ner.entities import EntitySpan, spans
from bertworks.tasks.ner.tag_files import TaggedRow
from bertworks.tasks.ner.task import PredictedTags

_BLANKS = re.compile(r"\s+")

HEADER = ("row", "what", "gold", "gold type", "predicted", "predicted type", "probability", "text")


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
