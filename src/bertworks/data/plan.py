"""From sentence lengths to the rows of an epoch: which two pieces of text make an instance, and its label.

The rules are those of the original's `create_pretraining_data.py` (`create_instances_from_document` and
`truncate_seq_pair`). There a document is walked from its beginning: sentences are gathered into a chunk until it is
long enough, the chunk is cut into a and b, and where b is replaced by a random piece, the sentences it would have taken
are put back. So chance decides where the next chunk begins. Here it is first decided for every sentence, all at once,
what would happen if a chunk began there; the walk is then a chain of pointers, and everything else is arithmetic on the
chunks that it meets. No sentence begins two chunks, so the draws are as independent as in the original.

Where it differs, by design:
- A random b comes from another document of the same shard, each equally likely (the original tries ten times and may
  then end in the same document).
- With one document in the shard, a random b comes from that document: it starts neither at a sentence of a nor at the
  one that follows a, and it ends where a starts if it starts before a. Where there is no such sentence, b is what
  follows a, and the label says so. One sentence alone is cut in two at a random token; one token alone gives no row.
  (The original draws b from the whole document and always calls it random.)
- Chance is counter-based (draws.py), so the rows agree with the original's in distribution, not one by one.

Shapes: S sentences, D documents, N rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bertworks import draws

Integers = NDArray[np.int64]

# [CLS] a [SEP] b [SEP]
SPECIALS = 3

# The columns of a plan.
DOCUMENT, A_START, A_END, B_START, B_END, IS_RANDOM_NEXT, LENGTH = range(7)

# What a number is drawn for.
_IS_SHORT, _SHORT_TARGET, _A_SENTENCES, _COIN, _B_DOCUMENT, _B_SENTENCE, _FRONT_OF_A, _FRONT_OF_B, _CUT = range(9)


class _Chunks(NamedTuple):
    """The chunks that the walk meets, in order. All [N]; sentences are counted from the shard's first.

    Attributes:
        document: the document it lies in.
        first: its first sentence, which is also a's.
        a_last: the sentence after a's last.
        last: the sentence after its last.
        target: how many tokens it was to reach.
        is_random_next: whether b is random. Then the sentences from a_last on are put back.
    """

    document: Integers
    first: Integers
    a_last: Integers
    last: Integers
    target: Integers
    is_random_next: NDArray[np.bool_]


def plan(
    sentence_starts: NDArray[np.integer],
    document_starts: NDArray[np.integer],
    *,
    key: ArrayLike,
    max_seq_length: int,
    short_seq_prob: float,
) -> Integers:
    """All instances of one pass over a shard, in the order of its documents.

    Args:
        sentence_starts: [S+1] where sentences start, in tokens, and the end of the last. No sentence is empty.
        document_starts: [D+1] where documents start, in sentences, and the end of the last. No document is empty.
        key: what all chance is drawn from.
        max_seq_length: at least 5. No instance is longer, counting [CLS] and two [SEP].
        short_seq_prob: the share of documents that are walked with a shorter target length.

    Returns:
        [N, 7] document, a_start, a_end, b_start, b_end, is_random_next, length: a and b as ranges of the shard's
        tokens, already truncated and never empty; the length counts the three special words.
    """
    starts = np.asarray(sentence_starts, np.int64)
    documents = np.asarray(document_starts, np.int64)
    if len(starts) == 2:
        starts, documents = _cut_in_two(starts, key)
    if len(starts) < 3:
        return np.zeros((0, 7), np.int64)
    chunks = _walk(starts, documents, key, max_seq_length - SPECIALS, short_seq_prob)
    a_start, a_end = starts[chunks.first], starts[chunks.a_last]
    b_first, b_last = _choose_b(starts, documents, key, chunks)
    b_start, b_end = starts[b_first], starts[b_last]

    a_kept, b_kept = truncated(a_end - a_start, b_end - b_start, max_seq_length - SPECIALS)
    a_start, a_end = _shorten(a_start, a_end, a_kept, draws.bits(draws.key(key, _FRONT_OF_A), chunks.first))
    b_start, b_end = _shorten(b_start, b_end, b_kept, draws.bits(draws.key(key, _FRONT_OF_B), chunks.first))
    columns = (chunks.document, a_start, a_end, b_start, b_end, chunks.is_random_next, a_kept + b_kept + SPECIALS)
    return np.stack(columns, axis=1, dtype=np.int64)


def truncated(a: Integers, b: Integers, most: int) -> tuple[Integers, Integers]:
    """How many tokens of a and b stay when the longer one (b, if equal) loses a token until both have `most`."""
    return np.minimum(a, np.maximum(-(-most // 2), most - b)), np.minimum(b, np.maximum(most // 2, most - a))


def gather(
    tokens: NDArray[np.integer], rows: Integers, *, cls_id: int, sep_id: int
) -> tuple[Integers, Integers, Integers]:
    """The instances that rows of a plan describe, laid end to end: [CLS] a [SEP] b [SEP].

    Args:
        tokens: all tokens of the shard that the plan was made for; may be mapped from a file.
        rows: [B, 7] rows of the plan, in any order.

    Returns:
        input_ids [T], segment_ids [T] (1 after the first [SEP]), lengths [B].
    """
    lengths = rows[:, LENGTH]
    ends = np.cumsum(lengths)
    cls = ends - lengths
    sep = cls + rows[:, A_END] - rows[:, A_START] + 1
    # [CLS] and a, then [SEP], b and [SEP], are each one run of neighbours in the shard, but for the special words.
    runs = np.stack([sep - cls, ends - sep], axis=1).ravel()
    shifts = np.stack([rows[:, A_START] - 1 - cls, rows[:, B_START] - 1 - sep], axis=1).ravel()
    where = np.arange(int(lengths.sum())) + np.repeat(shifts, runs)
    input_ids = tokens.take(where, mode="clip").astype(np.int64)
    input_ids[cls] = cls_id
    input_ids[sep] = sep_id
    input_ids[ends - 1] = sep_id
    runs[0::2] += 1
    runs[1::2] -= 1
    segment_ids = np.repeat(np.tile(np.array([0, 1]), len(rows)), runs)
    return input_ids, segment_ids, lengths


def _cut_in_two(starts: Integers, key: ArrayLike) -> tuple[Integers, Integers]:
    """A shard of one sentence as one document of two; without sentences if there is but one token."""
    tokens = starts[1] - starts[0]
    if tokens < 2:
        return starts[:1], np.zeros(1, np.int64)
    cut = starts[:1] + draws.integers(draws.key(key, _CUT), 0, 1, tokens)
    return np.concatenate([starts[:1], cut, starts[1:]]), np.array([0, 2])


def _walk(starts: Integers, documents: Integers, key: ArrayLike, most: int, short_seq_prob: float) -> _Chunks:
    """The chunks of a pass over all documents."""
    document = np.arange(len(documents) - 1)
    is_short = draws.uniform(draws.key(key, _IS_SHORT), document) < short_seq_prob
    target = np.where(is_short, draws.integers(draws.key(key, _SHORT_TARGET), document, 2, most + 1), most)

    # For every sentence: the chunk that would begin there.
    first = np.arange(len(starts) - 1)
    sentences = np.diff(documents)
    document, target = np.repeat(document, sentences), np.repeat(target, sentences)
    last = np.minimum(np.searchsorted(starts, starts[:-1] + target), np.repeat(documents[1:], sentences))
    alone = last - first == 1
    a_last = first + draws.integers(draws.key(key, _A_SENTENCES), first, 1, np.maximum(last - first, 2))
    is_random_next = alone | (draws.bits(draws.key(key, _COIN), first) >> np.uint64(63)).astype(np.bool_)
    if len(documents) == 2:
        has_choice = _choices(first, a_last, len(first)) > 0
        is_random_next &= has_choice
        last = np.where(has_choice, last, np.maximum(last, a_last + 1))

    # A chunk's successor lies at the next document's beginning when it ends the document, so the walk is one chain. As
    # each step needs the one before, it is plain Python: 50 nanoseconds a chunk.
    successor = np.where(is_random_next, a_last, last).tolist()
    met, at = [], 0
    while at < len(successor):
        met.append(at)
        at = successor[at]
    chunk = np.array(met)
    return _Chunks(*(of_all[chunk] for of_all in (document, first, a_last, last, target, is_random_next)))


def _choose_b(starts: Integers, documents: Integers, key: ArrayLike, chunks: _Chunks) -> tuple[Integers, Integers]:
    """The first sentence of b and the one after its last, for each chunk."""
    if len(documents) > 2:
        other = draws.integers(draws.key(key, _B_DOCUMENT), chunks.first, 0, len(documents) - 2)
        other += other >= chunks.document
        first = draws.integers(draws.key(key, _B_SENTENCE), chunks.first, documents[other], documents[other + 1])
        limit = documents[other + 1]
    else:
        sentences = int(documents[-1])
        choices = np.maximum(_choices(chunks.first, chunks.a_last, sentences), 1)
        first = draws.integers(draws.key(key, _B_SENTENCE), chunks.first, 0, choices)
        before = first < chunks.first
        first = np.where(before, first, first - chunks.first + chunks.a_last + 1)
        limit = np.where(before, chunks.first, sentences)
    first = np.where(chunks.is_random_next, first, chunks.a_last)
    wanted = chunks.target - (starts[chunks.a_last] - starts[chunks.first])
    last = np.maximum(np.searchsorted(starts, starts[first] + wanted), first + 1)
    return first, np.where(chunks.is_random_next, np.minimum(last, limit), chunks.last)


def _choices(first: Integers, a_last: Integers, sentences: int) -> Integers:
    """In how many sentences of the only document a random b may start: those before a, and after a's follower."""
    return first + np.maximum(sentences - (a_last + 1), 0)


def _shorten(start: Integers, end: Integers, kept: Integers, keys: draws.Bits) -> tuple[Integers, Integers]:
    """Take off all but `kept` tokens, each from the front or the back as a fair coin says."""
    front = draws.half_of(keys, end - start - kept)
    return start + front, start + front + kept
