"""Words that have tags to the sequences that a model reads, and its tags back to places in a text.

A word's tag is read, in training and prediction, at the first of its pieces, as in the BERT paper (section 5.3). A word
of which nothing is left, such as a control character, becomes [UNK], so that every word has a row. Sentences longer
than a sequence lose their end, or are read through sliding windows; each word's tag is then read in the window where it
sees most of its neighbours, so that every word counts once and the words of a window are next to each other.

Shapes: S sentences, W words of all of them, N sequences, T tokens, M words that are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.ragged import within
from bertworks.tasks.ner.entities import spans
from bertworks.text import basic, unicode14
from bertworks.text.tokenizer import Tokenizer

Unit = Literal["word", "character"]

# Over the kinds of characters: c Chinese, p punctuation, o any other that is no white space.
_WORD = re.compile(rb"[cp]|o(?:[op]*o)?")
_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.){2,}|[A-Z]\.")
_CLITICS = ("'s", "’s")


@dataclass(frozen=True)
class AlignedWords:
    """Sequences [CLS] pieces [SEP], laid end to end.

    Attributes:
        ids: [T], in the tokenizer's type.
        starts: [N + 1]; sequence i is ids[starts[i]:starts[i + 1]].
        rows: [M]; the first piece of each word that is read, as a place in its sequence.
        row_starts: [N + 1]; the words read in sequence i are number row_starts[i], ..., row_starts[i + 1] - 1 of M.
        words: [M]; which of the W words each of them is, ascending.
        word_starts: [S + 1]; where in the W words each sentence begins.
    """

    ids: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    row_starts: NDArray[np.int64]
    words: NDArray[np.int64]
    word_starts: NDArray[np.int64]

    def __len__(self) -> int:
        """N."""
        return len(self.starts) - 1

    @property
    def cut(self) -> int:
        """How many words no sequence has room for."""
        return int(self.word_starts[-1]) - len(self.words)

    def by_sentence(self, tags: NDArray[np.int64], outside: int = 0) -> list[NDArray[np.int64]]:
        """Tags of the words that are read [M] as those of each sentence; words that were cut get `outside`."""
        of_all = np.full(int(self.word_starts[-1]), outside, np.int64)
        of_all[self.words] = tags
        return [of_all[begin:end] for begin, end in pairwise(self.word_starts.tolist())]


class Window(NamedTuple):
    """A part of a sentence: words first, ..., last - 1 of it, of which first_read, ..., last_read - 1 are read."""

    first: int
    last: int
    first_read: int
    last_read: int


def align(
    tokenizer: Tokenizer, sentences: Sequence[Sequence[str]], max_seq_length: int, stride: int | None = None
) -> AlignedWords:
    """The sequences of tagged sentences, in their order.

    Args:
        tokenizer: the model's; it remembers the words.
        sentences: the words of each; a sentence without words is the sequence [CLS] [SEP].
        max_seq_length: the most tokens of a sequence.
        stride: None cuts what is longer; otherwise so many pieces further on the next window begins.

    Raises:
        InputError: there is no room for a single piece, or the stride is none.
    """
    room = max_seq_length - 2
    if room < 1:
        raise InputError(
            f"--max_seq_length={max_seq_length}: must be at least 3, for [CLS], a piece of a word and [SEP]"
        )
    pieces, counts = _pieces(tokenizer, sentences, room)
    word_starts = _offsets([len(sentence) for sentence in sentences])
    piece_starts = _offsets(counts)
    sequences: list[Window] = []
    for first, last in pairwise(word_starts.tolist()):
        fits = piece_starts[last] - piece_starts[first] <= room
        if fits or stride is None:
            kept = last if fits else int(np.searchsorted(piece_starts, piece_starts[first] + room, "right")) - 1
            sequences.append(Window(first, kept, first, kept))
        else:
            own = windows(counts[first:last], room, stride)
            sequences += [Window(*(first + place for place in window)) for window in own]
    edges = np.array(sequences, np.int64).reshape(-1, 4)
    begins, ends = piece_starts[edges[:, 0]], piece_starts[edges[:, 1]]
    read = edges[:, 3] - edges[:, 2]
    words = np.repeat(edges[:, 2], read) + within(read)
    starts = _offsets(ends - begins + 2)
    ids = np.empty(starts[-1], tokenizer.dtype)
    ids[starts[:-1]], ids[starts[1:] - 1] = tokenizer.cls_id, tokenizer.sep_id
    inner = within(ends - begins)
    ids[np.repeat(starts[:-1] + 1, ends - begins) + inner] = pieces[np.repeat(begins, ends - begins) + inner]
    rows = piece_starts[words] - np.repeat(begins, read) + 1
    return AlignedWords(ids, starts, rows, _offsets(read), words, word_starts)


def windows(lengths: NDArray[np.int64], room: int, stride: int) -> list[Window]:
    """Windows over one sentence, in order; those in which nothing would be read are left out.

    A window begins and ends between words. Each word is read where the smaller of what stands before and after it in
    the window is largest; of equal windows, in the first (run_squad.py's `_check_is_max_context`).

    Args:
        lengths: pieces of each word, at least 1 and at most `room`.
        room: the most pieces of a window.
        stride: the next window begins at the first word that is at least so many pieces further on, but leaves no gap.
    """
    if stride < 1:
        raise InputError(f"--doc_stride={stride}: must be at least 1")
    ends = np.cumsum(lengths)
    begins = ends - lengths
    owners, context = np.zeros(len(lengths), np.int64), np.full(len(lengths), -1, np.int64)
    edges: list[tuple[int, int]] = []
    first = last = 0
    while last < len(lengths):
        first = max(first + 1, min(last, int(np.searchsorted(begins, begins[first] + stride)))) if edges else 0
        last = int(np.searchsorted(ends, begins[first] + room, "right"))
        inside = slice(first, last)
        seen = np.minimum(begins[inside] - begins[first], ends[last - 1] - ends[inside])
        owners[inside] = np.where(seen > context[inside], len(edges), owners[inside])
        context[inside] = np.maximum(seen, context[inside])
        edges.append((first, last))
    # A word's best window never lies before that of the word before it, so the words of a window are neighbours.
    cuts = np.searchsorted(owners, np.arange(len(edges) + 1)).tolist()
    return [
        Window(*edge, begin, end) for edge, begin, end in zip(edges, cuts[:-1], cuts[1:], strict=True) if begin < end
    ]


class Entity(NamedTuple):
    """An entity of a text: its type, and that it is characters begin, ..., end - 1, which are `text`."""

    type: str
    begin: int
    end: int
    text: str


def words_of(text: str, unit: Unit = "word") -> list[tuple[int, int]]:
    """Where the words of a text are, for a model that was trained on words, or on characters.

    Words are what the CoNLL files have, as far as simple rules go: white space separates them, each punctuation mark at
    the beginning or end of one stands alone, and so do each Chinese character and "'s". Punctuation inside stays
    ("1.5", "re-elected"), and so does the full stop of an abbreviation ("U.S.", "J.").

    Returns:
        begin and end of each, in characters. Characters are all that the text has, white space among them.
    """
    if unit == "character":
        return [(i, i + 1) for i in range(len(text))]
    kinds = unicode14.kinds().take(basic.code_points(text))
    choices = [(kinds & unicode14.SPACE) != 0, (kinds & unicode14.CJK) != 0, (kinds & unicode14.PUNCTUATION) != 0]
    shape = np.select(choices, [ord(" "), ord("c"), ord("p")], ord("o")).astype(np.uint8).tobytes()
    places: list[tuple[int, int]] = []
    for match in _WORD.finditer(shape):
        begin, end = match.span()
        if places and places[-1][1] == begin and _ABBREVIATION.fullmatch(text, places[-1][0], end):
            places[-1] = (places[-1][0], end)
            continue
        clitic = end - 2 if end - begin > 2 and text[end - 2 : end] in _CLITICS else end
        places.append((begin, clitic))
        if clitic < end:
            places.append((clitic, end))
    return places


def entities(text: str, places: Sequence[tuple[int, int]], tags: Sequence[str]) -> list[Entity]:
    """The entities of a text, from the places of its words and their tags."""
    found = ((kind, places[first][0], places[end - 1][1]) for kind, first, end in spans(tags))
    return [Entity(kind, begin, end, text[begin:end]) for kind, begin, end in found]


def _pieces(
    tokenizer: Tokenizer, sentences: Iterable[Sequence[str]], room: int
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64]]:
    """The pieces of all words, end to end, and how many each has [W]: at least one, and no more than there is room."""
    numbers: dict[str, int] = {}
    which = np.array([numbers.setdefault(word, len(numbers)) for word in chain.from_iterable(sentences)], np.int64)
    ids, starts = tokenizer.encode_batch(list(numbers))
    lengths = np.diff(starts)
    if not lengths.all():
        ids = np.insert(ids, starts[:-1][lengths == 0], tokenizer.unk_id)
        lengths = np.maximum(lengths, 1)
        starts = _offsets(lengths)
    counts = np.minimum(lengths, room)[which]
    return ids[np.repeat(starts[which], counts) + within(counts)], counts


def _offsets(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Where runs of these lengths begin when they lie end to end, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(lengths, np.int64))])
