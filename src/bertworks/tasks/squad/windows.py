"""Questions and documents as the sequences that the model reads: [CLS] question [SEP] window of the document [SEP].

The rules are the original's, to the letter (`convert_examples_to_features` in
https://github.com/google-research/bert/blob/master/run_squad.py); the work is done for many questions at a time, and a
document is tokenized once for all of its questions.

Shapes: E examples, D documents, N windows, T tokens of all windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertworks.data.sequences import Sequences
from bertworks.errors import InputError
from bertworks.ragged import within
from bertworks.tasks.squad.documents import Document, Ints, SquadExample, TokenizedDocuments, offsets
from bertworks.text.tokenizer import Tokenizer

# The number of the first window of a file.
FIRST_UNIQUE_ID = 1_000_000_000

# Tokens of the windows that are made at a time, at most and roughly: a character is never more than some tokens.
BLOCK_TOKENS = 1 << 21


@dataclass(frozen=True)
class WindowSettings:
    """The flags that say what windows are.

    Attributes:
        tighten_by_characters: in training, an answer is the tokens of its own characters. The original looks for its
            tokens in the words that it touches, and takes the first that are equal; a Chinese paragraph is one word,
            in which an answer's first occurrence is often not the right one.

    Raises:
        InputError: there would be no room for a token of a document, or no end of windows.
    """

    max_seq_length: int = 384
    doc_stride: int = 128
    max_query_length: int = 64
    tighten_by_characters: bool = False

    def __post_init__(self) -> None:
        if self.doc_stride < 1:
            raise InputError(f"--doc_stride={self.doc_stride}: must be at least 1")
        if self.max_query_length < 0:
            raise InputError(f"--max_query_length={self.max_query_length}: must not be negative")
        if self.max_seq_length <= self.max_query_length + 3:
            raise InputError(
                f"--max_seq_length={self.max_seq_length}: leaves no room for a document; it must be more than "
                f"--max_query_length={self.max_query_length} and the 3 special tokens"
            )


@dataclass(frozen=True)
class Windows:
    """The windows of some consecutive examples of a file, in order.

    What only training reads, or only prediction, is empty in the other.

    Attributes:
        sequences: N sequences of T tokens; segment 0 is [CLS] question [SEP].
        examples: [N]; the number of each window's example, from 0 on in the file. An example has one window or more.
        unique_ids: [N]; consecutive in the file.
        doc_starts: [N]; the number of the window's first document token in its document.
        questions_cut: how many questions lost tokens to --max_query_length.
        positions: training: [N, 2]; first and last token of the answer, as places in the sequence. Both are 0 where
            there is no answer, or where it is not whole in this window.
        is_impossible: training: [N]; whether there is no answer in the document.
        words: prediction: [T] int32; the number of each document token's word in `Document.words`, -1 elsewhere.
        is_max_context: prediction: [T]; whether no other window shows more of what is around this document token.
    """

    sequences: Sequences
    examples: Ints
    unique_ids: Ints
    doc_starts: Ints
    questions_cut: int
    positions: Ints
    is_impossible: NDArray[np.bool_]
    words: NDArray[np.int32]
    is_max_context: NDArray[np.bool_]

    def __len__(self) -> int:
        """N."""
        return len(self.examples)

    @classmethod
    def joined(cls, parts: Sequence[Windows]) -> Windows:
        """Several, at least one, one after the other."""
        return cls(
            sequences=Sequences.joined([part.sequences for part in parts]),
            examples=np.concatenate([part.examples for part in parts]),
            unique_ids=np.concatenate([part.unique_ids for part in parts]),
            doc_starts=np.concatenate([part.doc_starts for part in parts]),
            questions_cut=sum(part.questions_cut for part in parts),
            positions=np.concatenate([part.positions for part in parts]),
            is_impossible=np.concatenate([part.is_impossible for part in parts]),
            words=np.concatenate([part.words for part in parts]),
            is_max_context=np.concatenate([part.is_max_context for part in parts]),
        )


# Consecutive examples of a file with all of their windows.
ExampleWindows = tuple[list[SquadExample], Windows]


def make_windows(
    tokenizer: Tokenizer, examples: Iterable[SquadExample], settings: WindowSettings, training: bool
) -> Iterator[ExampleWindows]:
    """The windows of a file's examples, some thousand at a time: the examples of a block, and all of their windows.

    Raises:
        InputError: nothing is left of a document when it is tokenized; the vocabulary lacks [CLS] or [SEP].
    """
    first_example, first_id = 0, FIRST_UNIQUE_ID
    for block in _blocks(examples, settings):
        made = _windows(tokenizer, block, settings, training, first_example, first_id)
        yield block, made
        first_example += len(block)
        first_id += len(made)


def _blocks(examples: Iterable[SquadExample], settings: WindowSettings) -> Iterator[list[SquadExample]]:
    """Examples in lists, each of about `BLOCK_TOKENS` tokens in its windows, more only where one alone has more."""
    repeats = -(-settings.max_seq_length // settings.doc_stride)
    block: list[SquadExample] = []
    tokens = 0
    for example in examples:
        length = len(example.document.text)
        more = settings.max_query_length + length * (repeats if length > settings.max_seq_length else 1)
        if block and tokens + more > BLOCK_TOKENS:
            yield block
            block, tokens = [], 0
        block.append(example)
        tokens += more
    if block:
        yield block


def _windows(
    tokenizer: Tokenizer,
    examples: Sequence[SquadExample],
    settings: WindowSettings,
    training: bool,
    first_example: int,
    first_id: int,
) -> Windows:
    """The windows of a block, laid end to end."""
    distinct: dict[int, Document] = {id(example.document): example.document for example in examples}
    numbers = {key: number for number, key in enumerate(distinct)}
    which = np.array([numbers[id(example.document)] for example in examples], np.int64)  # [E]
    documents = TokenizedDocuments.of(tokenizer, list(distinct.values()))
    query_ids, query_starts = tokenizer.encode_batch([example.question for example in examples])

    # Of each example, [E].
    full_queries = np.diff(query_starts)
    queries = np.minimum(full_queries, settings.max_query_length)
    tokens = np.diff(documents.starts)[which]
    rooms = settings.max_seq_length - queries - 3
    steps = np.minimum(rooms, settings.doc_stride)
    counts = 1 + np.maximum(0, -((rooms - tokens) // steps))

    # Of each window, [N].
    of = np.repeat(np.arange(len(examples)), counts)
    begins = within(counts) * steps[of]
    lengths = np.minimum(tokens[of] - begins, rooms[of])
    starts = offsets(queries[of] + lengths + 3)
    firsts = starts[:-1] + queries[of] + 2

    ids = np.empty(starts[-1], tokenizer.dtype)
    ids[starts[:-1]] = tokenizer.cls_id
    ids[firsts - 1] = ids[starts[1:] - 1] = tokenizer.sep_id
    ids[_runs(starts[:-1] + 1, queries[of])] = query_ids[_runs(query_starts[:-1][of], queries[of])]
    places, sources = _runs(firsts, lengths), _runs(documents.starts[:-1][which[of]] + begins, lengths)
    ids[places] = documents.ids[sources]

    words, is_max_context = np.zeros(0, np.int32), np.zeros(0, np.bool_)
    positions, is_impossible = np.zeros((0, 2), np.int64), np.zeros(0, np.bool_)
    if training:
        spans = documents.answer_spans(tokenizer, examples, which, settings.tighten_by_characters)[of]
        inside = (spans[:, 0] >= begins) & (spans[:, 1] < begins + lengths)
        positions = np.where(inside[:, None], spans + (firsts - starts[:-1] - begins)[:, None], 0)
        is_impossible = np.array([example.answer is None for example in examples])[of]
    else:
        words = np.full(len(ids), -1, np.int32)
        words[places] = documents.words[sources]
        is_max_context = np.zeros(len(ids), np.bool_)
        is_max_context[places] = _is_max_context(tokens[of], rooms[of], steps[of], counts[of], begins, lengths)
    return Windows(
        sequences=Sequences(ids, starts, firsts - starts[:-1], int((counts > 1).sum())),
        examples=first_example + of,
        unique_ids=first_id + np.arange(len(of)),
        doc_starts=begins,
        questions_cut=int((full_queries > queries).sum()),
        positions=positions,
        is_impossible=is_impossible,
        words=words,
        is_max_context=is_max_context,
    )


def _is_max_context(
    tokens: Ints, rooms: Ints, steps: Ints, counts: Ints, begins: Ints, lengths: Ints
) -> NDArray[np.bool_]:
    """Whether a document token counts in a window: for every token of every window, end to end.

    It counts in the one window that scores highest, of equals the first; the score is the smaller of the number of
    tokens to its left and to its right, plus a hundredth of the window's length. All windows but the last are equally
    long and `steps` apart, so the best of them is one of the two whose middles are nearest.

    Args:
        tokens, rooms, steps, counts: of each window's example, [N]: the tokens of the document, those that a window
            has room for, how far apart windows begin, how many there are.
        begins, lengths: of each window, [N]: its first token, and how many it has.
    """
    best = np.ones(int(lengths.sum()), np.bool_)
    several = np.repeat(counts > 1, lengths)
    own, place = begins[counts > 1], _runs(begins, lengths)[several]
    repeats = lengths[counts > 1]
    own, length, room, step, last = (
        np.repeat(a, repeats)
        for a in (own, tokens[counts > 1], rooms[counts > 1], steps[counts > 1], (counts[counts > 1] - 2))
    )
    # Twice as far, to stay with whole numbers: a window that begins at b has its middle at b + (room - 1) / 2.
    before = np.clip((2 * place - (room - 1)) // (2 * step), 0, last)
    # In the original's order, so that of equals the first wins.
    candidates = (before * step, np.minimum(before + 1, last) * step, (last + 1) * step)
    winner, highest = candidates[0], np.full(len(place), -np.inf)
    for begin in candidates:
        size = np.minimum(length - begin, room)
        left, right = place - begin, begin + size - 1 - place
        score = np.where((left >= 0) & (right >= 0), np.minimum(left, right) + 0.01 * size, -np.inf)
        better = score > highest
        winner, highest = np.where(better, begin, winner), np.where(better, score, highest)
    best[several] = winner == own
    return best


def _runs(begins: Ints, lengths: Ints) -> Ints:
    """begins[0], begins[0] + 1, ... for each run, end to end."""
    return np.repeat(begins, lengths) + within(lengths)
