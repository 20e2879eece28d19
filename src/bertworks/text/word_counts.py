"""Words and how often they occur in files: the one pass over a corpus that learning a vocabulary needs.

Memory grows with the number of distinct words, not with the size of the files. Blocks of text are counted apart from
each other and the counts are added, which gives the same sum in any order, so any number of processes counts alike.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from bertworks.text.basic import drops_accents, normalized_block
from bertworks.text.corpus import TextBlock, blocks
from bertworks.text.words import WordNumbers

# The original's WordPiece makes [UNK] of longer words, whatever the vocabulary.
MAX_WORD_CHARACTERS = 200

_BLOCK_BYTES = 8 << 20
_BYTES_PER_CHARACTER = 4  # at most, in UTF-8


def count_words(
    paths: Sequence[Path],
    *,
    do_lower_case: bool = True,
    strip_accents: bool | None = None,
    num_workers: int = 1,
    text_field: str = "text",
    progress: Callable[[int], None] | None = None,
) -> Counter[str]:
    """How often each word of the original's basic tokenization occurs in files; `corpus.blocks` says in which files.

    Args:
        paths: the files.
        do_lower_case, strip_accents: as the tokenizer that is to use the vocabulary.
        num_workers: processes that count. They are started afresh ("spawn"): a fork of a process that has threads
            (a progress bar, a numeric library) may deadlock, and macOS and Windows know no other way. So a script
            that asks for more than one needs its `if __name__ == "__main__":`.
        text_field: the field of a JSON line that holds the text.
        progress: called with numbers of bytes of the files that are done.

    Returns:
        The counts, which do not overflow; words longer than `MAX_WORD_CHARACTERS` are left out.

    Raises:
        InputError: a file cannot be read as text; the message names file and line.
    """
    counts: Counter[bytes] = Counter()
    strip = drops_accents(do_lower_case, strip_accents)
    parts = blocks(paths, _BLOCK_BYTES, text_field=text_field)
    for block, counted in _counted(parts, do_lower_case, strip, num_workers):
        counts.update(counted)
        if progress:
            progress(block.file_bytes)
    words = ((word.decode(), count) for word, count in counts.items())
    return Counter({word: count for word, count in words if len(word) <= MAX_WORD_CHARACTERS})


def count_block(text: bytes, lower: bool, strip: bool) -> Counter[bytes]:
    """The words of lines of UTF-8 and their counts; very long words all count as one that is too long."""
    numbers, _, words = WordNumbers(_BYTES_PER_CHARACTER * MAX_WORD_CHARACTERS).look_up(
        normalized_block(text, lower, strip)
    )
    return Counter(dict(zip(words, np.bincount(numbers, minlength=len(words)).tolist(), strict=True)))


def _counted(
    parts: Iterator[TextBlock], lower: bool, strip: bool, num_workers: int
) -> Iterator[tuple[TextBlock, Counter[bytes]]]:
    """Each block with its counts; no more than two blocks a worker wait at a time."""
    if num_workers <= 1:
        yield from ((block, count_block(block.text, lower, strip)) for block in parts)
        return
    with ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn")) as pool:
        begun = ((block, pool.submit(count_block, block.text, lower, strip)) for block in parts)
        waiting = deque(islice(begun, 2 * num_workers))
        while waiting:
            block, future = waiting.popleft()
            yield block, future.result()
            waiting.extend(islice(begun, 1))
