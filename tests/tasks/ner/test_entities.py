"""Entities: tags to spans and back, and scores against conlleval's definition."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.tasks.metrics import Counts
from bertworks.tasks.ner.entities import (
    BIO,
    BIOES,
    BMES,
    CLUENER_TYPES,
    SCHEMES,
    EntitySpan,
    Scheme,
    allowed_transitions,
    cluener_score,
    in_scheme,
    scheme_of,
    score,
    score_spans,
    score_table,
    spans,
    split_tag,
    tags,
    without_overlaps,
)
from tests.tasks.ner.slow_conlleval import conlleval

ANY_TAG = st.sampled_from(["O", *(f"{place}-{kind}" for place in "BIES" for kind in ("PER", "LOC-X"))])
BIO_TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B", "I"])
SENTENCES = st.one_of(st.lists(ANY_TAG, max_size=8), st.lists(BIO_TAG, max_size=8))
PAIRS = st.lists(
    st.integers(0, 8).flatmap(
        lambda n: st.tuples(st.lists(ANY_TAG, min_size=n, max_size=n), st.lists(ANY_TAG, min_size=n, max_size=n))
    ),
    max_size=4,
)


@st.composite
def entity_sets(draw: st.DrawFn) -> tuple[list[EntitySpan], int]:
    """Spans that do not overlap, and the length of their sentence."""
    found, at = [], 0
    for gap, length, kind in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(["A", "B_C", "D-E"])), max_size=5)
    ):
        found.append(EntitySpan(kind, at + gap, at + gap + length))
        at += gap + length
    return found, at + draw(st.integers(0, 2))


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("I-PER I-PER O I-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),  # I- after O begins
        ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),  # another type begins
        ("I-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)]),  # IOB1: B- between neighbours
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("S-PER B-LOC E-LOC E-LOC", [("PER", 0, 1), ("LOC", 1, 3), ("LOC", 3, 4)]),
        ("B-X M-X M-X E-X M-X", [("X", 0, 4), ("X", 4, 5)]),
        ("S-X I-X", [("X", 0, 1), ("X", 1, 2)]),
        ("B_name M_name E_name S_name", [("name", 0, 3), ("name", 3, 4)]),
        ("B-A I-A L-A U-A", [("A", 0, 3), ("A", 3, 4)]),
        ("B-a-b I-a-b I-a", [("a-b", 0, 2), ("a", 2, 3)]),
        ("B I O I", [("", 0, 2), ("", 3, 4)]),
        ("O O", []),
        ("", []),
    ],
)
def test_spans(sentence: str, expected: list[tuple[str, int, int]]) -> None:
    assert spans(sentence.split()) == expected


@given(PAIRS)
def test_the_score_is_conllevals(pairs: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [one for one, _ in pairs], [other for _, other in pairs]
    found = score(gold, predicted)
    assert {kind: tuple(counts) for kind, counts in found.by_type.items()} == conlleval(gold, predicted)
    assert found.overall == tuple(map(sum, zip((0, 0, 0), *found.by_type.values(), strict=True)))


def test_a_score_by_hand() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC", "O", "B-ORG"], ["B-LOC", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-ORG", "O", "B-ORG"], ["B-LOC", "I-LOC"]]
    found = score(gold, predicted)
    assert found.by_type == {"LOC": Counts(0, 1, 2), "ORG": Counts(1, 2, 1), "PER": Counts(1, 1, 1)}
    assert found.overall == Counts(2, 4, 4)
    assert found.overall.f1 == 0.5
    assert score_table(found).splitlines()[-1].split() == ["all", "50.00%", "50.00%", "50.00%", "4", "4", "2"]
    assert len({len(line) for line in score_table(found).splitlines()}) == 1
    # An empty side scores nothing, and nothing is no error.
    assert score([["O"]], [["B-X"]]).overall.f1 == score([], []).overall.f1 == 0.0


@given(entity_sets(), st.sampled_from(list(SCHEMES.values())))
def test_spans_come_back_from_their_tags(case: tuple[list[EntitySpan], int], scheme: Scheme) -> None:
    found, length = case
    made = tags(found, length, scheme)
    assert len(made) == length
    assert spans(made) == found
    assert set(made) <= set(scheme.labels(["A", "B_C", "D-E"]))
    assert in_scheme(made, BIO) == tags(found, length)


@given(SENTENCES, st.sampled_from(list(SCHEMES.values())))
def test_another_scheme_has_the_same_entities(sentence: list[str], scheme: Scheme) -> None:
    assert spans(in_scheme(sentence, scheme)) == spans(sentence)


@given(SENTENCES, st.sampled_from(list(SCHEMES.values())))
def test_what_is_written_is_legal(sentence: list[str], scheme: Scheme) -> None:
    written = in_scheme(sentence, scheme)
    labels = scheme.labels(["PER", "LOC", "LOC-X", ""])
    allowed = allowed_transitions(labels)
    numbers = [labels.index(tag) for tag in written]
    if numbers:
        assert allowed.start[numbers[0]]
        assert allowed.end[numbers[-1]]
    assert all(allowed.moves[a, b] for a, b in pairwise(numbers))


@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"]), min_size=1, max_size=5))
def test_what_is_legal_says_the_same_after_a_round_trip(sentence: list[str]) -> None:
    labels = BIOES.labels(["X", "Y"])
    allowed, numbers = allowed_transitions(labels), [labels.index(tag) for tag in sentence]
    is_legal = (
        allowed.start[numbers[0]]
        and allowed.end[numbers[-1]]
        and all(allowed.moves[a, b] for a, b in pairwise(numbers))
    )
    assert is_legal == (in_scheme(sentence, BIOES) == tuple(sentence))


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        (["O I-PER I-PER", "B-PER"], BIO),
        (["O O"], BIO),
        (["B-PER E-PER"], BIOES),
        (["S-PER"], BIOES),
        (["B_PER M_PER E_PER"], BMES),
    ],
)
def test_schemes_are_recognised(sentences: list[str], scheme: Scheme) -> None:
    assert scheme_of(sentence.split() for sentence in sentences) is scheme


@pytest.mark.parametrize("tag", ["", "o", "X-PER", "PER", "b-PER", "-", "PER-B", "B+PER", "BPER"])
def test_what_is_no_tag(tag: str) -> None:
    with pytest.raises(InputError, match="is no tag: write O, or B-"):
        split_tag(tag)


def test_of_overlapping_spans_the_longest_stay() -> None:
    outer, inner, beside = EntitySpan("book", 0, 7), EntitySpan("company", 1, 5), EntitySpan("name", 7, 9)
    crossing, twin = EntitySpan("x", 6, 8), EntitySpan("y", 7, 9)
    kept, dropped = without_overlaps([crossing, inner, beside, outer, twin])
    assert kept == [outer, beside]
    assert sorted(dropped) == sorted([crossing, inner, twin])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 6), st.integers(1, 4)), max_size=8))
def test_without_overlaps_loses_nothing_it_could_keep(drawn: list[tuple[str, int, int]]) -> None:
    given_spans = [EntitySpan(kind, begin, begin + length) for kind, begin, length in drawn]
    kept, dropped = without_overlaps(given_spans)
    assert sorted(kept + dropped) == sorted(given_spans)
    assert all(one.end <= other.begin for one, other in pairwise(kept))
    for span in dropped:
        assert any(k.begin < span.end and span.begin < k.end and k.end - k.begin >= span.end - span.begin for k in kept)


def test_spans_count_once_in_a_sentence() -> None:
    one = EntitySpan("x", 0, 1)
    assert score_spans([[one, one]], [[one]]).overall == Counts(1, 1, 1)


def test_clueners_score() -> None:
    gold = [{"name": {"小林": [[0, 1], [5, 6]]}, "address": {"青湖": [[3, 4]]}}, {"name": {"小云": [[0, 1]]}}]
    # The right text at a wrong place counts; a type that is none of the ten does not.
    predicted = [{"name": {"小林": [[5, 6]]}, "pet": {"青湖": [[3, 4]]}}, {"name": {"云": [[1, 1]]}}]
    mean, parts = cluener_score(gold, predicted)
    assert tuple(parts.by_type) == CLUENER_TYPES
    assert parts.by_type["name"] == Counts(1, 2, 2)
    assert parts.overall == Counts(1, 2, 3)
    assert mean == pytest.approx(0.5 / 10)
    assert cluener_score(gold, gold)[0] == pytest.approx(2 / 10)
