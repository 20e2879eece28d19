"""Tagged texts inside of other things: cells of CSV with entities or lists (Label Studio, pandas), and spaCy 2's files.

Lists are written as Python or JSON do, as NumPy does (['Anna' 'came']), or plainly (O,O,B-PER) beside a text of as many
words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bertworks.data.bad_rows import BadRows
from bertworks.data.tables import Table, open_table
from bertworks.errors import InputError
from bertworks.tasks.labels import list_of
from bertworks.tasks.ner.tag_forms import is_prefixed

# What lists of words are called.
WORDS = ("tokens", "words")


def annotated_cells(path: Path) -> Iterator[tuple[str, dict[str, Any]]] | None:
    """Return the location and the values of every row of a table; None if it has no cells with entities or lists.

    Label Studio writes the entities of a text as JSON into a cell: [{"start": 0, "end": 5, "labels": ["PER"]}, ...].
    """
    try:
        table = open_table(path, known_names={"text", "label"})
        sample = [record.values for record in table.sample()]
    except InputError:
        return None
    columns = [name for name in table.columns if any(_entities(row.get(name)) for row in sample)]
    if len(columns) == 1:
        others = [name for name in table.columns if name != columns[0]]
        has_texts = (name for name in others if _has_texts(sample, name, columns[0]))
        text = "text" if "text" in others else next(has_texts, None)
        return None if text is None else _rows(table, text, columns[0])
    lists = [name for name in table.columns if all(list_of(row.get(name)) is not None for row in sample)]
    texts = [name for name in table.columns if name not in lists]
    if len(lists) > 1 and any(name in lists for name in WORDS):
        return _rows_of_lists(table, lists, None)
    # A file with a word on each line has one word in each cell.
    for tags in (*lists, *texts):
        for text in texts:
            if tags == text or max(len(str(row.get(text)).split()) for row in sample) < 2:
                continue
            if all(_are_tags_of(row.get(tags), row.get(text)) for row in sample):
                return _rows_of_lists(table, [tags], text)
    return None


def _rows_of_lists(table: Table, lists: Sequence[str], text: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read rows with lists of words and of tags; or with a text, whose words have the tags of the one list."""
    for location, row, _ in table.records(BadRows()):
        found = {name: _list_in(row.get(name)) for name in lists}
        yield location, found if text is None else {"tokens": str(row.get(text)).split(), "ner_tags": found[lists[0]]}


def _list_in(cell: Any) -> list[Any]:
    """Return the list that a cell has in any of the forms."""
    found = list_of(cell)
    return str(cell).replace(",", " ").split() if found is None else found


def _are_tags_of(tags: Any, text: Any) -> bool:
    """Tell whether a cell has a tag for each word of a text."""
    found = _list_in(tags)
    return len(found) == len(str(text).split()) > 0 and all(is_prefixed(str(tag)) for tag in found)


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
