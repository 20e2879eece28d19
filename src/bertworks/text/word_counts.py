"""Counting the words of files: the one pass over a corpus that learning a vocabulary needs.

Memory grows with the number of distinct words, not with the size of the files. Blocks of text are counted separately
and the counts are added, so any number of processes gives the same result.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from bertworks.text.basic import drops_accents, normalized_block
from bertworks.text.corpus import TextBlock, blocks
from bertworks.text.words import WordNumbers
from bertworks.workers import start_pool

# The original's WordPiece makes [UNK] of longer words, whatever the vocabulary.
MAX_WORD_CHARACTERS = 200

BLOCK_BYTES = 8 << 20


def count_words(
    paths: Sequence[Path],
    *,
    do_lower_case: bool = True,
    strip_accents: bool | None = None,
    num_workers: int = 1,
    text_field: str = "text",
    progress: Callable[[int], object] = lambda read: None,
) -> Counter[str]:
    """Count the words of files, as the original's basic tokenization finds them.

    Args:
        paths: the files, as `corpus.blocks` takes them.
        do_lower_case, strip_accents: the settings of the tokenizer that will use the vocabulary.
        num_workers: processes that count. They are started with "spawn": a fork of a process that has threads (a
            progress bar, a numeric library) may deadlock, and macOS and Windows have no other way. So a script that
            asks for more than one needs its `if __name__ == "__main__":`.
        text_field: the field of a JSON line that holds the text.
        progress: called with the number of bytes read since the last call.

    Returns:
        The counts, without words longer than `MAX_WORD_CHARACTERS`.

    Raises:
        InputError: a file cannot be read as text; the message names file and line.
    """
    counts: Counter[bytes] = Counter()
    strip = drops_accents(do_lower_case, strip_accents)
    parts = blocks(paths, BLOCK_BYTES, text_field=text_field)
    for block, counted in _counted(parts, do_lower_case, strip, num_workers):
        counts.update(counted)
        progress(block.file_bytes)
    words = ((word.decode(), count) for word, count in counts.items())
    return Counter({word: count for word, count in words if len(word) <= MAX_WORD_CHARACTERS})


def count_block(text: bytes, lower: bool, strip: bool) -> Counter[bytes]:
    """Count the words of lines of UTF-8. All words that are much too long count as one such word."""
    most_bytes = 4 * MAX_WORD_CHARACTERS
    numbers, _, words = WordNumbers(most_bytes).look_up(normalized_block(text, lower, strip))
    return Counter(dict(zip(words, np.bincount(numbers, minlength=len(words)).tolist(), strict=True)))


def _counted(
    parts: Iterator[TextBlock], lower: bool, strip: bool, num_workers: int
) -> Iterator[tuple[TextBlock, Counter[bytes]]]:
    """Return each block with its counts. At most two blocks per worker wait at a time."""
    if num_workers <= 1:
        yield from ((block, count_block(block.text, lower, strip)) for block in parts)
        return
    with start_pool(num_workers) as pool:
        begun = ((block, pool.submit(count_block, block.text, lower, strip)) for block in parts)
        waiting = deque(islice(begun, 2 * num_workers))
        while waiting:
            block, future = waiting.popleft()
            yield block, future.result()
            waiting.extend(islice(begun, 1))
