"""The forms that tags have in files, and the tags of a model's labels.

Inside, a tag is O or B-PER (see `entities`). Files also have PER-B; bare types, PER; NER=B-PER among other things, as
in CoNLL-U; and numbers, whose names a flag gives.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from bertworks.errors import InputError
from bertworks.names import listed
from bertworks.tasks.ner.entities import OUTSIDE, split_tag

_SUFFIXED = re.compile(r"(.+)[-_]([BIMESLU])", re.DOTALL)
# A type without a position; not "X-PER", which is a position that there is not.
_BARE = re.compile(r"(?![A-Za-z][-_])[^\W\d_][\w.:/ -]*")
# The last column of CoNLL-U has several things with their names.
_NAMED = re.compile(r"(?:[^|]*\|)*NER=([^|]+)(?:\|.*)?")
_NUMBER = re.compile(r"[0-9]{1,6}")

# In a column of bare types, at least this share of the words is outside of entities.
_OUTSIDE_OF_BARE = 0.2


class TagForm(NamedTuple):
    """How a file writes its tags.

    Attributes:
        note: what is unusual about it, for a person; empty if nothing is.
        table: tag of the file -> tag; None if they are the same.
        is_of_numbers: whether a flag names the tags.
    """

    note: str = ""
    table: Mapping[str, str] | None = None
    is_of_numbers: bool = False

    def read(self, tag: str) -> str:
        """Return a tag. Raises InputError if it is none; the caller adds file and line."""
        if self.table is None:
            split_tag(tag)
            return tag
        if tag in self.table:
            return self.table[tag]
        raise InputError(f"{tag!r:.60} is no tag; the others of the file are {listed(sorted(self.table))}")


PREFIXED = TagForm()


def form_of(tags: Collection[str], labels: Sequence[str] = ()) -> TagForm:
    """Return the form of a file's distinct tags; `PREFIXED` if they are of no other.

    Args:
        tags: as the file has them.
        labels: the names of tags that are numbers.

    Raises:
        InputError: the tags are numbers without names, or beyond the names.
    """
    others = [tag for tag in tags if tag != OUTSIDE]
    if others and all(map(_NUMBER.fullmatch, others)):
        if not labels:
            raise InputError("its tags are numbers; name them in their order: --labels=O,B-PER,I-PER,...")
        if highest := next((tag for tag in sorted(others, key=int) if int(tag) >= len(labels)), None):
            raise InputError(f"has the tag {highest}, but --labels names {len(labels)}, number 0 to {len(labels) - 1}")
        names = form_of(labels)
        table = {str(i): names.read(label) for i, label in enumerate(labels)}
        return TagForm("tags are numbers, named by --labels", table, is_of_numbers=True)
    if named := {tag: match[1] for tag in tags if (match := _NAMED.fullmatch(tag))}:
        inner = form_of(set(named.values()), labels)
        table = {tag: inner.read(named[tag]) if tag in named else OUTSIDE for tag in tags}
        return TagForm("tags are called NER in the column; words without it are O", table)
    if any(map(is_prefixed, others)) or not others:
        return PREFIXED
    suffixed = {tag: match for tag in others if (match := _SUFFIXED.fullmatch(tag))}
    if suffixed:
        found = {tag: f"{match[2]}-{match[1]}" for tag, match in suffixed.items()}
        return TagForm(f"positions stand behind the types ({min(suffixed)})", {OUTSIDE: OUTSIDE, **found})
    if OUTSIDE in tags and all(map(_BARE.fullmatch, others)):
        note = f"tags are types without B- or I- ({min(others)}), so neighbouring words of a type are one entity"
        return TagForm(note, {OUTSIDE: OUTSIDE, **{tag: f"I-{tag}" for tag in others}})
    return PREFIXED


def is_prefixed(tag: str) -> bool:
    """Tell whether a tag is O or begins with a position, as B-PER does."""
    try:
        split_tag(tag)
    except InputError:
        return False
    return True


def are_tags(counts: Mapping[str, int], labels: Sequence[str] = ()) -> bool:
    """Tell whether the values of a column, with their counts, are tags of some form."""
    total = sum(counts.values())
    names = set(labels) and {str(i) for i in range(len(labels))}
    for fits in (is_prefixed, lambda tag: tag == OUTSIDE or _SUFFIXED.fullmatch(tag), names.__contains__):
        if sum(count for tag, count in counts.items() if fits(tag)) >= 0.95 * total:
            return True
    # The words of a text do not repeat as types do, and O is rare among them.
    outside, types = counts.get(OUTSIDE, 0), counts.keys() - {OUTSIDE}
    repeats = len(types) < max(2, total - outside)
    return repeats and outside >= _OUTSIDE_OF_BARE * total and all(map(_BARE.fullmatch, types))
