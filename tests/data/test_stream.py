"""The stream of instances: the same wherever it is opened, however it is cut, and every planned row once an epoch."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks import draws
from bertworks.data import plan, stream
from bertworks.data.instances import Instances
from bertworks.data.stream import Drawing, ShardSource
from bertworks.errors import InputError
from bertworks.task import Partition
from tests.data.made_corpus import WORDS, random_documents, shard_data, write_corpus

DRAWING = Drawing(max_seq_length=32, max_predictions_per_seq=5, random_seed=3)
# 19 shards are three groups, the last one smaller.
SHARDS = [random_documents(seed, documents=4, most_sentences=12, most_words=9) for seed in range(19)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory):
    return write_corpus(tmp_path_factory.mktemp("shards"), SHARDS)


def equal(one: Instances, other: Instances) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Instances))


def each(drawn: Instances) -> list[tuple]:
    """Every instance by itself, with its masked words put back, as something that can be counted."""
    ids = drawn.input_ids.copy()
    ids[drawn.rows] = drawn.labels
    ends = np.cumsum(drawn.lengths)
    pairs = zip(ends - drawn.lengths, ends, drawn.is_random_next.tolist(), strict=True)
    return [(*ids[first:last].tolist(), is_random) for first, last, is_random in pairs]


def test_a_fresh_source_has_the_batch_of_a_sequential_run(corpus) -> None:
    batch_size, sequential = 32, ShardSource(corpus, WORDS, DRAWING)
    last_step = sequential.before(epoch=4) // batch_size
    assert sequential.before(epoch=3) < last_step * batch_size
    sequential = ShardSource(corpus, WORDS, DRAWING)
    for step in range(last_step + 1):
        batch = sequential.instances(step * batch_size, (step + 1) * batch_size)
    fresh = ShardSource(corpus, WORDS, DRAWING)
    assert equal(fresh.instances(last_step * batch_size, (last_step + 1) * batch_size), batch)
    assert len(batch) == batch_size


def test_over_an_epoch_every_planned_row_occurs_once(corpus) -> None:
    source = ShardSource(corpus, WORDS, DRAWING)
    for epoch in range(3):
        expected: Counter[tuple] = Counter()
        for number, documents in enumerate(SHARDS):
            data = shard_data(documents)
            rows = plan.plan(
                data.sentence_starts,
                data.document_starts,
                key=draws.key(DRAWING.random_seed, stream._PLAN, epoch, number),
                max_seq_length=DRAWING.max_seq_length,
                short_seq_prob=DRAWING.short_seq_prob,
            )
            ids, segments, lengths = plan.gather(data.tokens, rows, cls_id=WORDS.cls_id, sep_id=WORDS.sep_id)
            none = np.zeros(0, np.int64)
            expected.update(each(Instances(ids, segments, lengths, none, none, rows[:, plan.IS_RANDOM_NEXT])))
        drawn = source.instances(source.before(epoch), source.before(epoch + 1))
        assert Counter(each(drawn)) == expected


def test_epochs_differ_in_order_pairs_and_masks(corpus) -> None:
    source = ShardSource(corpus, WORDS, DRAWING)
    first, second = (source.instances(source.before(epoch), source.before(epoch + 1)) for epoch in (0, 1))
    assert each(first) != each(second)
    assert len(set(each(first)) & set(each(second))) < 0.8 * len(first)
    again = ShardSource(corpus, WORDS, replace(DRAWING, random_seed=4))
    assert not equal(again.instances(0, 50), first.part(0, 50))


@pytest.mark.parametrize("batch_size", [1, 2, 32, 301])
def test_ranks_together_see_what_one_process_sees(corpus, batch_size: int) -> None:
    step = 5
    alone = ShardSource(corpus, WORDS, DRAWING).instances(*Partition().rows(step, batch_size))
    for world in (2, 3):
        first = 0
        for rank in range(world):
            part = ShardSource(corpus, WORDS, DRAWING).instances(*Partition(rank, world).rows(step, batch_size))
            assert equal(part, alone.part(first, first + len(part)))
            first += len(part)
        assert first == batch_size


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 600))
def test_a_step_s_rows_are_cut_without_gap_or_overlap(step: int, world: int, batch_size: int) -> None:
    parts = [Partition(rank, world).rows(step, batch_size) for rank in range(world)]
    assert [row for first, last in parts for row in range(first, last)] == list(
        range(step * batch_size, (step + 1) * batch_size)
    )
    sizes = [last - first for first, last in parts]
    assert max(sizes) - min(sizes) <= 1


def test_a_range_across_groups_and_epochs_is_its_parts(corpus) -> None:
    source = ShardSource(corpus, WORDS, DRAWING)
    last = source.before(epoch=3)
    whole = source.instances(0, last)
    for first in (0, 1, 17, last // 2):
        assert equal(source.instances(first, first + 100), whole.part(first, first + 100))
    assert len(source.instances(5, 5)) == 0


def test_neighbours_come_from_many_shards_but_from_one_group(corpus) -> None:
    source = ShardSource(corpus, WORDS, DRAWING)
    source.instances(0, 1)
    group = source.groups[0]
    assert len(set(group.numbers)) == 8
    assert len(np.unique(np.searchsorted(group.starts, group.order[:60], side="right"))) == 8


def test_memory_holds_two_groups_at_most(corpus) -> None:
    source = ShardSource(corpus, WORDS, DRAWING)
    source.instances(0, source.before(epoch=2))
    assert len(source.groups) == 2


def test_threads_see_the_same_sequence(corpus) -> None:
    expected = ShardSource(corpus, WORDS, DRAWING)
    shared = ShardSource(corpus, WORDS, DRAWING)
    places = np.random.default_rng(0).integers(0, 2000, 40).tolist()
    with ThreadPoolExecutor(4) as threads:
        drawn = list(threads.map(lambda first: shared.instances(first, first + 8), places))
    assert all(equal(found, expected.instances(first, first + 8)) for first, found in zip(places, drawn, strict=True))


def test_one_process_of_several_writes_the_counts(corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SENTENCES_WORTH_WRITING", 1)
    counts_file = tmp_path / "counts.json"
    other = ShardSource(corpus, WORDS, DRAWING, counts_file, keeps_counts=False)
    other.before(epoch=1)
    other.drawn_otherwise(replace(DRAWING, max_seq_length=16), counts_file).before(epoch=1)
    assert not counts_file.exists()


def test_counts_are_kept_in_a_file_and_spare_planning(corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SENTENCES_WORTH_WRITING", 1)
    counts_file = tmp_path / "counts.json"
    first = ShardSource(corpus, WORDS, DRAWING, counts_file)
    place = first.before(epoch=3) + 10
    batch = first.instances(place, place + 20)
    ends = json.loads(counts_file.read_text())["group_ends"]
    assert ends == sorted(ends)
    assert ends[8] == first.before(epoch=3)

    resumed = ShardSource(corpus, WORDS, DRAWING, counts_file)
    assert equal(resumed.instances(place, place + 20), batch)
    assert list(resumed.groups) == [9]


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"identity": 1, "group_ends": [7]}', "no json", "\x00"])
def test_counts_of_something_else_are_ignored(corpus, tmp_path: Path, content: str) -> None:
    counts_file = tmp_path / "counts.json"
    counts_file.write_text(content)
    expected = ShardSource(corpus, WORDS, DRAWING)
    assert equal(ShardSource(corpus, WORDS, DRAWING, counts_file).instances(500, 520), expected.instances(500, 520))


def test_counts_that_do_not_fit_are_named(corpus, tmp_path: Path) -> None:
    counts_file = tmp_path / "counts.json"
    identity = ShardSource(corpus, WORDS, DRAWING).identity_of_counts()
    counts_file.write_text(json.dumps({"identity": identity, "group_ends": [10, 20]}))
    with pytest.raises(InputError, match=r"counts\.json: .*delete it"):
        ShardSource(corpus, WORDS, DRAWING, counts_file).instances(0, 15)


def test_counts_serve_every_way_of_masking(corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SENTENCES_WORTH_WRITING", 1)
    counts_file = tmp_path / "counts.json"
    ShardSource(corpus, WORDS, DRAWING, counts_file).before(epoch=2)
    monkeypatch.setattr(ShardSource, "_count_next_group", None)
    more = replace(DRAWING, masked_lm_prob=0.4, mean_span_length=3.8, mask_all=True, max_predictions_per_seq=0)
    source = ShardSource(corpus, WORDS, more, counts_file)
    assert len(source.instances(0, 5)) == 5
    assert source.identity()["mask_all"] is True


def test_counts_of_another_seed_are_ignored(corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SENTENCES_WORTH_WRITING", 1)
    counts_file = tmp_path / "counts.json"
    ShardSource(corpus, WORDS, replace(DRAWING, random_seed=99), counts_file).before(epoch=2)
    source = ShardSource(corpus, WORDS, DRAWING, counts_file)
    assert source.before(epoch=2) == ShardSource(corpus, WORDS, DRAWING).before(epoch=2)


@pytest.mark.parametrize("do_whole_word_mask", [False, True])
def test_instances_are_well_formed(corpus, do_whole_word_mask: bool) -> None:
    source = ShardSource(corpus, WORDS, replace(DRAWING, do_whole_word_mask=do_whole_word_mask))
    drawn = source.instances(0, 1500)
    ends = np.cumsum(drawn.lengths)
    starts = ends - drawn.lengths
    assert len(drawn.input_ids) == len(drawn.segment_ids) == ends[-1]
    assert drawn.lengths.max() <= DRAWING.max_seq_length
    assert (drawn.input_ids[starts] == WORDS.cls_id).all()
    assert (drawn.input_ids[ends - 1] == WORDS.sep_id).all()
    assert (drawn.segment_ids[starts] == 0).all()
    assert (drawn.segment_ids[ends - 1] == 1).all()
    first_sep = starts + np.add.reduceat(drawn.segment_ids == 0, starts) - 1
    assert (drawn.input_ids[first_sep] == WORDS.sep_id).all()
    assert ((np.diff(drawn.segment_ids) >= 0) | np.isin(np.arange(1, ends[-1]), starts)).all()
    assert set(drawn.is_random_next) == {0, 1}
    assert not np.isin(drawn.labels, [WORDS.cls_id, WORDS.sep_id]).any()
    assert not np.isin(drawn.rows, np.concatenate([starts, first_sep, ends - 1])).any()


def test_the_sequence_is_frozen(corpus) -> None:
    """A change here would give runs that were started before it other data after a resume."""
    drawn = ShardSource(corpus, WORDS, DRAWING).instances(1037, 1039)
    assert drawn.lengths.tolist() == [18, 14]
    assert drawn.input_ids.tolist() == [
        2,
        111,
        4,
        66,
        67,
        57,
        23,
        3,
        87,
        112,
        53,
        109,
        81,
        4,
        105,
        4,
        22,
        3,
        2,
        91,
        54,
        3,
        16,
        36,
        56,
        66,
        76,
        76,
        4,
        62,
        56,
        3,
    ]
    assert drawn.rows.tolist() == [2, 13, 15, 27, 28]
    assert drawn.labels.tolist() == [108, 64, 42, 76, 76]
    assert drawn.is_random_next.tolist() == [0, 1]


def test_identity_names_flags_and_contents(corpus, tmp_path: Path) -> None:
    identity = ShardSource(corpus, WORDS, DRAWING).identity()
    assert identity == {
        "input_file": corpus.identity,
        "max_seq_length": 32,
        "max_predictions_per_seq": 5,
        "masked_lm_prob": 0.15,
        "short_seq_prob": 0.1,
        "do_whole_word_mask": False,
        "random_seed": 3,
    }
    assert json.loads(json.dumps(identity)) == identity
    other = write_corpus(tmp_path, SHARDS[:3])
    assert ShardSource(other, WORDS, DRAWING).identity() != identity


def test_without_next_sentence_an_epoch_has_every_token_once(corpus) -> None:
    source = ShardSource(corpus, WORDS, replace(DRAWING, next_sentence=False))
    tokens = Counter(w for documents in SHARDS for document in documents for sentence in document for w in sentence)
    for epoch in range(3):
        drawn = source.instances(source.before(epoch), source.before(epoch + 1))
        texts = each(drawn)
        assert Counter(token for text in texts for token in text[1:-2]) == tokens
        assert all(text[0] == WORDS.cls_id and text[-2] == WORDS.sep_id for text in texts)
        assert not drawn.is_random_next.any()
        assert not drawn.segment_ids.any()
    assert {**ShardSource(corpus, WORDS, DRAWING).identity(), "next_sentence": False} == source.identity()


def test_too_little_text_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    source = ShardSource(write_corpus(tmp_path, [[[[7]]], []]), WORDS, DRAWING)
    with pytest.raises(InputError, match=r"--input_file: has too little text"):
        source.instances(0, 1)
    with pytest.raises(InputError, match=r"--input_file: has too little text"):
        source.instances(0, 1)


def test_masks_differ_between_epochs_and_between_equal_shards(tmp_path: Path) -> None:
    document = [list(range(7, 27)), list(range(7, 27))]
    source = ShardSource(write_corpus(tmp_path, [[document]] * 2), WORDS, replace(DRAWING, max_seq_length=64))
    drawn = source.instances(0, 40)
    of_instance = drawn.rows.reshape(40, 5) - 43 * np.arange(40)[:, None]
    assert drawn.lengths.tolist() == [43] * 40
    assert len({tuple(rows) for rows in of_instance.tolist()}) == 40


def test_one_document_of_one_sentence_is_enough(tmp_path: Path) -> None:
    source = ShardSource(write_corpus(tmp_path, [[[[7, 8, 9, 10]]]]), WORDS, DRAWING)
    drawn = source.instances(0, 40)
    assert drawn.lengths.tolist() == [7] * 40
    assert not drawn.is_random_next.any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_seq_length", 4),
        ("max_predictions_per_seq", -1),
        ("masked_lm_prob", 1.1),
        ("masked_lm_prob", float("nan")),
        ("short_seq_prob", -0.1),
    ],
)
def test_flags_that_nothing_can_satisfy_are_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"--{name}="):
        replace(DRAWING, **{name: value})


def test_a_thousand_shards_of_a_hundred_thousand_rows_keep_one_group_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The corpus is pretended: every shard answers with the same arrays, every plan is counted."""

    class Pretended:
        identity = "pretended"

        def __init__(self) -> None:
            self.reads = 0
            data = shard_data(random_documents(1, documents=20, most_sentences=5, most_words=8))
            outer = self

            class One:
                path = Path("one")

                def read(self):
                    outer.reads += 1
                    return data

            self.shards = [One()] * 1000

    rows = np.tile(np.array([[0, 0, 4, 8, 10, 0, 9]]), (100_000, 1))
    monkeypatch.setattr(plan, "plan", lambda *_, **__: rows)
    corpus = Pretended()
    source = ShardSource(corpus, WORDS, DRAWING)
    drawn = source.instances(2_399_990, 2_400_010)
    assert len(drawn) == 20
    assert corpus.reads == 4 * 8
    assert len(source.groups) == 2
