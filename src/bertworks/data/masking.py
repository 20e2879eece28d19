"""Masking: choosing the tokens to predict, and replacing them.

The rules are those of the original's `create_masked_lm_predictions`. A share `masked_lm_prob` of a sequence's length is
chosen, without replacement. Of the chosen tokens, 80 % become [MASK], 10 % stay and 10 % become a token drawn from the
whole vocabulary, which may by chance be the same. With whole word masking, tokens that begin with ## are chosen with
the word before them, and a word with more tokens than are left to choose is skipped. A word never continues across
[SEP] (in the original, tokens at the beginning of a truncated b join the last word of a).

The random numbers of a sequence come from its own key and from positions inside it, so they do not depend on the rest
of the batch.

Shapes: T packed tokens, B sequences, L tokens of the longest, M masked tokens, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertworks import draws
from bertworks.errors import InputError
from bertworks.ragged import starts, within

# A position in a sequence takes the lower 16 bits of the random number that orders the positions.
MAX_LENGTH = 1 << 16
_POSITION = np.uint64(MAX_LENGTH - 1)
_LAST = np.uint64(2**64 - 1)

# What random numbers are drawn for.
_ORDER, _REPLACEMENT, _TOKEN = range(3)


@dataclass(frozen=True, eq=False)
class MaskableWords:
    """What masking needs of a vocabulary.

    Attributes:
        size: V, the number of ids.
        is_continuation: [V] whether a token begins with ##.
    """

    size: int
    cls_id: int
    sep_id: int
    mask_id: int
    is_continuation: NDArray[np.bool_]

    @classmethod
    def of(cls, vocabulary: Sequence[str], name: str) -> MaskableWords:
        """Make it from the tokens by id. `name` is the vocabulary's name in messages.

        Raises:
            InputError: a special token is missing.
        """
        ids = {word: i for i, word in enumerate(vocabulary)}
        if missing := [word for word in ("[CLS]", "[SEP]", "[MASK]") if word not in ids]:
            raise InputError(f"--vocab_file: {name} lacks {', '.join(missing)}, which pre-training needs")
        return cls(
            size=len(vocabulary),
            cls_id=ids["[CLS]"],
            sep_id=ids["[SEP]"],
            mask_id=ids["[MASK]"],
            is_continuation=np.array([word.startswith("##") for word in vocabulary], np.bool_),
        )


def mask(
    input_ids: NDArray[np.int64],
    lengths: NDArray[np.int64],
    keys: draws.Bits,
    words: MaskableWords,
    *,
    masked_lm_prob: float,
    max_predictions_per_seq: int,
    do_whole_word_mask: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Choose and replace the tokens to predict in sequences laid end to end.

    Args:
        input_ids: [T] with [CLS] and [SEP], which are never chosen.
        lengths: [B] tokens of each sequence, at most 65,536.
        keys: [B] the random key of each sequence.

    Returns:
        input_ids [T] with the chosen tokens replaced, their indices in it [M] ascending, the ids that they had [M].
    """
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    position = within(lengths)
    may_be_masked = (input_ids != words.cls_id) & (input_ids != words.sep_id)
    order = draws.bits(draws.bits(keys, _ORDER)[sequence], position) & ~_POSITION | position.astype(np.uint64)
    number = how_many(lengths, masked_lm_prob, max_predictions_per_seq)
    if do_whole_word_mask:
        rows = _choose_words(input_ids, lengths, may_be_masked, order, number, words.is_continuation)
    else:
        rows = _choose_tokens(lengths, may_be_masked, order, number)

    labels = input_ids[rows]
    sequence, position = sequence[rows], position[rows]
    replacement = draws.uniform(draws.bits(keys, _REPLACEMENT)[sequence], position)
    token = draws.integers(draws.bits(keys, _TOKEN)[sequence], position, 0, words.size)
    masked = input_ids.copy()
    masked[rows] = np.where(replacement < 0.8, words.mask_id, np.where(replacement < 0.9, labels, token))
    return masked, rows, labels


def how_many(lengths: NDArray[np.int64], masked_lm_prob: float, max_predictions_per_seq: int) -> NDArray[np.int64]:
    """Return how many tokens of each sequence are predicted [B]: a share of its length, rounded half to even, >= 1."""
    share: NDArray[np.int64] = np.rint(lengths * masked_lm_prob).astype(np.int64)
    return np.minimum(np.maximum(share, 1), max_predictions_per_seq)


def _choose_tokens(
    lengths: NDArray[np.int64], may_be_masked: NDArray[np.bool_], order: draws.Bits, number: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the rows [M] of the first `number` candidates of each sequence, in its random order."""
    most = int(number.max(initial=0))
    drawn = _by_sequence(lengths, may_be_masked, order)
    if most < drawn.shape[1]:
        drawn = np.partition(drawn, most, axis=1)[:, :most]
    drawn = np.sort(drawn, axis=1)
    chosen = (np.arange(drawn.shape[1]) < number[:, None]) & (drawn != _LAST)
    return np.sort(_rows(lengths, drawn)[chosen])


def _choose_words(
    input_ids: NDArray[np.int64],
    lengths: NDArray[np.int64],
    may_be_masked: NDArray[np.bool_],
    order: draws.Bits,
    number: NDArray[np.int64],
    is_continuation: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Return the rows [M] of the first words of each sequence, in its random order, that fit into `number` tokens."""
    candidates: NDArray[np.int64] = np.flatnonzero(may_be_masked)
    follows = is_continuation[input_ids]
    follows[1:] &= may_be_masked[:-1]
    begins = may_be_masked & ~follows
    word = np.cumsum(begins) - 1
    pieces = np.bincount(word[candidates])

    drawn = np.sort(_by_sequence(lengths, begins, order), axis=1)
    is_word = drawn != _LAST
    row = _rows(lengths, drawn)
    size = np.where(is_word, 0, len(input_ids))
    size[is_word] = pieces[word[row[is_word]]]
    # All sequences take or skip their first word, then their second, until none has room left.
    chosen = np.zeros(drawn.shape, np.bool_)
    room = number.copy()
    for rank in range(drawn.shape[1]):
        fits = size[:, rank] <= room
        chosen[:, rank] = fits
        room -= size[:, rank] * fits
        if not room.any():
            break
    is_chosen = np.zeros(len(pieces), np.bool_)
    is_chosen[word[row[chosen]]] = True
    rows: NDArray[np.int64] = candidates[is_chosen[word[candidates]]]
    return rows


def _by_sequence(lengths: NDArray[np.int64], which: NDArray[np.bool_], order: draws.Bits) -> draws.Bits:
    """Return the numbers that order the candidates as [B, L]. Others, and padding, have the largest number."""
    longest = int(lengths.max(initial=0))
    result = np.full((len(lengths), longest), _LAST)
    result[np.arange(longest) < lengths[:, None]] = np.where(which, order, _LAST)
    return result


def _rows(lengths: NDArray[np.int64], drawn: draws.Bits) -> NDArray[np.int64]:
    """Return the rows in [T] of the tokens that numbers of the order [B, *] belong to."""
    return (drawn & _POSITION).astype(np.int64) + starts(lengths)[:-1, None]
