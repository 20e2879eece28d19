"""Questions and documents as the sequences that the model reads: [CLS] question [SEP] window of the document [SEP].

The rules are exactly the original's (`convert_examples_to_features` in
https://github.com/google-research/bert/blob/master/run_squad.py). Many questions are processed at a time, and a
document is tokenized once for all of its questions.

Shapes: E examples, D documents, N windows, T tokens of all windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.data.batch import PackedBatch, pack
from bertworks.data.sequences import Sequences
from bertworks.errors import InputError
from bertworks.ragged import runs, starts, within
from bertworks.tasks.squad.documents import Document, Ints, SquadExample, TokenizedDocuments
from bertworks.text.tokenizer import Tokenizer

# The number of the first window of a file.
FIRST_UNIQUE_ID = 1_000_000_000

# How many tokens the windows that are made together have at most, estimated from the number of characters.
BLOCK_TOKENS = 1 << 21


@dataclass(frozen=True)
class WindowSettings:
    """The flags that shape windows.

    Attributes:
        tighten_by_characters: in training, an answer is the tokens of its own characters. The original looks for the
            answer's tokens in the words that the answer touches, and takes the first match. A Chinese paragraph is one
            word, in which the first match is often the wrong one.

    Raises:
        InputError: a window has no room for a token of a document, or windows never end.
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
    """The windows of consecutive examples of a file, in order. An example has one window or more.

    Fields for training are empty in prediction; fields for prediction are empty in training.

    Attributes:
        sequences: N sequences of T tokens; segment 0 is [CLS] question [SEP].
        examples: [N]; the number of each window's example, from 0 on in the file.
        unique_ids: [N]; consecutive in the file.
        doc_starts: [N]; the number of the window's first document token in its document.
        questions_cut: how many questions lost tokens to --max_query_length.
        positions: training: [N, 2]; the answer's first and last token in the sequence. Both are 0 if there is no
            answer, or if the window does not have all of it.
        is_impossible: training: [N]; whether the document has no answer.
        words: prediction: [T] int32; the number of each document token's word in `Document.words`, -1 elsewhere.
        is_max_context: prediction: [T]; whether no other window shows more context of this document token.
    """

    sequences: Sequences
    examples: Ints
    unique_ids: Ints
    doc_starts: Ints
    questions_cut: int
    positions: Ints = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    is_impossible: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    words: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    is_max_context: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __len__(self) -> int:
        """N."""
        return len(self.examples)

    def tokens_of(self, examples: Ints) -> Ints:
        """Return the number of tokens of each of these windows."""
        return self.sequences.lengths[examples]

    def packed(self, examples: Ints, first_key: int) -> PackedBatch:
        """Pack windows for training.

        Their dropout keys are their numbers in the step, `sequence_labels` [B, 2] are start and end.
        """
        ids, segments, lengths = self.sequences.take(examples)
        keys = first_key + np.arange(len(examples))
        return pack(ids, segments, lengths, sequence_labels=self.positions[examples], dropout_keys=keys, filled=True)

    @classmethod
    def joined(cls, parts: Sequence[Windows]) -> Windows:
        """Join at least one part, one after the other."""
        names = ("examples", "unique_ids", "doc_starts", "positions", "is_impossible", "words", "is_max_context")
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        questions_cut = sum(part.questions_cut for part in parts)
        return cls(Sequences.joined([part.sequences for part in parts]), questions_cut=questions_cut, **arrays)


# Consecutive examples of a file with all of their windows.
ExampleWindows = tuple[list[SquadExample], Windows]


def make_windows(
    tokenizer: Tokenizer, examples: Iterable[SquadExample], settings: WindowSettings, training: bool
) -> Iterator[ExampleWindows]:
    """Make the windows of a file's examples, some thousand windows at a time.

    Raises:
        InputError: a document has no tokens; the vocabulary lacks [CLS] or [SEP].
    """
    first_example, first_id = 0, FIRST_UNIQUE_ID
    for block in _blocks(examples, settings):
        windows = _block_windows(tokenizer, block, settings, training, first_example, first_id)
        yield block, windows
        first_example += len(block)
        first_id += len(windows)


def _blocks(examples: Iterable[SquadExample], settings: WindowSettings) -> Iterator[list[SquadExample]]:
    """Group examples into lists whose windows have about `BLOCK_TOKENS` tokens; a single example may have more."""
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


def _block_windows(
    tokenizer: Tokenizer,
    examples: Sequence[SquadExample],
    settings: WindowSettings,
    training: bool,
    first_example: int,
    first_id: int,
) -> Windows:
    """Make the windows of a block, laid end to end."""
    distinct: dict[int, Document] = {id(example.document): example.document for example in examples}
    numbers = {key: number for number, key in enumerate(distinct)}
    which = np.array([numbers[id(example.document)] for example in examples], np.int64)  # [E]
    documents = TokenizedDocuments.of(tokenizer, list(distinct.values()))
    query_ids, query_starts = tokenizer.encode_batch([example.question for example in examples])

    # For each example, [E].
    full_queries = np.diff(query_starts)
    queries = np.minimum(full_queries, settings.max_query_length)
    tokens = np.diff(documents.starts)[which]
    rooms = settings.max_seq_length - queries - 3
    steps = np.minimum(rooms, settings.doc_stride)
    counts = 1 + np.maximum(0, -((rooms - tokens) // steps))

    # For each window, [N].
    of = np.repeat(np.arange(len(examples)), counts)
    doc_starts = within(counts) * steps[of]
    lengths = np.minimum(tokens[of] - doc_starts, rooms[of])
    edges = starts(queries[of] + lengths + 3)
    firsts = queries[of] + 2

    ids = np.empty(edges[-1], tokenizer.dtype)
    ids[edges[:-1]] = tokenizer.cls_id
    ids[edges[:-1] + firsts - 1] = ids[edges[1:] - 1] = tokenizer.sep_id
    ids[runs(edges[:-1] + 1, queries[of])] = query_ids[runs(query_starts[of], queries[of])]
    targets, sources = runs(edges[:-1] + firsts, lengths), runs(documents.starts[which[of]] + doc_starts, lengths)
    ids[targets] = documents.ids[sources]

    more: dict[str, Any]
    if training:
        spans = documents.answer_spans(tokenizer, examples, which, settings.tighten_by_characters)[of]
        inside = (spans[:, 0] >= doc_starts) & (spans[:, 1] < doc_starts + lengths)
        positions = np.where(inside[:, None], spans + (firsts - doc_starts)[:, None], 0)
        is_impossible = np.array([example.answer is None for example in examples])[of]
        more = {"positions": positions, "is_impossible": is_impossible}
    else:
        words = np.full(len(ids), -1, np.int32)
        words[targets] = documents.words[sources]
        is_max_context = np.zeros(len(ids), np.bool_)
        is_max_context[targets] = _is_max_context(tokens[of], rooms[of], steps[of], counts[of], doc_starts, lengths)
        more = {"words": words, "is_max_context": is_max_context}
    return Windows(
        sequences=Sequences(ids, edges, firsts, int((counts > 1).sum())),
        examples=first_example + of,
        unique_ids=first_id + np.arange(len(of)),
        doc_starts=doc_starts,
        questions_cut=int((full_queries > queries).sum()),
        **more,
    )


def _is_max_context(
    tokens: Ints, rooms: Ints, steps: Ints, counts: Ints, doc_starts: Ints, lengths: Ints
) -> NDArray[np.bool_]:
    """Tell for every document token of every window, end to end, whether this window has the token's maximum context.

    That is the window with the highest score, the first of equal ones. The score is the smaller number of tokens to the
    left and to the right, plus a hundredth of the window's length. All windows but the last are equally long and
    `steps` apart, so the best of them is one of the two with the nearest middles.

    Args:
        tokens, rooms, steps, counts: for each window's example, [N]: the tokens of the document, the document tokens
            that fit into a window, the distance between windows, the number of windows.
        doc_starts, lengths: [N]; the first document token of each window, and how many it has.
    """
    result = np.ones(int(lengths.sum()), np.bool_)
    several = counts > 1
    lengths_of_several = lengths[several]
    own, length, room, step, last = (
        np.repeat(values[several], lengths_of_several) for values in (doc_starts, tokens, rooms, steps, counts - 2)
    )
    token = runs(doc_starts[several], lengths_of_several)
    # A window that begins at b has its middle at b + (room - 1) / 2; twice as far, all numbers are whole.
    before = np.clip((2 * token - (room - 1)) // (2 * step), 0, last)
    # In the original's order, so that the first of equal windows wins.
    candidates = (before * step, np.minimum(before + 1, last) * step, (last + 1) * step)
    best, highest = candidates[0], np.full(len(token), -np.inf)
    for begin in candidates:
        size = np.minimum(length - begin, room)
        left, right = token - begin, begin + size - 1 - token
        score = np.where((left >= 0) & (right >= 0), np.minimum(left, right) + 0.01 * size, -np.inf)
        better = score > highest
        best, highest = np.where(better, begin, best), np.where(better, score, highest)
    result[np.repeat(several, lengths)] = best == own
    return result
