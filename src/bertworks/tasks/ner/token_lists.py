"""JSON and Parquet with a list of words and a list of tags for each sentence, as Hugging Face's data sets are saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from bertworks.data.bad_rows import BadRows
from bertworks.data.parquet import class_names
from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.ner.column_layout import TagColumnFlags
from bertworks.tasks.ner.json_values import JsonValue, json_values
from bertworks.tasks.ner.nested_values import WORDS
from bertworks.tasks.ner.tag_files import TaggedRow, usable
from bertworks.tasks.ner.tag_forms import TagForm, form_of

_TAGS = ("ner_tags", "tags", "labels", "ner", "ner_labels", "label")

# The values that tell which lists a file has.
_LOOKED_AT = 100


class TokenLists:
    """A file of such sentences.

    Attributes:
        words, tags: the names of its lists; `tags` is None if none are to be read.
        form: of its tags.
    """

    def __init__(self, path: Path, words: str, tags: str | None, labels: Sequence[str] = ()) -> None:
        """Look through the tags of a file; `labels` are the names of tags that are numbers.

        A Parquet file of Hugging Face's `datasets` may have these names itself; `labels` come first.

        Raises:
            InputError: the tags are numbers without names, or beyond the names.
        """
        self._path = path
        self.words, self.tags = words, tags
        distinct: set[str] = set()
        if tags is not None:
            for value in json_values(path):
                found = _object(value).get(tags)
                distinct.update(map(str, found) if isinstance(found, list) else ())
        own = class_names(path).get(tags, ()) if tags is not None and path.suffix.lower() == ".parquet" else ()
        try:
            self.form: TagForm = form_of(distinct, labels or own)
        except InputError as problem:
            raise InputError(f"{path}: {problem}") from None
        if self.form.is_of_numbers and not labels:
            self.form = self.form._replace(note=f"the numbers mean {listed(own)}", is_of_numbers=False)

    @classmethod
    def of(
        cls, path: Path, flags: TagColumnFlags, labels: Sequence[str] = (), *, with_tags: bool = True
    ) -> TokenLists | None:
        """Recognise a file; None if its values have no list of words. Errors as in `__init__`."""
        found: dict[str, None] = {}
        for value in islice(json_values(path), _LOOKED_AT):
            content = _object(value)
            found.update(dict.fromkeys(key for key, part in content.items() if _is_list_of_words(part)))
        words = flags.word if flags.word in found else next((key for key in WORDS if key in found), None)
        if words is None:
            return None
        known = [key for key in _TAGS if key in found and key != words]
        tags = flags.tag if flags.tag in found else next(iter(known), None)
        return cls(path, words, tags if with_tags else None, labels)

    def __str__(self) -> str:
        """A line for a person."""
        tags = f', tags in "{self.tags}"' if self.tags is not None else ""
        note = f"; {self.form.note}" if self.form.note else ""
        return f'{self._path}: lists of words; words in "{self.words}"{tags}{note}'

    def rows(self, bad: BadRows) -> Iterator[TaggedRow]:
        """Read the sentences.

        Raises:
            InputError: with the file and the line: not JSON, no list of words, a word that is not a text, a tag of no
                known scheme, or not as many tags as words; or no sentence can be used.
        """
        return usable(self._path, json_values(self._path), self._row, bad)

    def _row(self, number: int, value: JsonValue) -> TaggedRow:
        content, location = value.parsed(), value.location
        words = content.get(self.words) if isinstance(content, Mapping) else None
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise InputError(f'{location}: "{self.words}" is not a list of words')
        if self.tags is None:
            return TaggedRow(location, str(number), tuple(words), None)
        tags = content.get(self.tags)
        if tags is None:
            return TaggedRow(location, str(number), tuple(words), None)
        if not isinstance(tags, list) or len(tags) != len(words):
            had = f"{len(tags)} tags" if isinstance(tags, list) else "no list of tags"
            raise InputError(f'{location}: "{self.tags}" has {had} for {len(words)} words')
        try:
            found = tuple(self.form.read(str(tag)) for tag in tags)
        except InputError as problem:
            raise InputError(f"{location}: {problem}") from None
        return TaggedRow(location, str(number), tuple(words), found)


def _object(value: JsonValue) -> Mapping[str, Any]:
    """Return the object of a value; an empty one if it is none."""
    try:
        content = value.parsed()
    except InputError:
        return {}
    return content if isinstance(content, Mapping) else {}


def _is_list_of_words(part: object) -> bool:
    return isinstance(part, list) and bool(part) and all(isinstance(item, str | int) for item in part)
