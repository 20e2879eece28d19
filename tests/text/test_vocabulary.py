"""The vocabulary learner against a plain implementation of its rule, and what a vocabulary must be able to do."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertworks.errors import InputError
from bertworks.text.vocabulary import learn_vocabulary, special_tokens, tokens_per_word

# Signs of numbers (which the tokenizer would set apart) make "##b" a piece in two ways.
words = st.text("abcd", min_size=1, max_size=9) | st.text("aé字𝔘", min_size=1, max_size=5) | st.text("ab#", min_size=1)
corpora = st.dictionaries(words, st.integers(1, 40), min_size=1, max_size=25)


def plain_bpe(word_counts: dict[str, int], vocab_size: int, min_frequency: int) -> list[str]:
    """The rule as it is stated: recount all pairs, merge the first by (count, age), repeat."""
    characters = sorted({c for word in word_counts for c in word})
    inside = sorted({c for word in word_counts for c in word[1:]})
    pieces = special_tokens(0) + characters + ["##" + c for c in inside]
    spelled = {word: [word[0], *("##" + c for c in word[1:])] for word in word_counts}
    while len(pieces) < vocab_size:
        pairs: Counter[tuple[int, int]] = Counter()
        for word, parts in spelled.items():
            for left, right in pairwise(parts):
                pairs[pieces.index(left), pieces.index(right)] += word_counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], max(pair), pair))
        if pairs[best] < min_frequency:
            break
        left, right = pieces[best[0]], pieces[best[1]]
        product = left + right.removeprefix("##")
        if product not in pieces:
            pieces.append(product)
        for parts in spelled.values():
            at = 0
            while at < len(parts) - 1:
                if (parts[at], parts[at + 1]) == (left, right):
                    parts[at : at + 2] = [product]
                at += 1
    return pieces


def greedy(word: str, vocabulary: set[str]) -> list[str]:
    """WordPiece: the longest piece first."""
    parts, begin = [], 0
    while begin < len(word):
        prefix = "##" if begin else ""
        end = next((e for e in range(len(word), begin, -1) if prefix + word[begin:e] in vocabulary), None)
        if end is None:
            return ["[UNK]"]
        parts.append(prefix + word[begin:end])
        begin = end
    return parts


@settings(max_examples=300, deadline=None)
@given(corpora, st.integers(0, 60), st.integers(1, 30))
def test_learns_what_plain_bpe_learns(word_counts: dict[str, int], merges: int, min_frequency: int) -> None:
    smallest = len(plain_bpe(word_counts, 0, 1))
    expected = plain_bpe(word_counts, smallest + merges, min_frequency)
    learned = learn_vocabulary(word_counts, smallest + merges, min_frequency=min_frequency, unused_tokens=0)
    assert learned == expected


@pytest.mark.parametrize("letters", ["abcdefgh", "ab#", "a#"])
@pytest.mark.parametrize("seed", range(8))
def test_many_merges_at_a_time_equal_plain_bpe(letters: str, seed: int) -> None:
    chance = random.Random(seed)
    syllables = ["".join(chance.choices(letters, k=chance.randint(2, 4))) for _ in range(10)]
    word_counts = {"".join(chance.choices(syllables, k=chance.randint(1, 3))): chance.randint(1, 6) for _ in range(40)}
    assert learn_vocabulary(word_counts, 200, unused_tokens=0, min_frequency=1) == plain_bpe(word_counts, 200, 1)


@settings(deadline=None)
@given(corpora, st.integers(0, 30))
def test_every_training_word_is_made_of_pieces(word_counts: dict[str, int], merges: int) -> None:
    size = len(learn_vocabulary(word_counts, 10_000, min_frequency=10**9)) + merges
    vocabulary = learn_vocabulary(word_counts, size, min_frequency=1)
    assert len(set(vocabulary)) == len(vocabulary) <= size
    for word in word_counts:
        assert "[UNK]" not in greedy(word, set(vocabulary))


@settings(deadline=None)
@given(corpora)
def test_the_order_of_the_words_does_not_matter(word_counts: dict[str, int]) -> None:
    backwards = dict(reversed(word_counts.items()))
    assert learn_vocabulary(word_counts, 200) == learn_vocabulary(backwards, 200)


def test_layout_of_the_released_files() -> None:
    vocabulary = learn_vocabulary({"ab": 3, "b": 1}, 1000)
    assert vocabulary[0] == "[PAD]"
    assert vocabulary[1:100] == [f"[unused{n}]" for n in range(99)]
    assert vocabulary[100:] == ["[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##b", "ab"]
    assert special_tokens(0) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_exactly_vocab_size_pieces_when_there_are_enough() -> None:
    word_counts = {f"{a}{b}{c}": 5 for a in "abcdef" for b in "abcdef" for c in "abcdef"}
    for size in range(20, 60):
        assert len(learn_vocabulary(word_counts, size, unused_tokens=0)) == size


def test_a_word_with_a_character_outside_the_alphabet_teaches_nothing() -> None:
    vocabulary = learn_vocabulary({"ab": 9, "abz": 5, "zb": 5, "z": 1}, 100, alphabet_limit=2, unused_tokens=0)
    assert vocabulary[5:] == ["a", "b", "##b", "ab"]


def test_the_alphabet_without_a_limit_covers_a_script_of_thousands() -> None:
    ideographs = {chr(0x4E00 + n): 4000 - n for n in range(3000)}
    kept = learn_vocabulary(ideographs, 10_000, unused_tokens=0)
    total = sum(ideographs.values())
    assert 1000 < len(kept) - 5 < 3000
    assert sum(ideographs[c] for c in kept[5:]) >= 0.9995 * total > sum(ideographs[c] for c in kept[5:-1])
    assert len(learn_vocabulary(ideographs, 10_000, unused_tokens=0, alphabet_limit=50)) == 55


def test_counts_beyond_32_bits_keep_their_order() -> None:
    assert learn_vocabulary({"ab": 2**40, "cd": 2**40 + 1}, 12, unused_tokens=0)[-1] == "cd"


def test_progress_counts_every_piece() -> None:
    told: list[int] = []
    vocabulary = learn_vocabulary({"abcabcabc": 5, "bcd": 9}, 500, progress=told.append)
    assert sum(told) == len(vocabulary)
    assert len(told) > 2


@pytest.mark.parametrize("nothing", [{}, {"": 5}, {"a": 0}])
def test_no_words(nothing: dict[str, int]) -> None:
    with pytest.raises(InputError, match="--input_file: has no words"):
        learn_vocabulary(nothing, 100)


def test_no_room_for_the_alphabet_names_the_flag() -> None:
    with pytest.raises(InputError, match=r"--vocab_size=11: .*5 special tokens, 4 characters and 3 .* at least 12"):
        learn_vocabulary({"abcd": 1}, 11, unused_tokens=0)


@settings(deadline=None)
@given(corpora, st.integers(0, 20))
def test_tokens_per_word_is_that_of_greedy_tokenization(word_counts: dict[str, int], merges: int) -> None:
    size = len(learn_vocabulary(word_counts, 10_000, min_frequency=10**9)) + merges
    vocabulary = learn_vocabulary(word_counts, size)
    tokens = sum(count * len(greedy(word, set(vocabulary))) for word, count in word_counts.items())
    assert tokens_per_word(word_counts, vocabulary) == tokens / sum(word_counts.values())
