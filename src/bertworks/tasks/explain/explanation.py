"""An explanation: a decision and what each word contributed to it, as numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bertworks.tasks.explain.gradients import Attribution


@dataclass(frozen=True)
class Contribution:
    """What a word contributes.

    Attributes:
        text: the word, as it stands in the text.
        part: 0 for the first text, 1 for the second of a pair.
        begin, end: its characters.
        value: above zero if it speaks for the decision, below zero if against it.
    """

    text: str
    part: int
    begin: int
    end: int
    value: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a model decides as it does.

    Attributes:
        texts: one text, or the two of a pair; of answers the question and the document.
        decision: what is explained, such as `class: positive`.
        meaning: what the score is, in words.
        score, baseline: of the texts, and of the texts with all words hidden.
        contributions: of the words, in order; they sum up to `score - baseline`.
        error: how far from it, as a share.
        points: of the integral.
        cut: whether the model did not read the whole texts at once; what it did not read contributes nothing.
    """

    texts: tuple[str, ...]
    decision: str
    meaning: str
    score: float
    baseline: float
    contributions: tuple[Contribution, ...]
    error: float
    points: int
    cut: bool

    @property
    def strongest(self) -> list[Contribution]:
        """The words by the size of their contribution, the largest first."""
        return sorted(self.contributions, key=lambda word: -abs(word.value))

    def as_json(self) -> dict[str, Any]:
        """Return it as what JSON holds."""
        return asdict(self)


@dataclass(frozen=True)
class Decision:
    """What a model decides about a text, and how to explain it.

    Attributes:
        tokens: of the sequences that it was decided by.
        explain: computes the explanation, with so many points of the integral at most.
    """

    tokens: int
    explain: Callable[[int], Explanation]


def explained(
    attribution: Attribution,
    texts: tuple[str, ...],
    words: tuple[Contribution, ...],
    decision: str,
    meaning: str,
    *,
    cut: bool,
) -> Explanation:
    """Return the explanation that an attribution gives."""
    return Explanation(
        texts=texts,
        decision=decision,
        meaning=meaning,
        score=attribution.score,
        baseline=attribution.baseline,
        contributions=words,
        error=attribution.error,
        points=attribution.points,
        cut=cut,
    )
