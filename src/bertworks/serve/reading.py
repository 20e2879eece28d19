"""Texts of a request -> sequences for the model, with what was cut and how many windows were needed.

Shapes: N texts, T tokens of a sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bertworks.data.sequences import Kept, LongText, kept_tokens
from bertworks.model.predict import ModelInput
from bertworks.serve.refusals import Refusal
from bertworks.text.tokenizer import Tokenizer

# What happens to a text that is longer than a sequence. `error` refuses it.
LongTextChoice = Literal["truncate", "head_tail", "window", "error"]

# A text, a pair of texts, or the ids of a text's tokens, without special tokens.
Given = str | tuple[str, str] | Sequence[int]


@dataclass(frozen=True)
class TextCounts:
    """What was read of a text, or of all texts of a request.

    Attributes:
        tokens: of the text, without special tokens.
        tokens_cut: how many of them no sequence has.
        windows: how many sequences the model read.
    """

    tokens: int
    tokens_cut: int
    windows: int

    @classmethod
    def total(cls, counts: Iterable[TextCounts]) -> TextCounts:
        """Return the sums."""
        each = list(counts)
        return cls(sum(c.tokens for c in each), sum(c.tokens_cut for c in each), sum(c.windows for c in each))


@dataclass(frozen=True)
class HowToRead:
    """How texts are read.

    Attributes:
        max_seq_length: the most tokens of a sequence, special tokens included.
        stride: tokens from the beginning of a window to that of the next.
        most_tokens: the most tokens of all sequences of a request.
        field: the part of the body that has the texts, for messages.
        from_left: whether a text that is truncated loses its beginning instead of its end.
    """

    max_seq_length: int
    long_text: LongTextChoice
    stride: int
    most_tokens: int
    field: str = "texts"
    from_left: bool = False


def read_texts(
    tokenizer: Tokenizer, texts: Sequence[Given], reading: HowToRead, rows: Sequence[int] = ()
) -> tuple[list[list[ModelInput]], list[TextCounts]]:
    """Return the sequences of each text and its counts.

    Args:
        tokenizer: the model's.
        texts: of any length.
        reading: what happens to long ones.
        rows: the tokens of each sequence that a head reads.

    Raises:
        Refusal: a text is too long, and `long_text` is `error`; all sequences have more tokens than a request may.
    """
    parts = [part for text in texts for part in (text if isinstance(text, tuple) else (text, ""))]
    ids = _encode(tokenizer, parts)
    pairs = list(zip(ids[::2], ids[1::2], strict=True))
    # A text of a million tokens may have as many windows, so they are counted before any is made.
    check_tokens(_needed(reading, [(len(a), len(b)) for a, b in pairs]), reading.most_tokens)
    found, counts = [], []
    for a, b in pairs:
        kept, tokens = _kept(reading, len(a), len(b)), len(a) + len(b)
        found.append([_sequence(tokenizer, a, b, slices, rows) for slices in kept])
        seen = _distinct(kept, 0, len(a)) + _distinct(kept, 1, len(b))
        counts.append(TextCounts(tokens, tokens - seen, len(kept)))
    return found, counts


def check_tokens(tokens: int, most: int, bound: str = "") -> None:
    """Check how many tokens all sequences of a request have; `bound` stands before a number that is not exact.

    Raises:
        Refusal: more than `most`.
    """
    if tokens > most:
        raise Refusal("too_large", f"needs {bound}{tokens:,} tokens; a request may have {most:,}")


def _needed(reading: HowToRead, lengths: Sequence[tuple[int, int]]) -> int:
    """Return how many tokens the sequences of texts have, from the lengths of the texts, without making them.

    Raises:
        Refusal: a text is too long, and `long_text` is `error`.
    """
    needed = 0
    for number, (length_a, length_b) in enumerate(lengths):
        tokens, room = length_a + length_b, reading.max_seq_length - (3 if length_b else 2)
        if reading.long_text == "error" and tokens > room:
            raise Refusal(
                "invalid",
                f"has {tokens:,} tokens, but the model reads {room:,}; give long_text=truncate, head_tail or window",
                f"{reading.field}[{number}]",
            )
        if reading.long_text != "window" or tokens <= room:
            needed += min(tokens, room) + reading.max_seq_length - room
            continue
        # All windows are full. Each has the first tokens of the shorter text, half a window at most.
        shorter = min(length_a, length_b, room // 2)
        windows = 1 + len(range(0, max(length_a, length_b) - room + shorter, min(reading.stride, room - shorter)))
        needed += windows * reading.max_seq_length
    return needed


def _encode(tokenizer: Tokenizer, parts: Sequence[str | Sequence[int]]) -> list[NDArray[np.unsignedinteger]]:
    """Return the ids of each part, which may be ids already."""
    ids, starts = tokenizer.encode_batch([part for part in parts if isinstance(part, str)])
    encoded = iter(pairwise(starts.tolist()))
    return [ids[slice(*next(encoded))] if isinstance(part, str) else np.array(part, tokenizer.dtype) for part in parts]


def _kept(reading: HowToRead, length_a: int, length_b: int) -> Sequence[Kept]:
    """Choose the tokens of each sequence."""
    how: LongText = "truncate" if reading.long_text == "error" else reading.long_text
    kept = kept_tokens(how, reading.max_seq_length, reading.stride, length_a, length_b)
    if not reading.from_left:
        return kept
    return [(_mirrored(of_a, length_a), _mirrored(of_b, length_b)) for of_a, of_b in kept]


def _mirrored(parts: Sequence[slice], length: int) -> Sequence[slice]:
    """Return slices that lie as far from the end as these lie from the beginning."""
    return [slice(length - part.stop, length - part.start) for part in reversed(parts)]


def _sequence(
    tokenizer: Tokenizer,
    a: NDArray[np.unsignedinteger],
    b: NDArray[np.unsignedinteger],
    kept: Kept,
    rows: Sequence[int],
) -> ModelInput:
    """Put the special tokens around what is kept of two texts, the second of which may be empty."""
    first, second = (np.concatenate([ids[part] for part in parts]) for ids, parts in zip((a, b), kept, strict=True))
    separator = [tokenizer.sep_id]
    ids = np.concatenate([[tokenizer.cls_id], first, separator, second, separator if len(second) else []])
    segments = np.arange(len(ids)) >= len(first) + 2
    return ModelInput(ids.astype(np.int64), segments.astype(np.int64), rows)


def _distinct(kept: Sequence[Kept], which: int, length: int) -> int:
    """Count the tokens of one of two texts that some sequence has."""
    seen = np.zeros(length, np.bool_)
    for slices in kept:
        for part in slices[which]:
            seen[part] = True
    return int(seen.sum())


def check_texts(texts: Sequence[object], most: int, field: str) -> None:
    """Check that there are texts, but not too many.

    Raises:
        Refusal: there are none, or more than `most`.
    """
    if not texts:
        raise Refusal("empty", f"{field} is empty; give at least one", field)
    if len(texts) > most:
        raise Refusal("too_large", f"has {len(texts):,} items; a request may have {most:,}", field)
