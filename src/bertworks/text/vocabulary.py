"""Learn a WordPiece vocabulary from word counts.

The learner of the released vocabularies was never published. This one is byte-pair encoding (Sennrich, Haddow and
Birch, "Neural Machine Translation of Rare Words with Subword Units", 2016) in the form of WordPiece, as is Hugging
Face's `WordPieceTrainer`: a word begins as its characters, all but the first marked with "##", and the adjacent pair of
pieces that occurs most often becomes a piece, again and again.

Ties go to the older pair: first the pair whose younger piece is older, then the pair whose left piece is older, then
the pair whose right piece is older. A piece is older if its id is lower: characters by code point, the same with "##",
then pieces as they were learned. So the result depends only on the counts.

Several pairs are merged at a time, which is faster and gives the same result. In order of rank, pairs are taken as long
as none begins with the piece that another ends with. Merging one of them does not change the count of another, and it
cannot create a pair that ranks before another: a new pair (x, ab) occurs at most as often as (x, a) did, which ranks
after all that were taken (or it would have ended the batch), and in a tie the pair with the newest piece is last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush, heapreplace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.ragged import starts
from bertworks.text.basic import code_points
from bertworks.text.word_counts import MAX_WORD_CHARACTERS
from bertworks.text.wordpiece import CONTINUES, WordPiece

# The default limits: this many characters, or more if they are needed to cover this share of the text (as in Chinese).
ALPHABET = 1000
CHARACTER_COVERAGE = 0.9995

_BORDER = -1  # between words
_GONE = -2  # a piece that was merged into its left neighbour
_RIGHT = (1 << 32) - 1

Integers = NDArray[np.int64]


def special_tokens(unused_tokens: int = 99) -> list[str]:
    """Return the first tokens of a vocabulary, in the order of the released files."""
    return ["[PAD]", *(f"[unused{n}]" for n in range(unused_tokens)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def learn_vocabulary(
    word_counts: Mapping[str, int],
    vocab_size: int,
    *,
    min_frequency: int = 2,
    alphabet_limit: int | None = None,
    unused_tokens: int = 99,
    progress: Callable[[int], object] = lambda pieces: None,
) -> list[str]:
    """Learn a vocabulary. Its order is: special tokens, characters, their "##" forms, then merges as they are learned.

    Args:
        word_counts: how often each word occurs. Words with a character outside the alphabet are not used, because they
            become [UNK].
        vocab_size: the number of pieces. There are fewer if no pair is left that occurs `min_frequency` times.
        min_frequency: how often a pair of pieces must occur to become a piece.
        alphabet_limit: the number of characters that are kept, the most frequent ones. None means `ALPHABET`, or as
            many more as cover `CHARACTER_COVERAGE` of the text. Each becomes a piece, and another with "##" if it
            occurs inside a word.
        unused_tokens: the number of [unusedN] tokens after [PAD].
        progress: called with the number of pieces that were added.

    Raises:
        InputError: there are no words, or `vocab_size` is too small for the special tokens and the alphabet.
    """
    words = _Words(word_counts)
    first, inside = words.alphabet(alphabet_limit)
    pieces = special_tokens(unused_tokens)
    specials = len(pieces)
    pieces += [chr(code) for code in first] + [CONTINUES + chr(code) for code in inside]
    if len(pieces) > vocab_size:
        raise InputError(
            f"--vocab_size={vocab_size}: too few for {specials} special tokens, {len(first)} characters and "
            f'{len(inside)} characters with "##"; raise it to at least {len(pieces)}, or lower --alphabet_limit or '
            f"--unused_tokens"
        )
    progress(len(pieces))
    merges = _Merges(*words.symbols(first, inside, specials), min_frequency)
    ids = {piece: number for number, piece in enumerate(pieces)}
    while len(pieces) < vocab_size and (batch := merges.batch(pieces, ids, vocab_size - len(pieces))):
        new = [product for product in batch if product not in ids]
        ids.update(zip(new, range(len(pieces), vocab_size), strict=False))
        pieces += new
        merges.merge(list(batch.values()), [ids[product] for product in batch])
        progress(len(new))
    return pieces


def tokens_per_word(
    word_counts: Mapping[str, int], vocabulary: Sequence[str], max_input_chars_per_word: int = MAX_WORD_CHARACTERS
) -> float:
    """Return how many tokens a word becomes on average."""
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    wordpiece = WordPiece(ids, "[UNK]", max_input_chars_per_word, "the vocabulary")
    tokens = sum(count * len(wordpiece.ids(word)) for word, count in word_counts.items())
    return tokens / sum(word_counts.values())


class _Words:
    """The code points of all words, laid end to end, in sorted order of words."""

    def __init__(self, word_counts: Mapping[str, int]) -> None:
        words = sorted(word for word, count in word_counts.items() if word and count > 0)
        if not words:
            raise InputError("--input_file: has no words to learn from")
        self.lengths = np.array([len(word) for word in words], np.int64)
        self.counts = np.array([word_counts[word] for word in words], np.int64)
        self.codes = code_points("".join(words))
        self.begins = starts(self.lengths)[:-1]

    def alphabet(self, limit: int | None) -> tuple[list[int], list[int]]:
        """Return the characters that are kept, and those of them that occur inside a word, each by code point."""
        frequency = np.zeros(0x110000, np.int64)
        np.add.at(frequency, self.codes, np.repeat(self.counts, self.lengths))
        seen = np.flatnonzero(frequency)
        ranked = seen[np.argsort(-frequency[seen], kind="stable")]
        if limit is None:
            covered = np.cumsum(frequency[ranked]) / frequency.sum()
            limit = max(ALPHABET, int(np.searchsorted(covered, CHARACTER_COVERAGE)) + 1)
        kept = np.sort(ranked[:limit])
        inside = np.delete(self.codes, self.begins)
        return kept.tolist(), np.intersect1d(kept, inside).tolist()

    def symbols(self, first: list[int], inside: list[int], specials: int) -> tuple[NDArray[np.int32], Integers]:
        """Return the words as ids of characters, with `_BORDER` around each word, and for each id the word's count.

        Words of one character and words with characters outside the alphabet are left out.
        """
        first_id, inside_id = np.full((2, 0x110000), _GONE, np.int32)
        first_id[first] = specials + np.arange(len(first))
        inside_id[inside] = specials + len(first) + np.arange(len(inside))
        ids = inside_id[self.codes]
        ids[self.begins] = first_id[self.codes[self.begins]]
        useful = (np.minimum.reduceat(ids, self.begins) >= 0) & (self.lengths > 1)
        borders = starts(self.lengths[useful] + 1)
        symbols = np.full(borders[-1] + 1, _BORDER, np.int32)
        counts = np.zeros(len(symbols), np.int64)
        is_character = np.ones(len(symbols), bool)
        is_character[borders] = False
        symbols[is_character] = ids[np.repeat(useful, self.lengths)]
        counts[is_character] = np.repeat(self.counts[useful], self.lengths[useful])
        return symbols, counts


class _Pairs(NamedTuple):
    """Pairs of neighbours as integers left << 32 | right, and the positions of their left pieces."""

    pairs: Integers
    positions: Integers


class _Merges:
    """Words as linked lists of pieces in arrays, with the count and the positions of every pair of neighbours."""

    def __init__(self, symbols: NDArray[np.int32], counts: Integers, min_frequency: int) -> None:
        self._symbols = symbols
        self._weights = counts
        self._next = np.arange(1, len(symbols) + 1)
        self._previous = np.arange(-1, len(symbols) - 1)
        self._min_frequency = max(min_frequency, 1)
        self._counts: dict[int, int] = {}
        self._positions: dict[int, list[Integers]] = {}
        # (-count, the younger piece, pair), the pair that ranks first on top. If a count falls, its entry is corrected
        # when it comes to the top. If a count rises, there is a second, higher entry.
        self._heap: list[tuple[int, int, int]] = []
        nothing = np.zeros(0, np.int64)
        self._change(_Pairs(nothing, nothing), self._pairs(np.arange(len(symbols) - 1)))

    def batch(self, pieces: list[str], ids: Mapping[str, int], room: int) -> dict[str, int]:
        """Return the next pieces, at most `room`, and the pairs that they are made of; none if no pair is frequent.

        Two kinds of pairs end a batch, because they make pairs that may rank before those that follow: two equal pieces
        ("a a a" becomes "aa a"), and a pair whose product exists already because another pair made it.
        """
        taken: dict[str, int] = {}
        lefts: set[int] = set()
        rights: set[int] = set()
        while self._heap and len(taken) < room:
            rank, younger, pair = self._heap[0]
            count = self._counts.get(pair, 0)
            if count < self._min_frequency:
                heappop(self._heap)
                continue
            if count < -rank:
                heapreplace(self._heap, (-count, younger, pair))
                continue
            left, right = pair >> 32, pair & _RIGHT
            product = pieces[left] + pieces[right].removeprefix(CONTINUES)
            known = product in ids
            if taken and (known or product in taken or left in rights or right in lefts):
                break
            taken[product] = pair
            heappop(self._heap)
            if known or left == right:
                break
            lefts.add(left)
            rights.add(right)
        return taken

    def merge(self, pairs: list[int], products: list[int]) -> None:
        """Replace each pair by its product. No pair may begin with the piece that another ends with."""
        positions = [np.concatenate(self._positions.pop(pair)) for pair in pairs]
        lengths = [len(part) for part in positions]
        at = np.concatenate(positions)
        made = np.repeat(np.array(products, np.int32), lengths)
        # A position stays in its list if the merge of a neighbour has changed the pair there.
        right = self._next[at]
        pair = self._symbols[at].astype(np.int64) << 32 | self._symbols[right]
        order = np.flatnonzero(pair == np.repeat(np.array(pairs), lengths))
        order = order[np.argsort(at[order])]
        at, made = at[order], made[order]
        alternate = _alternate(self._next[at[:-1]] == at[1:])
        at, made = at[alternate], made[alternate]
        right = self._next[at]
        before = self._pairs(_distinct(np.concatenate((self._previous[at], at, right))))
        self._symbols[at] = made
        self._symbols[right] = _GONE
        self._next[at] = self._next[right]
        self._previous[self._next[at]] = at
        self._change(before, self._pairs(_distinct(np.concatenate((self._previous[at], at)))))

    def _pairs(self, at: Integers) -> _Pairs:
        """Return the pairs that begin at some positions, without borders."""
        left, right = self._symbols[at].astype(np.int64), self._symbols[self._next[at]]
        inside = (left >= 0) & (right >= 0)
        return _Pairs((left << 32 | right)[inside], at[inside])

    def _change(self, removed: _Pairs, added: _Pairs) -> None:
        """Update counts, positions and heap after pairs were removed and added."""
        pairs = np.concatenate((removed.pairs, added.pairs))
        changes = np.concatenate((-self._weights[removed.positions], self._weights[added.positions]))
        order, distinct, edges = _grouped(pairs)
        changes = np.add.reduceat(changes[order], edges[:-1])
        for pair, change in zip(distinct.tolist(), changes.tolist(), strict=True):
            count = self._counts.get(pair, 0) + change
            self._counts[pair] = count
            if change > 0 and count >= self._min_frequency:
                heappush(self._heap, (-count, max(pair >> 32, pair & _RIGHT), pair))
            elif not count:
                del self._counts[pair]
        order, distinct, edges = _grouped(added.pairs)
        positions = added.positions[order]
        for pair, (begin, end) in zip(distinct.tolist(), pairwise(edges.tolist()), strict=True):
            self._positions.setdefault(pair, []).append(positions[begin:end])


def _alternate(linked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Choose the positions to merge if some overlap with the next one, as in "a a a", which `linked` tells."""
    if not linked.any():
        return np.ones(len(linked) + 1, bool)
    index = np.arange(len(linked) + 1)
    begins = np.maximum.accumulate(np.where(np.concatenate(([False], linked)), 0, index))
    kept: NDArray[np.bool_] = (index - begins) % 2 == 0
    return kept


def _grouped(values: Integers) -> tuple[Integers, Integers, Integers]:
    """Return an order that puts equal values together, the distinct values (none negative), and their edges in it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    edges = np.append(np.flatnonzero(np.diff(ordered, prepend=-1)), len(values))
    return order, ordered[edges[:-1]], edges


def _distinct(values: Integers) -> Integers:
    """Return the distinct values, none negative, sorted."""
    values = np.sort(values)
    return values[np.flatnonzero(np.diff(values, prepend=-1))]
