"""Folders of BRAT: a .txt with a text, and a .ann of the same name with the places of its entities.

A line "T1\tPER 0 5\tAnna" of a .ann is an entity; its end is the character after the last. Other lines are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.tasks.ner.annotated_texts import AnnotatedText, checked
from bertworks.tasks.ner.annotation_shapes import AnnotatedSpan
from bertworks.tasks.ner.entities import EntitySpan
from bertworks.tasks.ner.tag_files import file_lines, usable
from bertworks.tasks.texts import is_blank

_ENTITY = re.compile(r"T[^\t]*\t(\S+) ([0-9]+) ([0-9; ]*?)([0-9]+)(?:\t(.*))?", re.DOTALL)


def read_brat(folder: Path, bad: BadRows) -> Iterator[AnnotatedText]:
    """Read the lines of a folder's texts; an entity that goes over a line end joins the lines.

    Args:
        folder: texts without a .ann have no entities to train on.
        bad: gets the texts with a bad .ann, and a remark for each entity in several pieces.

    Raises:
        InputError: with the file and the line: not UTF-8, an entity that is none, or reads otherwise in the text; or
            no text can be used.
    """
    texts = sorted(folder.rglob("*.txt"))
    if not texts:
        raise InputError(f"{folder}: has no .txt; a folder of BRAT has a .txt and a .ann for each text")
    for document in usable(folder, texts, lambda number, path: _document(path, bad), bad):
        yield from document


def _document(path: Path, bad: BadRows) -> list[AnnotatedText]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; convert the file") from None
    annotations = path.with_suffix(".ann")
    spans = _entities(annotations, text, bad) if annotations.exists() else None
    inside = {i for _, begin, end in spans or () for i in range(begin, end)}
    ends = [match.end() for match in re.finditer("\n", text) if match.start() not in inside]
    found = []
    for begin, end in pairwise(dict.fromkeys([0, *ends, len(text)])):
        if not is_blank(text[begin:end]):
            line = text.count("\n", 0, begin) + 1
            own = None
            if spans is not None:
                own = tuple(EntitySpan(kind, a - begin, b - begin) for kind, a, b in spans if begin <= a and b <= end)
            found.append(AnnotatedText(f"{path}, line {line}", f"{path.stem}:{line}", text[begin:end], own))
    return found


def _entities(path: Path, text: str, bad: BadRows) -> list[EntitySpan]:
    """Read the entities of a .ann."""
    found: list[EntitySpan] = []
    for line in file_lines(path):
        if not line.content.startswith(b"T"):
            continue
        match = _ENTITY.fullmatch(line.text)
        if match is None:
            raise InputError(f'{line.location}: is not "T1", a tab, type, begin and end, a tab, the text')
        kind, begin, pieces, end, mention = match[1], int(match[2]), match[3], int(match[4]), match[5]
        if pieces.strip():
            bounds = [int(bound) for bound in re.findall("[0-9]+", pieces)]
            if any(text[a:b].strip() for a, b in zip(bounds[::2], bounds[1::2], strict=False)):
                bad.remarks.append(f"{line.location}: {kind} is in several pieces and is tagged from end to end")
                mention = None
        found += checked(line.location, text, [AnnotatedSpan(kind, begin, end, mention)], bad)
    return found
