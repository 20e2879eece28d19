"""Words to pieces by the block: what is remembered changes no result."""

from __future__ import annotations

import numpy as np
import pytest

from bertworks import Tokenizer
from bertworks.text import basic
from bertworks.text.wordpiece import PieceCache
from bertworks.text.words import WordNumbers
from tests.text.texts import VOCAB_FILE, golden_lines, vocabulary, wordpiece_of


@pytest.mark.parametrize("limits", [{"max_words": 1}, {"max_words": 7}, {"max_bytes": 3}])
def test_forgetting_words_changes_nothing(limits: dict[str, int]) -> None:
    tokenizer = Tokenizer.from_vocab(VOCAB_FILE)
    small = PieceCache(wordpiece_of(tokenizer), tokenizer.dtype, **limits)
    text = "\n".join(line["text"].replace("\n", " ") for line in golden_lines()[::5]).encode("utf-8", "surrogatepass")
    for line in text.split(b"\n"):
        ids, _ = small.encode(basic.normalized_block(line, True, True))
        assert ids.tolist() == tokenizer.encode_lines(line + b"\n")[0].tolist()


def test_what_is_remembered_is_bounded() -> None:
    tokenizer = Tokenizer(vocabulary("##a a"))
    small = PieceCache(wordpiece_of(tokenizer), tokenizer.dtype, max_words=20, max_bytes=500)
    most = 0
    for length in range(1, 200):
        small.encode(b" ".join([b"a" * length, b"b" * length, b"c" * length]))
        most = max(most, len(small))
    assert 20 <= most < 20 + 3
    assert len(small) <= 6


@pytest.mark.parametrize("longest", [1, 3, 8, 9, 17, 30])
def test_distinct_words_get_distinct_numbers(longest: int) -> None:
    """Against a dictionary, with enough words for tables to grow and for words to meet in them."""
    random = np.random.default_rng(longest)
    numbers = WordNumbers(max_word_bytes=25)
    known: dict[bytes, int] = {}
    names: list[bytes] = []
    for size in (1, 10, 5_000, 30_000, 30_000):
        letters = random.integers(ord("a"), ord("e"), (size, longest), dtype=np.uint8)
        words = [row[: n + 1].tobytes() for row, n in zip(letters, random.integers(0, longest, size), strict=True)]
        found, before, new = numbers.look_up(b" ".join(words) + b"\n")
        names += new
        assert before.tolist() == [size]
        assert numbers.count == len(names) == len(set(names))
        for word, number in zip(words, found.tolist(), strict=True):
            assert known.setdefault(word if len(word) <= 25 else b"a" * 26, number) == number
        assert [known[name] for name in names] == list(range(len(names)))
