"""The slow rules give the original's files again, and ours agree with them in distribution; wrong rules do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bertworks.data.examples import TFRecordSource
from bertworks.data.instances import Instances
from bertworks.data.stream import Drawing, ShardSource
from bertworks.text.tokenizer import Tokenizer
from tests.data.made_corpus import VOCABULARY, WORDS, random_documents, write_corpus
from tests.data.slow_pretraining_data import Rules, create_instances

FIXTURES = Path(__file__).parent.parent / "fixtures"
IDS = {word: i for i, word in enumerate(VOCABULARY)}
DOCUMENTS = random_documents(seed=7, documents=60, most_sentences=40, most_words=16)
RULES = Rules(max_seq_length=64, max_predictions_per_seq=8, short_seq_prob=0.2)
SEEDS = range(20)

MUTANTS = {
    "short length drawn per chunk": replace(RULES, short_length_for_each_chunk=True),
    "unused sentences not put back": replace(RULES, unused_sentences_are_put_back=False),
    "85/15/0": replace(RULES, share_masked=0.85, share_kept_of_the_rest=1.0),
}


@pytest.mark.parametrize("do_whole_word_mask", [False, True])
def test_the_original_s_records_come_out_again(do_whole_word_mask: bool) -> None:
    vocab_file = FIXTURES / "vocab.txt"
    vocabulary = vocab_file.read_text(encoding="utf-8").splitlines()
    tokenizer = Tokenizer.from_vocab(vocab_file, do_lower_case=True)
    rules = Rules(max_seq_length=64, max_predictions_per_seq=10, do_whole_word_mask=do_whole_word_mask)
    text = (FIXTURES / "corpus.txt").read_text(encoding="utf-8")
    documents = [
        [words for line in document.split("\n") if (words := tokenizer.tokenize(line))]
        for document in text.split("\n\n")
    ]
    slow = create_instances(documents, vocabulary, rules, dupe_factor=3, seed=12345)

    path = FIXTURES / f"pretraining_wwm_{do_whole_word_mask}.tfrecord"
    source = TFRecordSource([path], seed=None, max_seq_length=64, max_predictions_per_seq=10)
    original = source.instances(0, len(source))
    ids = {word: i for i, word in enumerate(vocabulary)}
    starts = np.cumsum(original.lengths) - original.lengths
    assert [ids[word] for instance in slow for word in instance.words] == original.input_ids.tolist()
    assert [segment for instance in slow for segment in instance.segment_ids] == original.segment_ids.tolist()
    assert [len(instance.words) for instance in slow] == original.lengths.tolist()
    rows = [start + place for start, instance in zip(starts, slow, strict=True) for place in instance.positions]
    assert rows == original.rows.tolist()
    assert [ids[word] for instance in slow for word in instance.labels] == original.labels.tolist()
    assert [instance.is_random_next for instance in slow] == original.is_random_next.tolist()


def test_ours_agrees_with_the_original_s_rules(tmp_path: Path) -> None:
    assert agree(samples(ours(tmp_path, RULES)), samples(slow(RULES)))


def test_ours_agrees_with_the_original_s_rules_on_whole_words(tmp_path: Path) -> None:
    rules = replace(RULES, do_whole_word_mask=True)
    assert agree(samples(ours(tmp_path, rules)), samples(slow(rules)))


@pytest.mark.parametrize("mutant", MUTANTS)
def test_wrong_rules_do_not_agree(mutant: str, tmp_path: Path) -> None:
    assert not agree(samples(ours(tmp_path, RULES)), samples(slow(MUTANTS[mutant])))


def ours(folder: Path, rules: Rules) -> Callable[[int], Instances]:
    """One pass over the documents with our functions, by seed."""
    corpus = write_corpus(folder, [DOCUMENTS])

    def draw(seed: int) -> Instances:
        drawing = Drawing(
            max_seq_length=rules.max_seq_length,
            max_predictions_per_seq=rules.max_predictions_per_seq,
            masked_lm_prob=rules.masked_lm_prob,
            short_seq_prob=rules.short_seq_prob,
            do_whole_word_mask=rules.do_whole_word_mask,
            random_seed=seed,
        )
        source = ShardSource(corpus, WORDS, drawing)
        return source.instances(0, source.before(epoch=1))

    return draw


def slow(rules: Rules) -> Callable[[int], Instances]:
    """One pass over the documents with the slow rules, by seed."""
    documents = [[[VOCABULARY[word] for word in sentence] for sentence in document] for document in DOCUMENTS]

    def draw(seed: int) -> Instances:
        drawn = create_instances(documents, VOCABULARY, rules, dupe_factor=1, seed=seed)
        lengths = np.array([len(instance.words) for instance in drawn])
        starts = np.cumsum(lengths) - lengths
        positions = [start + place for start, i in zip(starts, drawn, strict=True) for place in i.positions]
        return Instances(
            input_ids=np.array([IDS[word] for instance in drawn for word in instance.words]),
            segment_ids=np.array([segment for instance in drawn for segment in instance.segment_ids]),
            lengths=lengths,
            rows=np.array(positions),
            labels=np.array([IDS[word] for instance in drawn for word in instance.labels]),
            is_random_next=np.array([instance.is_random_next for instance in drawn], np.int64),
        )

    return draw


def samples(draw: Callable[[int], Instances]) -> NDArray[np.float64]:
    """The statistics [seeds, statistics] of one pass for every seed: within a pass instances depend on each other."""
    return np.array([statistics(draw(seed)) for seed in SEEDS])


def statistics(drawn: Instances) -> list[float]:
    """Instances; share of random next; lengths in bins; masks a sequence; shares of [MASK] and of kept words.

    A random word that happens to equal the word before counts as kept, on both sides alike.
    """
    lengths = np.histogram(drawn.lengths, [0, 16, 32, 48, 64, 65])[0]
    masks = np.bincount(np.searchsorted(np.cumsum(drawn.lengths), drawn.rows, side="right"), minlength=len(drawn))
    now = drawn.input_ids[drawn.rows]
    return [
        len(drawn),
        drawn.is_random_next.mean(),
        *(lengths / len(drawn)),
        masks.mean(),
        (masks == RULES.max_predictions_per_seq).mean(),
        (now == WORDS.mask_id).mean(),
        (now == drawn.labels).mean(),
    ]


def agree(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether each statistic's means over the seeds differ by at most 3 standard errors, both variances pooled."""
    difference = one.mean(axis=0) - other.mean(axis=0)
    error = np.sqrt((one.var(axis=0, ddof=1) + other.var(axis=0, ddof=1)) / len(SEEDS))
    return bool((np.abs(difference) <= 3 * error).all())
