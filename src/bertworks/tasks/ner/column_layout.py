"""Find out where a column file has its words and its tags.

What a file cannot say by itself, flags say: `--word_column` and `--tag_column`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path
from typing import NamedTuple

from bertworks.errors import InputError
from bertworks.names import listed, plain_name
from bertworks.tasks.ner.entities import OUTSIDE, split_tag
from bertworks.tasks.ner.tag_files import ColumnLayout, FileLine
from bertworks.tasks.ner.tag_forms import are_tags, form_of, is_prefixed

# The sentences that tell the columns of a file.
_LOOKED_AT = 2000

# What columns are called, by letters and digits in lower case.
_NAMES = {
    "sentence": ("sentence", "sentenceid", "sentenceidx", "sentencenumber", "sentid", "sent"),
    "word": ("word", "words", "token", "tokens", "form"),
    "tag": (
        "tag",
        "tags",
        "nertag",
        "nertags",
        "ner",
        "label",
        "labels",
        "netag",
        "entity",
        "bio",
        "iob",
    ),
}

# The phrases of CoNLL-2000 and -2003, whose tags look like those of entities.
_PHRASES = frozenset(["ADJP", "ADVP", "CONJP", "INTJ", "LST", "NP", "PP", "PRT", "SBAR", "UCP", "VP"])

_NUMBER = re.compile("-?[0-9]{1,6}")
_COUNTED = re.compile("[0-9]{1,6}")


class TagColumnFlags(NamedTuple):
    """What a person says about columns: numbers from 0 on (-1 is the last), or names; None leaves it to the file."""

    word: str | None = None
    tag: str | None = None


def layout_of(
    path: Path,
    flags: TagColumnFlags,
    *,
    labels: Sequence[str] = (),
    with_tags: bool = True,
    like: ColumnLayout | None = None,
) -> tuple[ColumnLayout, str]:
    """Return the layout of a column file, and a line about it for a person.

    Args:
        path: the file.
        flags: what a person says.
        labels: the names of tags that are numbers.
        with_tags: whether tags are to be read.
        like: the layout of the training file; of a file with as many columns, words and tags are in the same ones.

    Raises:
        InputError: a flag names no column, or a column that counts the words; or the tags are numbers without names.
    """
    layout = ColumnLayout(separator=_separator(path), tag=None)
    lines = (line for lines in layout.sentences(path) for line in lines)
    first = next((line for line in lines if not line.content.startswith(b"#")), None)
    first = first or next(iter(next(layout.sentences(path), [])), None)
    if first is None:
        raise InputError(f"{path}: has no sentences")
    if layout.separator is None and "\t" in _text(first):
        layout = replace(layout, separator="\t")
    names = tuple(name.strip() for name in layout.split(_text(first)))
    by_name = {
        role: next((i for i, name in enumerate(names) if plain_name(name) in known), None)
        for role, known in _NAMES.items()
    }
    named_by_flag = any(given in names and not _NUMBER.fullmatch(given) for given in flags if given is not None)
    has_header = (
        len(names) > 1
        and by_name["word"] is not None
        and (by_name["tag"] is not None or by_name["sentence"] is not None or layout.separator in (",", ";"))
    )
    layout = replace(layout, count=len(names), has_comments=True)
    if has_header or named_by_flag:
        layout = replace(layout, header=names, sentence=by_name["sentence"])
    return _with_roles(path, layout, names, flags, labels, by_name if layout.header else {}, like, with_tags=with_tags)


def _with_roles(
    path: Path,
    layout: ColumnLayout,
    names: Sequence[str],
    flags: TagColumnFlags,
    labels: Sequence[str],
    by_name: Mapping[str, int | None],
    like: ColumnLayout | None,
    *,
    with_tags: bool,
) -> tuple[ColumnLayout, str]:
    """Decide what each column is; see `layout_of`."""
    count = layout.count or 1
    sample = _sample(path, layout)
    numbers = next((i for i in range(count) if count > 1 and _counts_words(sample, i)), None)
    values = [Counter(row[i] for sentence in sample for row in sentence) for i in range(count)]
    others = [i for i in range(count) if i not in (numbers, layout.sentence)]
    tagged = [i for i in others if are_tags(values[i], labels)]
    free = [i for i in others if i not in tagged] or others
    like = like if like is not None and like.count == count else None
    word = _given(path, layout, names, flags.word, "--word_column")
    if word is None:
        word = by_name.get("word")
    if word is None:
        word = like.word if like else free[0]
    if word == numbers:
        raise InputError(
            f"{path}: column {word} counts the words of each sentence (1, 2, 3, ...) and is not --word_column; "
            f"give --word_column={free[0]}"
        )
    tag = _given(path, layout, names, flags.tag, "--tag_column") if with_tags else None
    choices = _of_entities([i for i in tagged if i != word], values)
    if tag is None and with_tags and len(others) > 1:
        tag = by_name.get("tag")
        if tag is None:
            tag = like.tag if like else next(iter(choices), count - 1 if word != count - 1 else 0)
    layout = replace(layout, word=word, tag=tag, numbers=numbers)
    layout, comments = _with_form(path, layout, labels)
    said = [f"{path}: words in column {_called(layout, word)}"]
    if tag is not None:
        said[0] += f", tags in column {_called(layout, tag)} of {count}"
    if numbers is not None:
        said.append(f"column {_called(layout, numbers)} counts the words")
    if tag is not None and (rest := [i for i in choices if i != tag]):
        said.append(f"column {_called(layout, rest[0])} has tags too (--tag_column={rest[0]})")
    if layout.form.note:
        said.append(layout.form.note)
    if comments:
        said.append(f"{comments:,} lines that begin with # are comments and are not read")
    return layout, "; ".join(said)


def _with_form(path: Path, layout: ColumnLayout, labels: Sequence[str]) -> tuple[ColumnLayout, int]:
    """Add the form of the tags of the whole file; also return how many comments the file has."""
    distinct: set[str] = set()
    leading: list[list[FileLine]] = []
    for sentence in replace(layout, has_comments=False).sentences(path):
        comments = list(takewhile(lambda line: line.content.startswith(b"#"), sentence))
        if comments:
            leading.append(comments)
        if layout.tag is not None:
            rows = [layout.split(_text(line)) for line in sentence]
            fitting = [row for row in rows if len(row) == layout.count]
            distinct.update(row[layout.tag] for i, row in enumerate(fitting) if row[0] != "#" or i >= len(comments))
    try:
        layout = replace(layout, form=form_of(distinct, labels))
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from None
    return layout, sum(len(list(takewhile(layout.is_comment, comments))) for comments in leading)


def _sample(path: Path, layout: ColumnLayout) -> list[list[list[str]]]:
    """Return the columns of the lines of the first sentences; lines with another number of columns are left out."""
    found = []
    for lines in islice(layout.sentences(path), _LOOKED_AT):
        rows = [layout.split(_text(line)) for line in lines]
        if good := [row for row in rows if len(row) == layout.count]:
            found.append(good)
    return found


def _text(line: FileLine) -> str:
    return line.content.decode(errors="replace")


def _separator(path: Path) -> str | None:
    """Return what separates the columns of a .csv file; None for other files."""
    if path.suffix.lower() != ".csv":
        return None
    with path.open("rb") as stream:
        first = stream.readline().decode(errors="replace")
    best = max(",;\t", key=first.count)
    return None if best == "\t" else best


def _counts_words(sample: Sequence[Sequence[Sequence[str]]], column: int) -> bool:
    """Tell whether a column counts the words of nearly every sentence from 0 or 1 on."""
    counting, longest = 0, 0
    for sentence in sample:
        numbers = [int(row[column]) for row in sentence if _COUNTED.fullmatch(row[column])]
        begins = numbers[:1] in ([0], [1]) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        counting += begins and 2 * len(numbers) > len(sentence)
        longest = max(longest, len(numbers))
    return longest > 1 and counting >= 0.9 * len(sample)


def _of_entities(columns: Sequence[int], values: Sequence[Mapping[str, int]]) -> list[int]:
    """Return the columns of entities' tags: without those of phrases; those that have an entity come first."""
    found = []
    for i in columns:
        types = {split_tag(tag)[1] for tag in values[i] if is_prefixed(tag) and tag != OUTSIDE}
        if not types or not types <= _PHRASES:
            found.append(i)
    return sorted(found or columns, key=lambda i: set(values[i]) <= {OUTSIDE})


def _given(path: Path, layout: ColumnLayout, names: Sequence[str], flag: str | None, name: str) -> int | None:
    """Return the number from 0 on of a column that a flag gives; of a file with one column, that one."""
    count = layout.count or 1
    if flag is None:
        return None
    if _NUMBER.fullmatch(flag):
        if count == 1 or -count <= int(flag) < count:
            return int(flag) % count
        raise InputError(f"{path}: {name}={flag}: there are {count} columns, number 0 to {count - 1}; -1 is the last")
    if flag in layout.header:
        return layout.header.index(flag)
    if count == 1:
        return 0
    raise InputError(f"{path}: {name}={flag}: its first line has no such name; it has {listed(names)}")


def _called(layout: ColumnLayout, column: int) -> str:
    return f"{column} ({layout.header[column]})" if layout.header else str(column)
