"""Masking: choosing the tokens to predict, and replacing them.

The rules are those of the original's `create_masked_lm_predictions`. A share `masked_lm_prob` of a sequence's length is
chosen, without replacement. Of the chosen tokens, 80 % become [MASK], 10 % stay and 10 % become a token drawn from the
whole vocabulary, which may by chance be the same. With whole word masking, tokens that begin with ## are chosen with
the word before them, and a word with more tokens than are left to choose is skipped. A word never continues across
[SEP] (in the original, tokens at the beginning of a truncated b join the last word of a).

Two departures are off unless asked for. Spans are runs of whole words; their lengths have a geometric distribution, cut
at 10 words (Joshi et al., "SpanBERT", 2020). And all chosen tokens may become [MASK].

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
_ORDER, _REPLACEMENT, _TOKEN, _SPAN = range(4)

# The most words of a span, as in SpanBERT.
LONGEST_SPAN = 10


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
    mean_span_length: float = 0.0,
    mask_all: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Choose and replace the tokens to predict in sequences laid end to end.

    Args:
        input_ids: [T] with [CLS] and [SEP], which are never chosen.
        lengths: [B] tokens of each sequence, at most 65,536.
        keys: [B] the random key of each sequence.
        max_predictions_per_seq: the most tokens to choose in a sequence; 0 is no limit.
        mean_span_length: how many words a span has on average, before it is cut at 10; 0 chooses no spans.
        mask_all: whether every chosen token becomes [MASK].

    Returns:
        input_ids [T] with the chosen tokens replaced, their indices in it [M] ascending, the ids that they had [M].
    """
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    position = within(lengths)
    may_be_masked = (input_ids != words.cls_id) & (input_ids != words.sep_id)
    order = draws.bits(draws.bits(keys, _ORDER)[sequence], position) & ~_POSITION | position.astype(np.uint64)
    number = how_many(lengths, masked_lm_prob, max_predictions_per_seq)
    if do_whole_word_mask or mean_span_length:
        spans = _span_lengths(keys, sequence, position, mean_span_length) if mean_span_length else None
        rows = _choose_words(input_ids, lengths, may_be_masked, order, number, words.is_continuation, spans)
    else:
        rows = _choose_tokens(lengths, may_be_masked, order, number)

    labels = input_ids[rows]
    sequence, position = sequence[rows], position[rows]
    replacement = draws.uniform(draws.bits(keys, _REPLACEMENT)[sequence], position)
    token = draws.integers(draws.bits(keys, _TOKEN)[sequence], position, 0, words.size)
    masked = input_ids.copy()
    if mask_all:
        masked[rows] = words.mask_id
        return masked, rows, labels
    masked[rows] = np.where(replacement < 0.8, words.mask_id, np.where(replacement < 0.9, labels, token))
    return masked, rows, labels


def how_many(lengths: NDArray[np.int64], masked_lm_prob: float, max_predictions_per_seq: int) -> NDArray[np.int64]:
    """Return how many tokens of each sequence are predicted [B]: a share of its length, rounded half to even, >= 1."""
    share: NDArray[np.int64] = np.maximum(np.rint(lengths * masked_lm_prob).astype(np.int64), 1)
    return np.minimum(share, max_predictions_per_seq) if max_predictions_per_seq else share


def _span_lengths(
    keys: draws.Bits, sequence: NDArray[np.int64], position: NDArray[np.int64], mean: float
) -> NDArray[np.int64]:
    """Return [T] the words of a span that begins at each token: geometric with this mean, at most 10."""
    drawn = draws.uniform(draws.bits(keys, _SPAN)[sequence], position)
    if mean <= 1:
        return np.ones(len(position), np.int64)
    length: NDArray[np.float64] = 1 + np.floor(np.log1p(-drawn) / np.log1p(-1 / mean))
    return np.minimum(length, LONGEST_SPAN).astype(np.int64)


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
    spans: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return the rows [M] of the first words of each sequence, in its random order, that fit into `number` tokens.

    With `spans` [T], the words of a span that begins at a word, and do not reach across [SEP], come with that word.
    """
    candidates: NDArray[np.int64] = np.flatnonzero(may_be_masked)
    follows = is_continuation[input_ids]
    follows[1:] &= may_be_masked[:-1]
    begins = may_be_masked & ~follows
    word = np.cumsum(begins) - 1
    pieces = np.bincount(word[candidates])

    is_chosen = np.zeros(len(pieces), np.bool_)
    drawn = np.sort(_by_sequence(lengths, begins, order), axis=1)
    is_word = drawn != _LAST
    row = np.where(is_word, _rows(lengths, drawn), 0)
    extent = None if spans is None else np.minimum(spans[begins], _words_after(begins, may_be_masked))
    room = number.copy()
    # All sequences take or skip their first word or span, then their second, until none has room left.
    for rank in range(drawn.shape[1] if len(pieces) else 0):
        first, goes_on = word[row[:, rank]] * is_word[:, rank], is_word[:, rank]
        longest = 1 if extent is None else int(extent[first[goes_on]].max(initial=1))
        for offset in range(longest):
            which = first + offset * goes_on
            fits = goes_on & ~is_chosen[which] & (pieces[which] <= room)
            room -= pieces[which] * fits
            if extent is not None:
                goes_on = goes_on & (fits | is_chosen[which]) & (offset + 1 < extent[first])
            is_chosen[which[fits]] = True
        if not room.any():
            break
    rows: NDArray[np.int64] = candidates[is_chosen[word[candidates]]]
    return rows


def _words_after(begins: NDArray[np.bool_], may_be_masked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for each word how many words there are from it to the end of its run of tokens without [CLS] or [SEP]."""
    run = np.cumsum(~may_be_masked)[begins]
    return np.searchsorted(run, run, side="right") - np.arange(len(run))


def _by_sequence(lengths: NDArray[np.int64], which: NDArray[np.bool_], order: draws.Bits) -> draws.Bits:
    """Return the numbers that order the candidates as [B, L]. Others, and padding, have the largest number."""
    longest = int(lengths.max(initial=0))
    result = np.full((len(lengths), longest), _LAST)
    result[np.arange(longest) < lengths[:, None]] = np.where(which, order, _LAST)
    return result


def _rows(lengths: NDArray[np.int64], drawn: draws.Bits) -> NDArray[np.int64]:
    """Return the rows in [T] of the tokens that numbers of the order [B, *] belong to."""
    return (drawn & _POSITION).astype(np.int64) + starts(lengths)[:-1, None]
