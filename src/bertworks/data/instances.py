"""Pre-training instances as flat arrays, the interface of every source of them, and their text.

Shapes: T packed tokens, B instances, M masked tokens.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bertworks.ragged import starts, within


@dataclass(frozen=True)
class Instances:
    """Masked instances [CLS] a [SEP] b [SEP], or [CLS] a [SEP], laid end to end.

    Attributes:
        input_ids: [T] ids in which the masked tokens are replaced already.
        segment_ids: [T] 0 up to and including the first [SEP], then 1.
        lengths: [B] number of tokens of each instance.
        rows: [M] indices into [T] of the tokens to predict, ascending.
        labels: [M] the ids that the masked tokens had.
        is_random_next: [B] 1 where b does not follow a in its document, else 0.
    """

    input_ids: NDArray[np.int64]
    segment_ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    is_random_next: NDArray[np.int64]

    def __len__(self) -> int:
        """B, the number of instances."""
        return len(self.lengths)

    def part(self, first: int, last: int) -> Instances:
        """Return the instances first:last of these."""
        edges = starts(self.lengths)
        token = slice(int(edges[first]), int(edges[last]))
        row = slice(*np.searchsorted(self.rows, [token.start, token.stop]).tolist())
        return Instances(
            input_ids=self.input_ids[token],
            segment_ids=self.segment_ids[token],
            lengths=self.lengths[first:last],
            rows=self.rows[row] - token.start,
            labels=self.labels[row],
            is_random_next=self.is_random_next[first:last],
        )

    def causal(self) -> Instances:
        """Return [CLS] text [SEP] unmasked, with every word but the first to be predicted: at the row before it."""
        input_ids = self.input_ids.copy()
        input_ids[self.rows] = self.labels
        position = within(self.lengths)
        rows = np.flatnonzero((position > 0) & (position < np.repeat(self.lengths, self.lengths) - 2))
        return replace(self, input_ids=input_ids, rows=rows, labels=input_ids[rows + 1])

    @classmethod
    def joined(cls, parts: Sequence[Instances]) -> Instances:
        """Return the instances of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        shifts = starts([len(part.input_ids) for part in parts])
        parts = [replace(part, rows=part.rows + shift) for part, shift in zip(parts, shifts, strict=False)]
        none = np.zeros(0, np.int64)
        return cls(*(np.concatenate([none, *(getattr(part, f.name) for part in parts)]) for f in fields(cls)))


class InstanceSource(Protocol):
    """An endless sequence of instances, epoch after epoch, each in its own order. Any part can be read directly."""

    def instances(self, first: int, last: int) -> Instances:
        """Return the instances number first, ..., last - 1 of the sequence: a pure function of the numbers."""

    def identity(self) -> dict[str, object]:
        """Return what determines the sequence (corpus, seed, lengths ...), by flag name; a resumed run checks it."""


def show_instances(instances: Instances, tokens: Sequence[str], first: int = 0) -> str:
    """Return instances as text, numbered from `first`. A masked token is {the token > what the model reads instead}."""
    edges = starts(instances.lengths)
    words = [tokens[i] for i in instances.input_ids.tolist()]
    for row, label in zip(instances.rows.tolist(), instances.labels.tolist(), strict=True):
        words[row] = f"{{{tokens[label]} > {words[row]}}}"
    masked = np.diff(np.searchsorted(instances.rows, edges)).tolist()
    lines = []
    for i, (begin, end) in enumerate(zip(edges.tolist(), edges[1:].tolist(), strict=False)):
        kind = "a random second part" if instances.is_random_next[i] else "the second part follows the first"
        if not instances.segment_ids[begin:end].any():
            kind = "one text"
        lines.append(f"Instance {first + i}: {end - begin} tokens, {masked[i]} to predict, {kind}")
        wrapped = textwrap.wrap(" ".join(words[begin:end]), 108, break_long_words=False, break_on_hyphens=False)
        lines += [f"  {line}" for line in wrapped]
    return "".join(f"{line}\n" for line in lines)
