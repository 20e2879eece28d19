"""Entities as tags of words and back, and how they are scored.

A tag is "O", or where in an entity a word stands and the entity's type: "B-PER". Schemes differ in how much they say:

    word    Anna   Maria   met   Bob   in   New    York
    IOB1    I-PER  I-PER   O     I-PER O    I-LOC  I-LOC    B- where an entity of its type ends just before
    BIO     B-PER  I-PER   O     B-PER O    B-LOC  I-LOC
    BIOES   B-PER  E-PER   O     S-PER O    B-LOC  E-LOC    in the middle I-; BMES is the same with M-

`spans` reads all of them, and what a model makes of them, by the rules of conlleval (version 2004-01-26), the script of
the CoNLL shared tasks, with what its Python versions add for BIOES: S-, and a B- after E- begins an entity.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.tasks.metrics import Counts, total

OUTSIDE = "O"

# The types of CLUENER, over which its score is a mean (CLUENER2020's README).
CLUENER_TYPES = (
    *("address", "book", "company", "game", "government"),
    *("movie", "name", "organization", "position", "scene"),
)

# M is the I of BMES; L and U are the E and S of BILOU. MindSpore's label files have "_" for "-".
_ALIASES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}
_TAG = re.compile(r"([A-Z])(?:[-_](.*))?", re.DOTALL)

# For a CLUENER line: type -> mention -> [[first character, last character]].
Mentions = Mapping[str, Mapping[str, Sequence[Sequence[int]]]]


_Found = TypeVar("_Found", bound=tuple[str, *tuple[object, ...]])


class Span(NamedTuple):
    """An entity: its type, and that it is words begin, ..., end - 1 of its sentence."""

    type: str
    begin: int
    end: int


class Scheme(NamedTuple):
    """How the tags of an entity begin: of its first word, of those in the middle, of the last, and of a single one."""

    name: str
    first: str
    middle: str
    last: str
    single: str

    def labels(self, types: Iterable[str]) -> list[str]:
        """Every tag there can be: "O", then type by type."""
        prefixes = dict.fromkeys((self.first, self.middle, self.last, self.single))
        return [OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in prefixes)]


BIO = Scheme("BIO", "B", "I", "I", "B")
BIOES = Scheme("BIOES", "B", "I", "E", "S")
BMES = Scheme("BMES", "B", "M", "E", "S")
SCHEMES = {scheme.name: scheme for scheme in (BIO, BIOES, BMES)}


@lru_cache(maxsize=4096)
def split_tag(tag: str) -> tuple[str, str]:
    """Where a tag's word stands (B, I, E, S or O) and its entity's type.

    Raises:
        InputError: it is no tag of a known scheme; the message does not know where it stands.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    match = _TAG.fullmatch(tag)
    if match is None or match[1] not in _ALIASES:
        raise InputError(f"{tag!r} is no tag: write O, or B-, I-, M-, E-, S- (also L-, U-) and a type, such as B-PER")
    return _ALIASES[match[1]], match[2] or ""


def spans(tags: Iterable[str]) -> list[Span]:
    """The entities of a sentence, in order, by conlleval's rules.

    An entity goes on where I- or E- follows B- or I- of the same type. Anything else that is not O begins one: so does
    an I- after O, and an I- of another type than the tag before it.

    Raises:
        InputError: see `split_tag`.
    """
    found: list[Span] = []
    begin, last, last_kind = 0, OUTSIDE, ""
    # An O after the last word ends what is open there.
    for at, (place, kind) in enumerate(map(split_tag, (*tags, OUTSIDE))):
        if not (place in "IE" and last in "BI" and kind == last_kind):
            if last != OUTSIDE:
                found.append(Span(last_kind, begin, at))
            begin = at
        last, last_kind = place, kind
    return found


def tags(spans: Iterable[Span], length: int, scheme: Scheme = BIO) -> tuple[str, ...]:
    """The tags of a sentence of `length` words; the spans must not overlap (see `without_overlaps`)."""
    found = [OUTSIDE] * length
    for kind, begin, end in spans:
        if end - begin == 1:
            found[begin] = f"{scheme.single}-{kind}"
        else:
            middles = [f"{scheme.middle}-{kind}"] * (end - begin - 2)
            found[begin:end] = [f"{scheme.first}-{kind}", *middles, f"{scheme.last}-{kind}"]
    return tuple(found)


def without_overlaps(spans: Iterable[Span]) -> tuple[list[Span], list[Span]]:
    """Spans of which tags can be made, in order, and those dropped: of two that overlap, the longer one is kept.

    Of equally long ones, it is the one that begins first; of two types of the same words, the one named first.
    """
    kept: list[Span] = []
    dropped: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.begin - one.end, one.begin)):
        place = bisect_right(kept, span.begin, key=lambda one: one.begin)
        if any(span.begin < other.end and other.begin < span.end for other in kept[max(0, place - 1) : place + 1]):
            dropped.append(span)
        else:
            kept.insert(place, span)
    return kept, dropped


def recognise(sentences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme of a data set; IOB1, which says no more than BIO, is taken for BIO.

    Raises:
        InputError: see `split_tag`.
    """
    distinct = {tag for sentence in sentences for tag in sentence}
    places = {split_tag(tag)[0] for tag in distinct}
    if not places & {"E", "S"}:
        return BIO
    return BMES if any(tag.startswith("M") for tag in distinct) else BIOES


def in_scheme(sentence: Sequence[str], scheme: Scheme) -> tuple[str, ...]:
    """The same entities in the tags of a scheme, whatever scheme they were in."""
    return tags(spans(sentence), len(sentence), scheme)


class Legal(NamedTuple):
    """Which tags a sentence may have: begin with [C], end with [C], and after tag i (rows) tag j (columns) [C, C]."""

    start: NDArray[np.bool_]
    moves: NDArray[np.bool_]
    end: NDArray[np.bool_]


def legal(labels: Sequence[str]) -> Legal:
    """What BIO allows, or BIOES where there are labels with E- or S-.

    I- and E- follow only B- and I- of their type; in BIOES, after B- and I- one of them must follow.
    """
    parts = [split_tag(label) for label in labels]
    must_end = any(place in "ES" for place, _ in parts)
    goes_on = np.array([place in "IE" for place, _ in parts])
    is_open = np.array([place in "BI" for place, _ in parts])
    same = np.array([[one[1] == other[1] for other in parts] for one in parts])
    moves = np.where(goes_on[None], is_open[:, None] & same, ~is_open[:, None] if must_end else True)
    return Legal(~goes_on, moves, ~is_open if must_end else np.ones(len(parts), np.bool_))


class EntityScore(NamedTuple):
    """Entities that are right in type, begin and end: over all types, and of each type, in alphabetical order."""

    overall: Counts
    by_type: dict[str, Counts]


def score(gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> EntityScore:
    """Precision, recall and F1 of entities as conlleval counts them, from the tags of sentences."""
    return score_spans((spans(sentence) for sentence in gold), (spans(sentence) for sentence in predicted))


def score_spans(gold: Iterable[Collection[Span]], predicted: Iterable[Collection[Span]]) -> EntityScore:
    """The same from spans; within a sentence each counts once."""
    return _score(map(set, gold), map(set, predicted))


def cluener_score(gold: Iterable[Mentions], predicted: Iterable[Mentions]) -> tuple[float, EntityScore]:
    """CLUENER's score and its parts: the mean of the F1 of its ten types, where what counts is a mention's text.

    As in CLUENER2020's score.py, a mention is right if its type has the same text in the same sentence, wherever it
    stands, and one that occurs twice in a sentence counts once. Types that are none of the ten do not count. Where a
    type is neither there nor predicted score.py fails; here its F1 is 0.
    """
    found = _score(map(_texts, gold), map(_texts, predicted))
    by_type = {kind: found.by_type.get(kind, Counts(0, 0, 0)) for kind in CLUENER_TYPES}
    return sum(one.f1 for one in by_type.values()) / len(by_type), EntityScore(total(by_type.values()), by_type)


def _texts(mentions: Mentions) -> set[tuple[str, str]]:
    return {(kind, text) for kind, texts in mentions.items() for text in texts}


def _score(gold: Iterable[Set[_Found]], predicted: Iterable[Set[_Found]]) -> EntityScore:
    """What is right, predicted and there, by type: the first of what stands in the sets, one set a sentence."""
    correct, guessed, actual = Counter[str](), Counter[str](), Counter[str]()
    for there, found in zip(gold, predicted, strict=True):
        actual.update(one[0] for one in there)
        guessed.update(one[0] for one in found)
        correct.update(one[0] for one in there & found)
    by_type = {kind: Counts(correct[kind], guessed[kind], actual[kind]) for kind in sorted(actual | guessed)}
    return EntityScore(total(by_type.values()), by_type)


def table(score: EntityScore) -> str:
    """A score for a person to read, as lines of equal width."""
    width = max(map(len, ("all", *score.by_type)))
    lines = [f"{'':{width}}  precision  recall      F1  entities  predicted  correct"]
    for name, one in (*score.by_type.items(), ("all", score.overall)):
        shares = f"{one.precision:9.2%} {one.recall:7.2%} {one.f1:7.2%}"
        lines.append(f"{name:{width}}  {shares} {one.actual:9,}  {one.predicted:9,} {one.correct:8,}")
    return "\n".join(lines)
