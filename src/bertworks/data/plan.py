"""Planning an epoch: from sentence lengths to the two pieces of text of every instance, and its label.

The rules are those of the original's `create_pretraining_data.py` (`create_instances_from_document` and
`truncate_seq_pair`). The original walks over a document: it gathers sentences into a chunk until the chunk is long
enough, and cuts the chunk into a and b. If b is then replaced by a random piece, the sentences of b are put back. So
chance decides where the next chunk begins. Here the first step computes for all sentences at once the chunk that would
begin at each of them. The walk then only follows pointers, and the rest is arithmetic on the chunks that it meets. No
sentence begins two chunks, so the random numbers are as independent as in the original.

Three differences are by design:
- A random b comes from another document of the same shard, each equally likely. (The original tries ten times and may
  then end in the same document.)
- If the shard has one document, a random b comes from that document. It starts neither in a nor at the sentence after
  a, and it ends before a if it starts before a. If there is no such sentence, b is the text after a, with that label.
  One sentence alone is cut in two at a random token, and one token alone gives no row. (The original draws b from the
  whole document and always calls it random.)
- Random numbers are counter-based (draws.py), so rows agree with the original's in distribution, not one by one.

Shapes: S sentences, D documents, N rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bertworks import draws, ragged

Integers = NDArray[np.int64]

# [CLS] a [SEP] b [SEP], and [CLS] a [SEP]
SPECIALS = 3
SPECIALS_OF_ONE = 2

# The columns of a plan.
DOCUMENT, A_START, A_END, B_START, B_END, IS_RANDOM_NEXT, LENGTH = range(7)

# What random numbers are drawn for.
_IS_SHORT, _SHORT_TARGET, _A_SENTENCES, _COIN, _B_DOCUMENT, _B_SENTENCE, _FRONT_OF_A, _FRONT_OF_B, _CUT = range(9)
_LEFT_OVER = 9


class _Chunks(NamedTuple):
    """The chunks that the walk meets, in order. All are [N]; sentences count from the first of the shard.

    Attributes:
        first: the first sentence of the chunk and of a.
        a_last: the sentence after a.
        last: the sentence after the chunk.
        target: the number of tokens that the chunk should reach.
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
    """Plan all instances of one pass over a shard, in the order of its documents.

    Args:
        sentence_starts: [S+1] the starts of sentences, in tokens, and the end of the last. No sentence is empty.
        document_starts: [D+1] the starts of documents, in sentences, and the end of the last. No document is empty.
        max_seq_length: the most tokens of an instance, with [CLS] and two [SEP]; at least 5.
        short_seq_prob: the share of documents with a shorter target length.

    Returns:
        [N, 7] document, a_start, a_end, b_start, b_end, is_random_next, length: a and b as ranges of the shard's
        tokens, already truncated and never empty; the length includes the three special tokens.
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


def plan_of_single_texts(
    sentence_starts: NDArray[np.integer],
    document_starts: NDArray[np.integer],
    *,
    key: ArrayLike,
    max_seq_length: int,
    short_seq_prob: float,
) -> Integers:
    """Plan instances of one contiguous text each, [CLS] a [SEP], that use every token of a shard once.

    A document is cut into as few instances as hold it, wherever the cut falls. The room that is left over goes to the
    first and the last of them at random, so that the cuts move from epoch to epoch. The original has no such instances;
    they are those of RoBERTa (Liu et al. 2019, section 4.2, DOC-SENTENCES), but full, so that none is cut off.

    Args:
        sentence_starts, document_starts, key, max_seq_length, short_seq_prob: as for `plan`.

    Returns:
        [N, 7] as for `plan`, with an empty b that is not random.
    """
    edges = np.asarray(sentence_starts, np.int64)[np.asarray(document_starts, np.int64)]
    tokens = np.diff(edges)
    document = np.arange(len(tokens))
    most = max_seq_length - SPECIALS_OF_ONE
    is_short = draws.uniform(draws.key(key, _IS_SHORT), document) < short_seq_prob
    room = np.where(is_short, draws.integers(draws.key(key, _SHORT_TARGET), document, 2, most + 1), most)

    count = -(-tokens // room)
    left_over = draws.integers(draws.key(key, _LEFT_OVER), document, 0, count * room - tokens + 1)
    first_length = np.minimum(room - left_over, tokens)
    number = ragged.within(count)
    of_document = np.repeat(document, count)
    begin, room = edges[of_document], room[of_document]
    start = begin + np.where(number > 0, first_length[of_document] + (number - 1) * room, 0)
    end = np.minimum(begin + first_length[of_document] + number * room, edges[of_document + 1])
    none = np.zeros_like(start)
    return np.stack((of_document, start, end, end, end, none, end - start + SPECIALS_OF_ONE), axis=1, dtype=np.int64)


def truncated(a: Integers, b: Integers, most: int) -> tuple[Integers, Integers]:
    """Return the lengths of a and b after the longer one (b, if equal) loses tokens until both together have `most`."""
    return np.minimum(a, np.maximum(-(-most // 2), most - b)), np.minimum(b, np.maximum(most // 2, most - a))


def gather(
    tokens: NDArray[np.integer], rows: Integers, *, cls_id: int, sep_id: int
) -> tuple[Integers, Integers, Integers]:
    """Build the instances of some rows of a plan, laid end to end: [CLS] a [SEP] b [SEP], or [CLS] a [SEP] without b.

    Args:
        tokens: all tokens of the shard that the plan was made for; may be mapped from a file.
        rows: [B, 7] rows of the plan, in any order.

    Returns:
        input_ids [T], segment_ids [T] (1 after the first [SEP]), lengths [B].
    """
    lengths = rows[:, LENGTH]
    edges = ragged.starts(lengths)
    cls, ends = edges[:-1], edges[1:]
    sep = cls + rows[:, A_END] - rows[:, A_START] + 1
    # [CLS] and a, and [SEP], b and [SEP], are each one run of neighbours in the shard, except for the special tokens.
    counts = np.stack([sep - cls, ends - sep], axis=1).ravel()
    where = ragged.runs((rows[:, [A_START, B_START]] - 1).ravel(), counts)
    input_ids = tokens.take(where, mode="clip").astype(np.int64)
    input_ids[cls] = cls_id
    input_ids[sep] = sep_id
    input_ids[ends - 1] = sep_id
    counts[0::2] += 1
    counts[1::2] -= 1
    segment_ids = np.repeat(np.tile(np.array([0, 1]), len(rows)), counts)
    return input_ids, segment_ids, lengths


def _cut_in_two(starts: Integers, key: ArrayLike) -> tuple[Integers, Integers]:
    """Cut the only sentence of a shard into a document of two. One token alone gives no sentences."""
    tokens = starts[1] - starts[0]
    if tokens < 2:
        return starts[:1], np.zeros(1, np.int64)
    cut = starts[:1] + draws.integers(draws.key(key, _CUT), 0, 1, tokens)
    return np.concatenate([starts[:1], cut, starts[1:]]), np.array([0, 2])


def _walk(starts: Integers, documents: Integers, key: ArrayLike, most: int, short_seq_prob: float) -> _Chunks:
    document = np.arange(len(documents) - 1)
    is_short = draws.uniform(draws.key(key, _IS_SHORT), document) < short_seq_prob
    target = np.where(is_short, draws.integers(draws.key(key, _SHORT_TARGET), document, 2, most + 1), most)

    # The chunk that would begin at each sentence.
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

    # The successor of a document's last chunk is the beginning of the next document, so the walk is one chain. Each
    # step needs the one before, so the loop is plain Python: 50 nanoseconds a chunk.
    successor = np.where(is_random_next, a_last, last).tolist()
    met, at = [], 0
    while at < len(successor):
        met.append(at)
        at = successor[at]
    chunk = np.array(met)
    return _Chunks(*(of_all[chunk] for of_all in (document, first, a_last, last, target, is_random_next)))


def _choose_b(starts: Integers, documents: Integers, key: ArrayLike, chunks: _Chunks) -> tuple[Integers, Integers]:
    """Return the first sentence of b and the sentence after b, for each chunk."""
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
    """Count the sentences of the only document where a random b may start: those before a and after a's successor."""
    return first + np.maximum(sentences - (a_last + 1), 0)


def _shorten(start: Integers, end: Integers, kept: Integers, keys: draws.Bits) -> tuple[Integers, Integers]:
    """Remove all but `kept` tokens, each from the front or from the back by a fair coin."""
    front = draws.half_of(keys, end - start - kept)
    return start + front, start + front + kept
