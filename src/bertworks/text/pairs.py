"""From token ids to the input of the model: [CLS] a [SEP] or [CLS] a [SEP] b [SEP], truncated as in the original."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bertworks.errors import InputError


class Pair(NamedTuple):
    """One text or two, with the special tokens."""

    ids: list[int]
    segment_ids: list[int]


def joined(a: Sequence[int], b: Sequence[int], cls_id: int, sep_id: int, max_seq_length: int | None = None) -> Pair:
    """Join one text (b is empty) or two with [CLS] and [SEP], truncated to `max_seq_length` tokens in all.

    As in the original's `convert_single_example`, one text loses its end, and two are cut by `truncated_lengths`.

    Raises:
        InputError: `max_seq_length` leaves no room for the special tokens.
    """
    if max_seq_length is not None:
        room = max_seq_length - (3 if b else 2)
        if room < 0:
            raise InputError(f"--max_seq_length={max_seq_length} leaves no room for [CLS] and [SEP]")
        length_a, length_b = truncated_lengths(len(a), len(b), room)
        a, b = a[:length_a], b[:length_b]
    ids, segment_ids = [cls_id, *a, sep_id], [0] * (len(a) + 2)
    if b:
        ids += [*b, sep_id]
        segment_ids += [1] * (len(b) + 1)
    return Pair(ids, segment_ids)


def truncated_lengths(length_a: int, length_b: int, room: int) -> tuple[int, int]:
    """Return the lengths of two token lists after the original's `_truncate_seq_pair`.

    Its loop removes one token at a time from the longer list (from b if they are equal) until both together fit.
    """
    if length_a + length_b <= room:
        return length_a, length_b
    kept_a = min(length_a, max(room - length_b, (room + 1) // 2))
    return kept_a, room - kept_a
