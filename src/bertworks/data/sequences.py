"""The token sequences of a whole data set, laid end to end, and the endless shuffled order for training.

Shapes: N sequences, T tokens of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bertworks import draws, ragged
from bertworks.errors import InputError
from bertworks.text.pairs import truncated_lengths
from bertworks.text.tokenizer import Tokenizer

_ORDER = 0xF17E  # separates the random numbers of this file from others

# What happens to a text that is longer than a sequence: it loses its end, becomes several windows, or loses its middle.
LongText = Literal["truncate", "window", "head_tail"]


@dataclass(frozen=True)
class Sequences:
    """[CLS] a [SEP] or [CLS] a [SEP] b [SEP], for every example of a data set.

    Attributes:
        ids: [T], in the tokenizer's type.
        starts: [N + 1] int64; sequence i is ids[starts[i]:starts[i + 1]].
        first: [N] int64; the number of tokens of segment 0 in each sequence.
        cut: the number of texts that lost tokens or became several windows.
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
        """The number of tokens of each sequence. Shape [N]."""
        return np.diff(self.starts)

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return sequences number `rows` [B] end to end: ids [T], segment ids [T], lengths [B]."""
        lengths = self.lengths[rows]
        ids = self.ids[ragged.runs(self.starts[rows], lengths)].astype(np.int64)
        return ids, (ragged.within(lengths) >= np.repeat(self.first[rows], lengths)).astype(np.int64), lengths

    @classmethod
    def joined(cls, parts: Sequence[Sequences]) -> Sequences:
        """Return the sequences of all parts, in order."""
        return cls(
            np.concatenate([part.ids for part in parts]),
            ragged.starts(np.concatenate([part.lengths for part in parts])),
            np.concatenate([part.first for part in parts]),
            sum(part.cut for part in parts),
        )


def encode(
    tokenizer: Tokenizer,
    texts: Iterable[tuple[str, str | None]],
    max_seq_length: int,
    long_text: Literal["truncate", "head_tail"] = "truncate",
) -> Sequences:
    """Encode each text, or pair of texts, as one sequence of at most `max_seq_length` tokens.

    The number of tokens that a text keeps is the original's (`truncated_lengths`). `truncate` keeps the first tokens,
    as the original does. `head_tail` keeps the beginning and the end of a text that loses tokens (see `_head_tail`).
    """
    return _encode(tokenizer, texts, partial(kept_tokens, long_text, max_seq_length, 1))[0]


def encode_windows(
    tokenizer: Tokenizer, texts: Iterable[tuple[str, str | None]], max_seq_length: int, stride: int
) -> tuple[Sequences, NDArray[np.int64]]:
    """Encode each text, or pair of texts, as one sequence if it fits, else as several overlapping windows.

    Each window begins `stride` tokens after the one before, or earlier if there would be a gap. The last window ends
    with the text and is as full as the others. Of a pair, the longer text (the second if they are equally long) is cut
    into windows, and each of them comes with the first tokens of the other, at most half a window.

    Returns:
        the sequences, and the number of sequences of each text [texts].

    Raises:
        InputError: windows have no room for tokens of the text.
    """
    if max_seq_length < 4:
        raise InputError(f"--max_seq_length={max_seq_length}: leaves no room for windows; it must be at least 4")
    return _encode(tokenizer, texts, partial(kept_tokens, "window", max_seq_length, stride))


# The tokens of two texts in a sequence: slices of the first text, and slices of the second, which may be empty.
Kept = tuple[Sequence[slice], Sequence[slice]]


def kept_tokens(long_text: LongText, max_seq_length: int, stride: int, length_a: int, length_b: int) -> Sequence[Kept]:
    """Choose the tokens of two texts for each sequence; see `encode` and `encode_windows`."""
    if long_text == "window":
        return _windows(max_seq_length, stride, length_a, length_b)
    kept_a, kept_b = truncated_lengths(length_a, length_b, max_seq_length - (3 if length_b else 2))
    if long_text == "truncate":
        return [([slice(0, kept_a)], [slice(0, kept_b)])]
    return [(_head_tail(length_a, kept_a), _head_tail(length_b, kept_b))]


def _head_tail(length: int, kept: int) -> Sequence[slice]:
    """Keep the beginning and the end of a text: a quarter and three quarters of the tokens.

    Of 510 tokens these are the first 128 and the last 382, the best choice in Sun et al. 2019, "How to Fine-Tune BERT
    for Text Classification?", section 5.3.1.
    """
    head = kept if kept == length else (kept + 2) // 4
    return [slice(0, head), slice(length - kept + head, length)]


def _windows(max_seq_length: int, stride: int, length_a: int, length_b: int) -> list[Kept]:
    room = max_seq_length - (3 if length_b else 2)
    if length_a + length_b <= room:
        return [([slice(0, length_a)], [slice(0, length_b)])]
    longer, shorter = max(length_a, length_b), min(length_a, length_b, room // 2)
    room -= shorter
    last = longer - room
    of_shorter = [slice(0, shorter)]
    windows = [[slice(start, start + room)] for start in [*range(0, last, min(stride, room)), last]]
    return [(window, of_shorter) if length_a > length_b else (of_shorter, window) for window in windows]


def _encode(
    tokenizer: Tokenizer, texts: Iterable[tuple[str, str | None]], keep: Callable[[int, int], Sequence[Kept]]
) -> tuple[Sequences, NDArray[np.int64]]:
    """Return the sequences, and their number for each text. `keep(length_a, length_b)` chooses the tokens."""
    none = np.zeros(0, np.int64)
    parts, counts = [Sequences(np.zeros(0, tokenizer.dtype), np.zeros(1, np.int64), none)], [none]
    taken = iter(texts)
    while block := list(islice(taken, 4096)):
        part, count = _encode_block(tokenizer, block, keep)
        parts.append(part)
        counts.append(count)
    return Sequences.joined(parts), np.concatenate(counts)


def _encode_block(
    tokenizer: Tokenizer, texts: Sequence[tuple[str, str | None]], keep: Callable[[int, int], Sequence[Kept]]
) -> tuple[Sequences, NDArray[np.int64]]:
    """Tokenize all texts of a block at once, then put the special tokens between them."""
    flat, starts = tokenizer.encode_batch([text for pair in texts for text in (pair[0], pair[1] or "")])
    cls, sep = (np.array([number], flat.dtype) for number in (tokenizer.cls_id, tokenizer.sep_id))
    pieces, lengths, first, counts, cut = [], [], [], [], 0
    for i in range(len(texts)):
        a, b, end = starts[2 * i : 2 * i + 3].tolist()
        sequences = keep(b - a, end - b)
        counts.append(len(sequences))
        for of_a, of_b in sequences:
            kept_a, kept_b = [flat[a:b][part] for part in of_a], [flat[b:end][part] for part in of_b]
            length_a, length_b = sum(map(len, kept_a)), sum(map(len, kept_b))
            pieces += [cls, *kept_a, sep]
            # As in the original, a second text without tokens does not count, also if truncation left it without.
            if length_b:
                pieces += [*kept_b, sep]
            first.append(length_a + 2)
            lengths.append(length_a + length_b + (3 if length_b else 2))
        cut += length_a + length_b < end - a
    sequences_of_all = Sequences(np.concatenate(pieces), ragged.starts(lengths), np.array(first, np.int64), cut)
    return sequences_of_all, np.array(counts, np.int64)


def shuffled(seed: int, count: int, first: int, last: int) -> NDArray[np.int64]:
    """Return examples number first, ..., last - 1 of `count` in shuffled epochs. A batch may contain the end of one."""
    return draws.shuffled(seed, _ORDER, count, first, last)
