"""Build the sequences that a tagger reads from sentences of words.

A word is tagged at its first piece, as in the BERT paper (section 5.3). A word without pieces, such as a control
character, becomes [UNK], so that every word is tagged. Sentences longer than a sequence lose their end, or are read
through sliding windows. A word in several windows is tagged only in the window with the most context around it.

Shapes: S sentences, W words of all of them, N sequences, T tokens, M words that are tagged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bertworks import ragged
from bertworks.errors import InputError
from bertworks.text.tokenizer import Tokenizer

Number = TypeVar("Number", np.int64, np.float32)


@dataclass(frozen=True)
class AlignedWords:
    """Sequences [CLS] pieces [SEP], laid end to end.

    Attributes:
        ids: [T], in the tokenizer's type.
        starts: [N + 1]; sequence i is ids[starts[i]:starts[i + 1]].
        rows: [M]; the position in its sequence of the first piece of each tagged word.
        row_starts: [N + 1]; the words tagged in sequence i are number row_starts[i], ..., row_starts[i + 1] - 1 of M.
        words: [M], ascending; which of the W words each of them is.
        word_starts: [S + 1]; where each sentence begins in the W words.
        seen: [N, 2]; sequence i has the words seen[i, 0], ..., seen[i, 1] - 1, tagged there or not.
        counts: [W]; the number of pieces of each word.
    """

    ids: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    row_starts: NDArray[np.int64]
    words: NDArray[np.int64]
    word_starts: NDArray[np.int64]
    seen: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        """N."""
        return len(self.starts) - 1

    @property
    def cut(self) -> int:
        """How many words are in no sequence."""
        return int(self.word_starts[-1]) - len(self.words)

    @property
    def tagged(self) -> NDArray[np.int64]:
        """How many words of each sentence are tagged, in one sequence or several. Shape [S]."""
        return np.diff(np.searchsorted(self.words, self.word_starts))

    @cached_property
    def edges(self) -> NDArray[np.bool_]:
        """Whether the tagged words of each sequence begin, and end, where those of a sentence do. Shape [N, 2].

        Where a sentence is cut, its last tagged word is not its end.
        """
        found = np.ones((len(self), 2), np.bool_)
        with_words = np.flatnonzero(np.diff(self.row_starts))
        firsts, lasts = self.words[self.row_starts[with_words]], self.words[self.row_starts[with_words + 1] - 1]
        found[with_words] = np.stack([np.isin(firsts, self.word_starts), np.isin(lasts + 1, self.word_starts)], 1)
        return found

    def sequences_of(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the sequence in which each of these words is tagged; none of them may be cut."""
        numbers = np.searchsorted(self.words, words)
        return np.searchsorted(self.row_starts, numbers, "right") - 1

    def by_sentence(self, values: NDArray[Number], outside: float = 0) -> list[NDArray[Number]]:
        """Split the values of the M words by sentence; words that were cut get the value `outside`."""
        of_all = np.full(int(self.word_starts[-1]), outside, values.dtype)
        of_all[self.words] = values
        return [of_all[begin:end] for begin, end in pairwise(self.word_starts.tolist())]


class SentenceWindow(NamedTuple):
    """A part of a sentence: words first, ..., last - 1, of which first_read, ..., last_read - 1 are tagged."""

    first: int
    last: int
    first_read: int
    last_read: int


def align(
    tokenizer: Tokenizer, sentences: Sequence[Sequence[str]], max_seq_length: int, stride: int | None = None
) -> AlignedWords:
    """Build the sequences of sentences, in their order.

    Args:
        tokenizer: the model's.
        sentences: the words of each; a sentence without words is the sequence [CLS] [SEP].
        max_seq_length: the most tokens of a sequence.
        stride: how many pieces after a window the next one begins; None cuts long sentences.

    Raises:
        InputError: there is no room for a piece, or the stride is below 1.
    """
    room = max_seq_length - 2
    if room < 1:
        raise InputError(
            f"--max_seq_length={max_seq_length}: must be at least 3, for [CLS], a piece of a word and [SEP]"
        )
    pieces, counts = _pieces(tokenizer, sentences, room)
    word_starts = ragged.starts([len(sentence) for sentence in sentences])
    piece_starts = ragged.starts(counts)
    sequences: list[SentenceWindow] = []
    for first, last in pairwise(word_starts.tolist()):
        end = min(last, int(np.searchsorted(piece_starts, piece_starts[first] + room, "right")) - 1)
        if end == last or stride is None:
            sequences.append(SentenceWindow(first, end, first, end))
        else:
            found = windows(counts[first:last], room, stride)
            sequences += [SentenceWindow(*(first + word for word in window)) for window in found]
    edges = np.array(sequences, np.int64).reshape(-1, 4)
    begins, read = piece_starts[edges[:, 0]], edges[:, 3] - edges[:, 2]
    lengths = piece_starts[edges[:, 1]] - begins
    words = ragged.runs(edges[:, 2], read)
    ids, starts = _with_special_tokens(tokenizer, pieces[ragged.runs(begins, lengths)], lengths)
    rows = piece_starts[words] - np.repeat(begins, read) + 1
    return AlignedWords(ids, starts, rows, ragged.starts(read), words, word_starts, edges[:, :2], counts)


def align_pieces(tokenizer: Tokenizer, sentences: Sequence[Sequence[str]]) -> AlignedWords:
    """Build the sequences of sentences whose words are pieces of the vocabulary; nothing is cut."""
    counts = np.array([len(sentence) for sentence in sentences], np.int64)
    word_starts, rows = ragged.starts(counts), ragged.within(counts) + 1
    ids, starts = _with_special_tokens(
        tokenizer, tokenizer.convert_tokens_to_ids(chain.from_iterable(sentences)), counts
    )
    seen, words = np.stack([word_starts[:-1], word_starts[1:]], 1), np.arange(len(rows))
    return AlignedWords(ids, starts, rows, word_starts, words, word_starts, seen, np.ones_like(words))


def windows(lengths: NDArray[np.int64], room: int, stride: int) -> list[SentenceWindow]:
    """Return the windows over one sentence, in order, without those in which no word is tagged.

    A window begins and ends between words. The context of a word in a window is the smaller of the numbers of pieces
    before and after it. A word is tagged where its context is largest, and in the first of equal windows
    (run_squad.py's `_check_is_max_context`).

    Args:
        lengths: pieces of each word, from 1 to `room`.
        room: the most pieces of a window.
        stride: the next window begins at the first word at least so many pieces further on, but leaves no gap.
    """
    if stride < 1:
        raise InputError(f"--doc_stride={stride}: must be at least 1")
    edges_of_words = ragged.starts(lengths)
    begins, ends = edges_of_words[:-1], edges_of_words[1:]
    best, context = np.zeros(len(lengths), np.int64), np.full(len(lengths), -1, np.int64)
    edges: list[tuple[int, int]] = []
    first = last = 0
    while last < len(lengths):
        first = max(first + 1, min(last, int(np.searchsorted(begins, begins[first] + stride)))) if edges else 0
        last = int(np.searchsorted(ends, begins[first] + room, "right"))
        inside = slice(first, last)
        seen = np.minimum(begins[inside] - begins[first], ends[last - 1] - ends[inside])
        best[inside] = np.where(seen > context[inside], len(edges), best[inside])
        context[inside] = np.maximum(seen, context[inside])
        edges.append((first, last))
    # The best window of a word is never before that of the word before it, so a window tags neighbouring words.
    cuts = np.searchsorted(best, np.arange(len(edges) + 1)).tolist()
    reads = zip(edges, pairwise(cuts), strict=True)
    return [SentenceWindow(*edge, *read) for edge, read in reads if read[0] < read[1]]


def _with_special_tokens(
    tokenizer: Tokenizer, pieces: Sequence[int] | NDArray[np.unsignedinteger], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64]]:
    """Put [CLS] before and [SEP] after each run of pieces: the ids [T], and where the sequences start [N + 1]."""
    starts = ragged.starts(lengths + 2)
    ids = np.empty(starts[-1], tokenizer.dtype)
    ids[starts[:-1]], ids[starts[1:] - 1] = tokenizer.cls_id, tokenizer.sep_id
    ids[ragged.runs(starts[:-1] + 1, lengths)] = pieces
    return ids, starts


def _pieces(
    tokenizer: Tokenizer, sentences: Iterable[Sequence[str]], room: int
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64]]:
    """Return the pieces of all words, end to end, and how many each has [W], from 1 to `room`."""
    numbers: dict[str, int] = {}
    which = np.array([numbers.setdefault(word, len(numbers)) for word in chain.from_iterable(sentences)], np.int64)
    ids, starts = tokenizer.encode_batch(list(numbers))
    lengths = np.diff(starts)
    if not lengths.all():
        ids = np.insert(ids, starts[:-1][lengths == 0], tokenizer.unk_id)
        lengths = np.maximum(lengths, 1)
        starts = ragged.starts(lengths)
    counts = np.minimum(lengths, room)[which]
    return ids[ragged.runs(starts[which], counts)], counts
