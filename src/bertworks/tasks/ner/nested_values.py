"""Tagged texts inside of other things: cells of Label Studio's CSV, and documents of spaCy 2."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bertworks.data.bad_rows import BadRows
from bertworks.data.tables import Table, open_table
from bertworks.errors import InputError


def annotated_cells(path: Path) -> Iterator[tuple[str, dict[str, Any]]] | None:
    """Return the location, the text and the entities of every row of a table; None if it has no column of entities.

    Label Studio writes the entities of a text as JSON into a cell: [{"start": 0, "end": 5, "labels": ["PER"]}, ...].
    """
    try:
        table = open_table(path, known_names={"text", "label"})
        sample = [record.values for record in table.sample()]
    except InputError:
        return None
    columns = [name for name in table.columns if any(_entities(row.get(name)) for row in sample)]
    if len(columns) != 1:
        return None
    others = [name for name in table.columns if name != columns[0]]
    text = "text" if "text" in others else next((name for name in others if _has_texts(sample, name, columns[0])), None)
    return None if text is None else _rows(table, text, columns[0])


def _rows(table: Table, text: str, label: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for location, row, _ in table.records(BadRows()):
        cell = row.get(label)
        entities = _entities(cell) if str(cell or "").strip() else []
        # What is no list of entities is told by the reader of the entities.
        values = {"text": row.get(text), "label": cell if entities is None else entities}
        yield location, values if "id" not in row else {"id": row["id"], **values}


def _entities(cell: Any) -> list[Any] | None:
    """Return the entities in a cell; None if it has none."""
    if not isinstance(cell, str) or not cell.startswith("[{"):
        return None
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    return found if all(isinstance(one, dict) and {"start", "end"} <= one.keys() for one in found) else None


def _has_texts(sample: Sequence[Mapping[str, Any]], column: str, label: str) -> bool:
    """Tell whether a column has the texts of which the entities are said to be."""
    for row in sample:
        for one in _entities(row.get(label)) or ():
            place = slice(one["start"], one["end"]) if isinstance(one["start"], int) else slice(0)
            return isinstance(row.get(column), str) and "text" in one and row[column][place] == one["text"]
    return False


def sentences_of_spacy(documents: Sequence[Any]) -> list[Any]:
    """Return the sentences of spaCy 2's training files as lists of words and tags; other members as they are.

    [{"paragraphs": [{"sentences": [{"tokens": [{"orth": "Paris", "ner": "U-LOC"}, ...]}]}]}]
    """
    try:
        sentences = [
            sentence["tokens"]
            for document in documents
            for paragraph in document["paragraphs"]
            for sentence in paragraph["sentences"]
        ]
        return [_sentence(tokens) for tokens in sentences] or list(documents)
    except (KeyError, TypeError):
        return list(documents)


def _sentence(tokens: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    words = {"tokens": [token["orth"] for token in tokens]}
    return (
        {**words, "ner_tags": [token["ner"] for token in tokens]} if all("ner" in token for token in tokens) else words
    )
