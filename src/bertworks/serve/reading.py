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
        field: the part of the body that has the texts, for messages.
        from_left: whether a text that is truncated loses its beginning instead of its end.
    """

    max_seq_length: int
    long_text: LongTextChoice
    stride: int
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
        Refusal: a text is too long, and `long_text` is `error`.
    """
    parts = [part for text in texts for part in (text if isinstance(text, tuple) else (text, ""))]
    ids = _encode(tokenizer, parts)
    found, counts = [], []
    for number, (a, b) in enumerate(zip(ids[::2], ids[1::2], strict=True)):
        kept = _kept(reading, len(a), len(b))
        room = reading.max_seq_length - (3 if len(b) else 2)
        tokens = len(a) + len(b)
        if reading.long_text == "error" and tokens > room:
            raise Refusal(
                "invalid",
                f"has {tokens:,} tokens, but the model reads {room:,}; give long_text=truncate, head_tail or window",
                f"{reading.field}[{number}]",
            )
        found.append([_sequence(tokenizer, a, b, slices, rows) for slices in kept])
        seen = _distinct(kept, 0, len(a)) + _distinct(kept, 1, len(b))
        counts.append(TextCounts(tokens, tokens - seen, len(kept)))
    return found, counts


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
