"""Entities and the tags of words, one from the other, and the scores of entities.

A tag is "O", or the position of a word in an entity and the entity's type: "B-PER". The schemes of tags:

    word    Anna   Maria   met   Bob   in   New    York
    IOB1    I-PER  I-PER   O     I-PER O    I-LOC  I-LOC    B- only directly after an entity of its type
    BIO     B-PER  I-PER   O     B-PER O    B-LOC  I-LOC
    BIOES   B-PER  E-PER   O     S-PER O    B-LOC  E-LOC    in the middle I-; BMES is the same with M-

`spans` reads all of them, and any tags that a model predicts, by the rules of conlleval (version 2004-01-26), the
script of the CoNLL shared tasks. As in its Python versions for BIOES, S-, and a B- after E-, begin an entity.
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

# The labels of a CLUENER line: type -> mention -> [[first character, last character]].
Mentions = Mapping[str, Mapping[str, Sequence[Sequence[int]]]]

_Found = TypeVar("_Found", bound=tuple[str, *tuple[object, ...]])


class EntitySpan(NamedTuple):
    """An entity: its type; its words are begin, ..., end - 1 of its sentence."""

    type: str
    begin: int
    end: int


class Scheme(NamedTuple):
    """The letters of an entity's tags: for its first word, words in the middle, the last, and a single word."""

    name: str
    first: str
    middle: str
    last: str
    single: str

    def labels(self, types: Iterable[str]) -> list[str]:
        """Return every tag of entities of these types: "O", then type by type."""
        prefixes = dict.fromkeys((self.first, self.middle, self.last, self.single))
        return [OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in prefixes)]


BIO = Scheme("BIO", "B", "I", "I", "B")
BIOES = Scheme("BIOES", "B", "I", "E", "S")
BMES = Scheme("BMES", "B", "M", "E", "S")
SCHEMES = {scheme.name: scheme for scheme in (BIO, BIOES, BMES)}


@lru_cache(maxsize=4096)
def split_tag(tag: str) -> tuple[str, str]:
    """Split a tag into the position of its word (B, I, E, S or O) and the type of the entity.

    Raises:
        InputError: it is no tag of a known scheme. The message does not name a file and a line; the caller adds them.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    match = _TAG.fullmatch(tag)
    if match is None or match[1] not in _ALIASES:
        raise InputError(f"{tag!r} is no tag: write O, or B-, I-, M-, E-, S- (also L-, U-) and a type, such as B-PER")
    return _ALIASES[match[1]], match[2] or ""


def spans(tags: Iterable[str]) -> list[EntitySpan]:
    """Return the entities of a sentence, in order, by conlleval's rules.

    I- or E- after B- or I- of the same type continues an entity. Any other tag but O begins one: also I- after O, and
    I- after a tag of another type.

    Raises:
        InputError: see `split_tag`.
    """
    found: list[EntitySpan] = []
    begin, last, last_kind = 0, OUTSIDE, ""
    # The O after the last word ends an entity there.
    for i, (position, kind) in enumerate(map(split_tag, (*tags, OUTSIDE))):
        if not (position in "IE" and last in "BI" and kind == last_kind):
            if last != OUTSIDE:
                found.append(EntitySpan(last_kind, begin, i))
            begin = i
        last, last_kind = position, kind
    return found


def tags(spans: Iterable[EntitySpan], length: int, scheme: Scheme = BIO) -> tuple[str, ...]:
    """Return the tags of a sentence of `length` words; spans must not overlap (see `without_overlaps`)."""
    found = [OUTSIDE] * length
    for kind, begin, end in spans:
        if end - begin == 1:
            found[begin] = f"{scheme.single}-{kind}"
        else:
            middles = [f"{scheme.middle}-{kind}"] * (end - begin - 2)
            found[begin:end] = [f"{scheme.first}-{kind}", *middles, f"{scheme.last}-{kind}"]
    return tuple(found)


def without_overlaps(spans: Iterable[EntitySpan]) -> tuple[list[EntitySpan], list[EntitySpan]]:
    """Split spans into those to keep, in order, and those to drop: of two that overlap, the longer one is kept.

    Of equally long ones, the one that begins first is kept; of two types of the same words, the one given first.
    """
    kept: list[EntitySpan] = []
    dropped: list[EntitySpan] = []
    for span in sorted(spans, key=lambda span: (span.begin - span.end, span.begin)):
        i = bisect_right(kept, span.begin, key=lambda other: other.begin)
        if any(span.begin < other.end and other.begin < span.end for other in kept[max(0, i - 1) : i + 1]):
            dropped.append(span)
        else:
            kept.insert(i, span)
    return kept, dropped


def scheme_of(sentences: Iterable[Sequence[str]]) -> Scheme:
    """Return the scheme of a data set; IOB1 counts as BIO.

    Raises:
        InputError: see `split_tag`.
    """
    distinct = {tag for sentence in sentences for tag in sentence}
    if not {split_tag(tag)[0] for tag in distinct} & {"E", "S"}:
        return BIO
    return BMES if any(tag.startswith("M") for tag in distinct) else BIOES


def in_scheme(sentence: Sequence[str], scheme: Scheme) -> tuple[str, ...]:
    """Convert the tags of a sentence, of any scheme, to a scheme; the entities stay the same."""
    return tags(spans(sentence), len(sentence), scheme)


class Transitions(NamedTuple):
    """Which tags a sentence may begin with [C] and end with [C], and which tags (columns) may follow which [C, C]."""

    start: NDArray[np.bool_]
    moves: NDArray[np.bool_]
    end: NDArray[np.bool_]


def allowed_transitions(labels: Sequence[str]) -> Transitions:
    """Return what BIO allows, or BIOES if there are labels with E- or S-.

    I- and E- follow only B- and I- of their type; in BIOES, B- and I- must be followed by one of them.
    """
    positions, types = np.array([split_tag(label) for label in labels]).T
    continues, is_open = np.isin(positions, ["I", "E"]), np.isin(positions, ["B", "I"])
    may_stop = ~is_open | (not np.isin(positions, ["E", "S"]).any())
    moves = np.where(continues, is_open[:, None] & (types[:, None] == types), may_stop[:, None])
    return Transitions(~continues, moves, may_stop)


class EntityScore(NamedTuple):
    """Counts of entities that are right in type, begin and end: of all types, and of each, in alphabetical order."""

    overall: Counts
    by_type: dict[str, Counts]


def score(gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> EntityScore:
    """Score the entities of predicted tags by conlleval's rules, sentence by sentence."""
    return score_spans((spans(sentence) for sentence in gold), (spans(sentence) for sentence in predicted))


def score_spans(gold: Iterable[Collection[EntitySpan]], predicted: Iterable[Collection[EntitySpan]]) -> EntityScore:
    """Score the entities of predicted spans; the same span counts once in a sentence."""
    return _score(map(set, gold), map(set, predicted))


def cluener_score(gold: Iterable[Mentions], predicted: Iterable[Mentions]) -> tuple[float, EntityScore]:
    """Return CLUENER's score, the mean F1 of its ten types, and the counts it is made of.

    As in CLUENER2020's score.py, a mention is right if the same text has the same type anywhere in the sentence, a text
    that occurs twice in a sentence counts once, and other types than the ten do not count. score.py fails for a type
    that is neither gold nor predicted; here its F1 is 0.
    """
    found = _score(map(_texts, gold), map(_texts, predicted))
    by_type = {kind: found.by_type.get(kind, Counts(0, 0, 0)) for kind in CLUENER_TYPES}
    return sum(counts.f1 for counts in by_type.values()) / len(by_type), EntityScore(total(by_type.values()), by_type)


def _texts(mentions: Mentions) -> set[tuple[str, str]]:
    return {(kind, text) for kind, texts in mentions.items() for text in texts}


def _score(gold: Iterable[Set[_Found]], predicted: Iterable[Set[_Found]]) -> EntityScore:
    """Count the items of one set a sentence by type, which is the first part of an item."""
    correct, found, actual = Counter[str](), Counter[str](), Counter[str]()
    for golden, guessed in zip(gold, predicted, strict=True):
        actual.update(kind for kind, *_ in golden)
        found.update(kind for kind, *_ in guessed)
        correct.update(kind for kind, *_ in golden & guessed)
    by_type = {kind: Counts(correct[kind], found[kind], actual[kind]) for kind in sorted(actual | found)}
    return EntityScore(total(by_type.values()), by_type)


def score_table(score: EntityScore) -> str:
    """Format a score as a table with lines of equal width."""
    width = max(map(len, ("all", *score.by_type)))
    lines = [f"{'':{width}}  precision  recall      F1  entities  predicted  correct"]
    for name, counts in (*score.by_type.items(), ("all", score.overall)):
        shares = f"{counts.precision:9.2%} {counts.recall:7.2%} {counts.f1:7.2%}"
        lines.append(f"{name:{width}}  {shares} {counts.actual:9,}  {counts.predicted:9,} {counts.correct:8,}")
    return "\n".join(lines)


def mentions(text: str, spans: Iterable[EntitySpan]) -> dict[str, dict[str, list[list[int]]]]:
    """Return the spans of a text in characters, as a line of CLUENER has them."""
    found: dict[str, dict[str, list[list[int]]]] = {}
    for kind, begin, end in spans:
        found.setdefault(kind, {}).setdefault(text[begin:end], []).append([begin, end - 1])
    return found
