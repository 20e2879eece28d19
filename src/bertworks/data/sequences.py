"""Token sequences of a whole data set, laid end to end, and the endless shuffled order in which training takes them.

Shapes: N sequences, T tokens of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from bertworks.data import draws
from bertworks.data.instances import within
from bertworks.text.pairs import truncated_lengths
from bertworks.text.tokenizer import Tokenizer

_ORDER = 0xF17E  # what the random numbers of this file are for

# Texts that are tokenized at a time.
_BLOCK = 4096


@dataclass(frozen=True)
class Sequences:
    """[CLS] a [SEP] or [CLS] a [SEP] b [SEP], for every example of a data set.

    Attributes:
        ids: [T], in the tokenizer's type.
        starts: [N + 1] int64; sequence i is ids[starts[i]:starts[i + 1]].
        first: [N] int64; how many tokens of each sequence are of segment 0.
        cut: how many of them lost tokens to the length limit.
    """

    ids: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]
    first: NDArray[np.int64]
    cut: int = 0

    def __len__(self) -> int:
        """N."""
        return len(self.first)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence. Shape [N]."""
        return np.diff(self.starts)

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Sequences number `rows` end to end: ids and segment ids [their tokens], lengths [their number]."""
        lengths = self.lengths[rows]
        place = within(lengths)
        ids = self.ids[np.repeat(self.starts[rows], lengths) + place].astype(np.int64)
        return ids, (place >= np.repeat(self.first[rows], lengths)).astype(np.int64), lengths

    @classmethod
    def joined(cls, parts: Sequence[Sequences]) -> Sequences:
        """Several, one after the other."""
        lengths = np.concatenate([np.zeros(1, np.int64), *(part.lengths for part in parts)])
        return cls(
            np.concatenate([part.ids for part in parts]),
            np.cumsum(lengths),
            np.concatenate([part.first for part in parts]),
            sum(part.cut for part in parts),
        )


def encode(tokenizer: Tokenizer, texts: Iterable[tuple[str, str | None]], max_seq_length: int) -> Sequences:
    """Texts, or pairs of them, as sequences of at most `max_seq_length` tokens, cut as the original cuts them."""
    parts = [_encode_block(tokenizer, block, max_seq_length) for block in _blocks(texts)]
    return Sequences.joined(parts) if parts else Sequences(np.zeros(0, tokenizer.dtype), np.zeros(1, np.int64), _none())


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


def _blocks(texts: Iterable[tuple[str, str | None]]) -> Iterator[list[tuple[str, str | None]]]:
    taken = iter(texts)
    while block := list(islice(taken, _BLOCK)):
        yield block


def _encode_block(tokenizer: Tokenizer, texts: Sequence[tuple[str, str | None]], max_seq_length: int) -> Sequences:
    """One block: all its texts through the tokenizer at once, then the special tokens between them."""
    flat, starts = tokenizer.encode_batch([text for pair in texts for text in (pair[0], pair[1] or "")])
    cls, sep = (np.array([number], flat.dtype) for number in (tokenizer.cls_id, tokenizer.sep_id))
    pieces, lengths, first, cut = [], [0], [], 0
    for i in range(len(texts)):
        a, b, end = (int(place) for place in starts[2 * i : 2 * i + 3])
        # As in the original, a second text of no tokens is none, also where cutting leaves it none.
        kept_a, kept_b = truncated_lengths(b - a, end - b, max_seq_length - (3 if end > b else 2))
        cut += kept_a + kept_b < end - a
        pieces += [cls, flat[a : a + kept_a], sep]
        if kept_b:
            pieces += [flat[b : b + kept_b], sep]
        first.append(kept_a + 2)
        lengths.append(kept_a + kept_b + (3 if kept_b else 2))
    return Sequences(np.concatenate(pieces), np.cumsum(lengths), np.array(first, np.int64), cut)


def shuffled(seed: int, count: int, first: int, last: int) -> NDArray[np.int64]:
    """Which of `count` examples are number first, ..., last - 1 of an endless sequence of shuffled epochs.

    A pure function of its arguments. An epoch has every example once; a batch may cross an epoch's end.
    """
    numbers = np.arange(first, last)
    orders = {
        epoch: draws.permutation(draws.key(seed, _ORDER, epoch), count)
        for epoch in np.unique(numbers // count).tolist()
    }
    return np.array([orders[n // count][n % count] for n in numbers.tolist()], np.int64)
