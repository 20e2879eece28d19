"""Texts whose entities are given by their characters, as annotation tools export them: as words with tags.

The shapes of JSON are in `annotation_shapes`, BRAT's folders in `brat`. CLUENER's own lines are

    {"text": "...", "label": {type: {mention: [[first character, last character], ...]}}}

where both characters belong to the mention; in all other shapes the end is the character after the last.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.ner.annotation_shapes import AnnotatedSpan, shape_of
from bertworks.tasks.ner.entities import BIO, EntitySpan, Scheme, tags, without_overlaps
from bertworks.tasks.ner.json_values import JsonValue, json_values
from bertworks.tasks.ner.tag_files import TaggedRow, usable
from bertworks.tasks.ner.words import TagUnit, words_of
from bertworks.tasks.text_places import place_of
from bertworks.tasks.texts import is_blank


class AnnotatedText(NamedTuple):
    """A text and its entities, each once; None where the file has none, as in a test file.

    Attributes:
        number: among those of a JSON file, from 0 on.
    """

    location: str
    id: str
    text: str
    spans: tuple[EntitySpan, ...] | None
    number: int = 0


def read_annotated(path: Path, bad: BadRows, repeated: list[str] | None = None) -> Iterator[AnnotatedText]:
    """Read the texts of a file of JSON; without "id" the id is the number from 0.

    Args:
        path: the file.
        bad: gets the texts that cannot be used, and a remark for each that is left out or is odd.
        repeated: if given, gets a line for each id of another line, which is then no error.

    Raises:
        InputError: with the file and the line: not UTF-8, not JSON, no text, an id of another line, or an entity
            that differs from the text at its place; or no text can be used.
    """
    locations: dict[str, str] = {}

    def parse(number: int, value: JsonValue) -> AnnotatedText | None:
        location = value.location
        shape = shape_of(value)
        for remark in shape.remarks:
            bad.remarks.append(f"{location}: {remark}")
        if shape.is_left_out:
            return None
        if not isinstance(shape.text, str) or is_blank(shape.text):
            raise InputError(f'{location}: has no "text"')
        name = str(number if shape.id is None else shape.id)
        spans = None if shape.spans is None else checked(location, shape.text, shape.spans, bad)
        if shape.id is not None and (first := locations.setdefault(name, location)) != location:
            if repeated is None:
                raise InputError(f"{location}: the id {name!r:.60} is that of {first} too; give each sentence its own")
            repeated.append(f"{location} has that of {first.rpartition(', ')[2]}, {name!r:.60}")
        return AnnotatedText(location, name, shape.text, spans, number)

    return usable(path, json_values(path), parse, bad)


def read_cluener(path: Path, bad: BadRows, scheme: Scheme = BIO) -> Iterator[TaggedRow]:
    """Read the sentences of a CLUENER file; the words are the characters of the text, with white space.

    `bad` gets a remark for each mention that is dropped because it overlaps a longer one. Errors as in
    `read_annotated`.
    """
    return tagged(read_annotated(path, bad), "character", bad, scheme)


def checked(location: str, text: str, spans: Sequence[AnnotatedSpan], bad: BadRows) -> tuple[EntitySpan, ...]:
    """Return the spans of a text, each once, in their order.

    What the file says of their texts is compared; offsets that count otherwise (see `place_of`) get a remark.

    Raises:
        InputError: a span is not in the text, or reads otherwise than the file says.
    """
    found = []
    for kind, begin, end, mention in spans:
        there = text[max(0, begin) : end]
        fits = 0 <= begin < end <= len(text) and (mention is None or mention.split() == there.split())
        # Where the text begins as the file says, its end is what is wrong.
        is_known = fits or mention is None or text.startswith(mention, max(begin, 0))
        place = None if is_known else place_of(text, str(mention), begin)
        if place is None and not fits:
            named = kind if mention is None else f"{kind} {mention[:40]!r}"
            raise InputError(
                f"{location}: {named} is said to be at {begin} to {end - 1}, where the text has {there[:40]!r}"
            )
        if place is not None:
            bad.remarks.append(f"{location}: {kind} {mention!r:.40} is odd but is read: {place.why}")
        found.append(EntitySpan(kind, begin, end) if place is None else EntitySpan(kind, place.begin, place.end))
    return tuple(dict.fromkeys(found))


def tagged(texts: Iterable[AnnotatedText], unit: TagUnit, bad: BadRows, scheme: Scheme = BIO) -> Iterator[TaggedRow]:
    """Cut texts into words or characters, and tag these.

    An entity takes the words that it touches. Of entities that overlap the longer one is kept.

    Args:
        texts: with entities, or without.
        unit: what to tag.
        bad: gets a remark for each entity that is part of a word, or is dropped.
        scheme: of the tags.
    """
    for location, name, text, spans, _ in texts:
        places = words_of(text, unit)
        begins, ends = [place[0] for place in places], [place[1] for place in places]
        found = None
        if spans is not None:
            of_words = []
            for kind, begin, end in spans:
                first, last = bisect_right(ends, begin), bisect_left(begins, end)
                if first >= last:
                    bad.remarks.append(f"{location}: {kind} {text[begin:end]!r:.40} has no word and is not used")
                    continue
                whole = text[begins[first] : ends[last - 1]]
                if whole.strip() != text[begin:end].strip():
                    bad.remarks.append(f"{location}: {kind} {text[begin:end]!r:.40} is tagged as {whole!r:.60}")
                of_words.append(EntitySpan(kind, first, last))
            kept, dropped = without_overlaps(dict.fromkeys(of_words))
            for kind, first, last in dropped:
                mention = text[begins[first] : ends[last - 1]]
                bad.remarks.append(f"{location}: {kind} {mention!r} overlaps another mention and is not used")
            found = tags(kept, len(places), scheme)
        words = tuple(text[begin:end] for begin, end in places)
        yield TaggedRow(location, name, words, found, text, tuple(places))
