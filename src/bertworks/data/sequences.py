"""Token sequences of a whole data set, laid end to end, and the endless shuffled order in which training takes them.

Shapes: N sequences, T tokens of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bertworks import draws
from bertworks.errors import InputError
from bertworks.ragged import within
from bertworks.text.pairs import truncated_lengths
from bertworks.text.tokenizer import Tokenizer

_ORDER = 0xF17E  # what the random numbers of this file are for

# What becomes of a text that is longer than a sequence: it loses its end, becomes several, or loses its middle.
LongText = Literal["truncate", "window", "head_tail"]

# Texts that are tokenized at a time.
_BLOCK = 4096


@dataclass(frozen=True)
class Sequences:
    """[CLS] a [SEP] or [CLS] a [SEP] b [SEP], for every example of a data set.

    Attributes:
        ids: [T], in the tokenizer's type.
        starts: [N + 1] int64; sequence i is ids[starts[i]:starts[i + 1]].
        first: [N] int64; how many tokens of each sequence are of segment 0.
        cut: how many texts no sequence has whole: they lost tokens, or became several windows.
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


def encode(
    tokenizer: Tokenizer,
    texts: Iterable[tuple[str, str | None]],
    max_seq_length: int,
    long_text: Literal["truncate", "head_tail"] = "truncate",
) -> Sequences:
    """Texts, or pairs of them, as one sequence each, of at most `max_seq_length` tokens.

    How many tokens of each text are kept is as in the original (`truncated_lengths`). `truncate` keeps the first ones,
    as the original. `head_tail` keeps, of each text that loses some, the beginning and the end (see `_head_tail`).
    """
    of_text = _head_tail if long_text == "head_tail" else _beginning
    return _encode(tokenizer, texts, partial(_one_sequence, of_text, max_seq_length))[0]


def encode_windows(
    tokenizer: Tokenizer, texts: Iterable[tuple[str, str | None]], max_seq_length: int, stride: int
) -> tuple[Sequences, NDArray[np.int64]]:
    """Texts, or pairs of them, as one sequence each where it fits, else as several overlapping ones.

    Each window begins `stride` tokens after the one before it, or sooner where that would leave a gap; the last one
    ends with the text and is as full as the others. Of a pair the longer text (the second of equal ones) is read
    through windows, each beside the first half window of the other.

    Returns:
        the sequences, and how many each text has, [texts].

    Raises:
        InputError: no window has room for a token.
    """
    if max_seq_length < 4:
        raise InputError(f"--max_seq_length={max_seq_length}: leaves windows no room; it must be at least 4")
    return _encode(tokenizer, texts, partial(_windows, max_seq_length, stride))


# Which tokens of two texts (the second may be empty) a sequence has: slices of the first, and of the second.
_Kept = tuple[Sequence[slice], Sequence[slice]]


def _one_sequence(
    of_text: Callable[[int, int], Sequence[slice]], max_seq_length: int, length_a: int, length_b: int
) -> list[_Kept]:
    """The one sequence of two texts of these lengths; `of_text` says which tokens of a text, how many being known."""
    kept_a, kept_b = truncated_lengths(length_a, length_b, max_seq_length - (3 if length_b else 2))
    return [(of_text(length_a, kept_a), of_text(length_b, kept_b))]


def _beginning(length: int, kept: int) -> Sequence[slice]:
    return [slice(0, kept)]


def _head_tail(length: int, kept: int) -> Sequence[slice]:
    """The beginning and the end of a text: a quarter and three quarters of what is kept.

    Of 510 tokens the first 128 and the last 382, the best of Sun et al. 2019, "How to Fine-Tune BERT for Text
    Classification?", section 5.3.1.
    """
    head = kept if kept == length else (kept + 2) // 4
    return [slice(0, head), slice(length - kept + head, length)]


def _windows(max_seq_length: int, stride: int, length_a: int, length_b: int) -> list[_Kept]:
    """The windows of two texts of these lengths."""
    room = max_seq_length - (3 if length_b else 2)
    if length_a + length_b <= room:
        return [([slice(0, length_a)], [slice(0, length_b)])]
    longer, shorter = max(length_a, length_b), min(length_a, length_b, room // 2)
    room -= shorter
    last = longer - room
    beside = [slice(0, shorter)]
    of_longer = [[slice(start, start + room)] for start in [*range(0, last, min(stride, room)), last]]
    return [(one, beside) if length_a > length_b else (beside, one) for one in of_longer]


def _encode(
    tokenizer: Tokenizer, texts: Iterable[tuple[str, str | None]], keep: Callable[[int, int], Sequence[_Kept]]
) -> tuple[Sequences, NDArray[np.int64]]:
    """Sequences, and how many each text has; `keep` says which tokens, from the lengths of two texts."""
    parts = [_encode_block(tokenizer, block, keep) for block in _blocks(texts)]
    if not parts:
        return Sequences(np.zeros(0, tokenizer.dtype), np.zeros(1, np.int64), np.zeros(0, np.int64)), _array([])
    return Sequences.joined([part for part, _ in parts]), np.concatenate([counts for _, counts in parts])


def _array(numbers: Sequence[int]) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def _blocks(texts: Iterable[tuple[str, str | None]]) -> Iterator[list[tuple[str, str | None]]]:
    taken = iter(texts)
    while block := list(islice(taken, _BLOCK)):
        yield block


def _encode_block(
    tokenizer: Tokenizer, texts: Sequence[tuple[str, str | None]], keep: Callable[[int, int], Sequence[_Kept]]
) -> tuple[Sequences, NDArray[np.int64]]:
    """One block: all its texts through the tokenizer at once, then the special tokens between them."""
    flat, starts = tokenizer.encode_batch([text for pair in texts for text in (pair[0], pair[1] or "")])
    cls, sep = (np.array([number], flat.dtype) for number in (tokenizer.cls_id, tokenizer.sep_id))
    pieces, lengths, first, counts, cut = [], [0], [], [], 0
    for i in range(len(texts)):
        a, b, end = (int(place) for place in starts[2 * i : 2 * i + 3])
        sequences = keep(b - a, end - b)
        counts.append(len(sequences))
        for of_a, of_b in sequences:
            kept_a, kept_b = [flat[a:b][part] for part in of_a], [flat[b:end][part] for part in of_b]
            length_a, length_b = sum(map(len, kept_a)), sum(map(len, kept_b))
            pieces += [cls, *kept_a, sep]
            # As in the original, a second text of no tokens is none, also where cutting leaves it none.
            if length_b:
                pieces += [*kept_b, sep]
            first.append(length_a + 2)
            lengths.append(length_a + length_b + (3 if length_b else 2))
        cut += length_a + length_b < end - a
    return Sequences(np.concatenate(pieces), np.cumsum(lengths), _array(first), cut), _array(counts)


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
