"""The JSON values of a file, each with its place: one a line, or the members of one list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bertworks.data.parquet import parquet_rows
from bertworks.errors import InputError, one_line
from bertworks.tasks.ner.nested_values import annotated_cells, sentences_of_spacy
from bertworks.tasks.ner.tag_files import file_lines

_TABLES = (".csv", ".tsv")


class JsonValue(NamedTuple):
    """A value of a file, and where it is; read it with `parsed`, so that a bad one is an error of its own."""

    location: str
    content: Any
    is_text: bool = False

    def parsed(self) -> Any:
        """Return the value. Raises InputError if it is not JSON, or has half of a surrogate pair."""
        if not self.is_text:
            return self.content
        return _parsed(self.location, self.content.text)


def json_values(path: Path) -> Iterator[JsonValue]:
    """Read the values of a .parquet file, or of a file of JSON.

    A file of JSON is a list, an object with a list called data, or the object of spaCy's annotator; or else it has a
    value on each line.

    Raises:
        InputError: the file is damaged; what is wrong with a line is said when it is parsed.
    """
    if path.suffix.lower() == ".parquet":
        for location, values in parquet_rows(path):
            yield JsonValue(location, values)
        return
    if path.suffix.lower() in _TABLES:
        for location, values in annotated_cells(path) or ():
            yield JsonValue(location, values)
        return
    members = _members(path)
    if members is not None:
        for number, member in enumerate(members, 1):
            yield JsonValue(f"{path}, item {number}", member)
        return
    for line in file_lines(path):
        if line.content:
            yield JsonValue(line.location, line, True)


def is_json(path: Path) -> bool:
    """Tell whether a file is JSON: by its name, or by its first line, which is an object or a list.

    So is a table of texts with a column of JSON.
    """
    if path.suffix.lower() in _TABLES:
        return annotated_cells(path) is not None
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson", ".parquet"):
        return True
    first = next((line.content for line in file_lines(path) if line.content), b"")
    try:
        return first[:1] in (b"{", b"[") and bool(json.loads(first))
    except (ValueError, RecursionError):
        return False


def is_pair(value: Any) -> bool:
    """Tell whether a value is a text and an object, as spaCy's training data have them."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)


def _members(path: Path) -> list[Any] | None:
    """Return the members of a file that is one value; None if it has a value a line."""
    lines = (line for line in file_lines(path) if line.content)
    first, second = next(lines, None), next(lines, None)
    if first is None:
        return None
    try:
        value = _parsed(first.location, first.text)
    except InputError:
        if second is None or first.content[:1] not in (b"{", b"["):
            return None
        return _of_whole_file(path)
    return None if second is not None else _list_in(value)


def _of_whole_file(path: Path) -> list[Any] | None:
    """Return the members of a file whose first line is not JSON; None if the file is not JSON either."""
    try:
        return _list_in(json.loads(path.read_text(encoding="utf-8-sig")))
    except RecursionError:
        raise InputError(f"{path}: lists or objects are nested too deeply") from None
    except ValueError:
        return None


def _list_in(value: Any) -> list[Any] | None:
    """Return the records that a value holds: of a list, of {"data": [...]}, or of an annotator's pairs."""
    if isinstance(value, dict):
        pairs = value.get("annotations")
        is_annotator = isinstance(pairs, list) and any(map(is_pair, pairs))
        value = pairs if is_annotator else value.get("data")
    return sentences_of_spacy(value) if isinstance(value, list) and not is_pair(value) else None


def _parsed(location: str, text: str) -> Any:
    try:
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise InputError(f"{location}: is not JSON that can be read (lists or objects are nested too deeply)") from None
    except UnicodeEncodeError:
        raise InputError(f"{location}: half of a surrogate pair in the text") from None
    except ValueError as problem:
        raise InputError(f"{location}: is not JSON ({one_line(problem)})") from None
    return value
