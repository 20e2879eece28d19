"""Counting the words of files: the one pass over a corpus that learning a vocabulary needs.

Memory grows with the number of distinct words, not with the size of the files. Blocks of text are counted separately
and the counts are added, so any number of processes gives the same result.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bertworks.on_ray import HERE, WorkEngine, ray_pool
from bertworks.progress import say
from bertworks.text.basic import drops_accents, normalized_block
from bertworks.text.corpus import TextBlock, blocks
from bertworks.text.words import WordNumbers
from bertworks.workers import start_pool

# The original's WordPiece makes [UNK] of longer words, whatever the vocabulary.
MAX_WORD_CHARACTERS = 200

BLOCK_BYTES = 8 << 20


class WordCounts(NamedTuple):
    """The words of a text.

    Attributes:
        counts: how often each word occurs, without the long ones.
        long_words: how many words have more characters than allowed; each becomes [UNK].
        long_characters: the characters of these words.
        characters: the characters of all words.
    """

    counts: Counter[str]
    long_words: int
    long_characters: int
    characters: int


def count_words(
    paths: Sequence[Path],
    *,
    do_lower_case: bool = True,
    strip_accents: bool | None = None,
    max_input_chars_per_word: int = MAX_WORD_CHARACTERS,
    num_workers: int = 1,
    text_field: str = "text",
    engine: WorkEngine = HERE,
    progress: Callable[[int], object] = lambda read: None,
) -> WordCounts:
    """Count the words of files, as the original's basic tokenization finds them.

    Args:
        paths: the files, as `corpus.blocks` takes them. What is guessed about a file is said.
        do_lower_case, strip_accents, max_input_chars_per_word: the settings of the tokenizer that will use the
            vocabulary.
        num_workers: processes that count. They are started with "spawn": a fork of a process that has threads (a
            progress bar, a numeric library) may deadlock, and macOS and Windows have no other way. So a script that
            asks for more than one needs its `if __name__ == "__main__":`.
        text_field: the field of a JSON line that holds the text.
        engine: where words are counted.
        progress: called with the number of bytes read since the last call.

    Raises:
        InputError: a file cannot be read as text; the message names file and line.
    """
    rules = _Rules(do_lower_case, drops_accents(do_lower_case, strip_accents), max_input_chars_per_word)
    counts: Counter[bytes] = Counter()
    long_words = long_characters = 0
    parts = blocks(paths, BLOCK_BYTES, text_field=text_field)
    for block, counted in _counted(parts, rules, num_workers, engine):
        for guess in block.guesses:
            say(guess)
        counts.update(counted.counts)
        long_words += counted.long_words
        long_characters += counted.long_characters
        progress(block.file_bytes)
    words = Counter({word.decode(): count for word, count in counts.items()})
    characters = long_characters + sum(len(word) * count for word, count in words.items())
    return WordCounts(words, long_words, long_characters, characters)


class _Rules(NamedTuple):
    """What words are: lower-cased, without accents, and the most characters of one that counts."""

    lower: bool
    strip: bool
    longest: int


class BlockCounts(NamedTuple):
    """The words of a block of text: see `WordCounts`."""

    counts: Counter[bytes]
    long_words: int
    long_characters: int


def count_block(text: bytes, lower: bool, strip: bool, longest: int = MAX_WORD_CHARACTERS) -> BlockCounts:
    """Count the words of lines of UTF-8. Words of more than `longest` characters are counted apart."""
    normalized = normalized_block(text, lower, strip)
    numbers, _, words = WordNumbers(max_word_bytes=len(normalized)).look_up(normalized)
    counts = Counter(dict(zip(words, np.bincount(numbers, minlength=len(words)).tolist(), strict=True)))
    # A word has no more characters than bytes.
    characters = {word: len(word.decode()) for word in words if len(word) > longest}
    long = {word: counts.pop(word) for word, length in characters.items() if length > longest}
    return BlockCounts(counts, sum(long.values()), sum(characters[word] * count for word, count in long.items()))


def _counted(
    parts: Iterator[TextBlock], rules: _Rules, num_workers: int, engine: WorkEngine
) -> Iterator[tuple[TextBlock, BlockCounts]]:
    """Return each block with its counts. At most two blocks per worker wait at a time."""
    if engine.on_ray:
        with ray_pool(engine.address) as cluster:
            begun = ((block, cluster.submit(count_block, block.text, *rules)) for block in parts)
            yield from _in_order(begun, 2 * cluster.workers)
        return
    if num_workers <= 1:
        yield from ((block, count_block(block.text, *rules)) for block in parts)
        return
    with start_pool(num_workers) as pool:
        begun = ((block, pool.submit(count_block, block.text, *rules)) for block in parts)
        yield from _in_order(begun, 2 * num_workers)


def _in_order(
    begun: Iterator[tuple[TextBlock, Future[BlockCounts]]], most: int
) -> Iterator[tuple[TextBlock, BlockCounts]]:
    """Wait for counts in order, while at most so many blocks are begun."""
    waiting = deque(islice(begun, most))
    while waiting:
        block, future = waiting.popleft()
        yield block, future.result()
        waiting.extend(islice(begun, 1))
