"""The sequences through which a model reads a text or a pair, and which of the texts' pieces stand where in them.

Shapes: T tokens of all sequences, P pieces of all texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from bertworks.data.batch import PackedBatch, pack
from bertworks.data.sequences import Kept
from bertworks.tasks.explain.explanation import Contribution, Explanation, explained
from bertworks.tasks.explain.gradients import Attribution
from bertworks.text.offsets import Aligned
from bertworks.text.tokenizer import Tokenizer
from bertworks.text.wordpiece import CONTINUES

# The piece of a token that belongs to no text.
_SPECIAL = -1


@dataclass(frozen=True)
class ReadTexts:
    """One text or two, as a model reads them: in one sequence or in several.

    Attributes:
        texts: one or two.
        pieces: of each text, all of them, also those that are not read.
        ids, segment_ids: of the sequences, end to end. Shape [T].
        lengths: of each sequence.
        origins: the piece of each token, counted through both texts; -1 for [CLS] and [SEP]. Shape [T].
    """

    texts: tuple[str, ...]
    pieces: tuple[Aligned, ...]
    ids: NDArray[np.int64]
    segment_ids: NDArray[np.int64]
    lengths: tuple[int, ...]
    origins: NDArray[np.int64]

    def batch(self) -> PackedBatch:
        """Return the sequences as a batch."""
        return pack(self.ids, self.segment_ids, np.array(self.lengths))

    def explained(self, tokenizer: Tokenizer, found: Attribution, decision: str, meaning: str) -> Explanation:
        """Return the explanation that an attribution gives; contributions of a piece in several sequences are added.

        Args:
            found: of all T tokens.
        """
        read, total = self.origins != _SPECIAL, sum(len(part.ids) for part in self.pieces)
        values = np.bincount(self.origins[read], found.contributions[read], total).astype(np.float64)
        seen = np.bincount(self.origins[read], minlength=total) > 0
        words = self._words(tokenizer, values, seen)
        return explained(found, self.texts, words, decision, meaning, cut=not seen.all())

    def _words(
        self, tokenizer: Tokenizer, values: NDArray[np.float64], seen: NDArray[np.bool_]
    ) -> tuple[Contribution, ...]:
        """Join the contributions of the pieces that were read [P] to those of words."""
        found: list[Contribution] = []
        piece = 0
        for number, (text, part) in enumerate(zip(self.texts, self.pieces, strict=True)):
            joins = False
            for (begin, end), name in zip(
                part.spans.tolist(), tokenizer.convert_ids_to_tokens(part.ids.tolist()), strict=True
            ):
                value = float(values[piece])
                if seen[piece]:
                    if joins and name.startswith(CONTINUES):
                        before = found.pop()
                        begin, end = min(before.begin, begin), max(before.end, end)  # noqa: PLW2901
                        value += before.value
                    found.append(Contribution(text[begin:end], number, begin, end, value))
                joins = bool(seen[piece])
                piece += 1
        return tuple(found)


def read_texts(
    tokenizer: Tokenizer, texts: Sequence[str], pieces: Sequence[Aligned], kept: Sequence[Kept]
) -> ReadTexts:
    """Put the special tokens around the pieces that each sequence keeps of one text or two.

    Args:
        kept: of each sequence, the slices of the first and of the second text; see `data.sequences.kept_tokens`.
    """
    first = [0, *accumulate(len(part.ids) for part in pieces)]
    lengths = []
    ids, segments, origins = list[NDArray[np.integer]](), list[NDArray[np.integer]](), list[NDArray[np.integer]]()
    for slices in kept:
        length = 0
        for number, (part, of_part) in enumerate(zip(pieces, slices, strict=False)):
            own = np.concatenate([np.arange(len(part.ids))[one] for one in of_part])
            # As in the original, a second text of which nothing is kept does not count.
            if number and not len(own):
                continue
            before = np.array([] if number else [tokenizer.cls_id], np.int64)
            ids += [before, part.ids[own], np.array([tokenizer.sep_id])]
            origins += [np.full(len(before), _SPECIAL), first[number] + own, np.array([_SPECIAL])]
            segments.append(np.full(len(before) + len(own) + 1, number))
            length += len(segments[-1])
        lengths.append(length)
    flat = [np.concatenate(parts).astype(np.int64) for parts in (ids, segments, origins)]
    return ReadTexts(tuple(texts), tuple(pieces), flat[0], flat[1], tuple(lengths), flat[2])
