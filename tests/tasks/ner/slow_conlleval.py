"""conlleval as its documentation describes it, in the simplest form, to compare with.

It walks over the gold and the predicted tags together, and asks between every two words whether a chunk ends there and
whether one begins. A chunk is right where both sides begin one of the same type at one place and end it at another.
Chunk tags are those of CoNLL, B and I, with E and S as the later versions read them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

Tag = tuple[str, str]


def ends(before: Tag, after: Tag) -> bool:
    """Whether a chunk ends between two words."""
    if before[0] == "O":
        return False
    if before[0] in ("E", "S") or after[0] in ("O", "B", "S"):
        return True
    return before[1] != after[1]


def begins(before: Tag, after: Tag) -> bool:
    """Whether a chunk begins between two words."""
    if after[0] == "O":
        return False
    if after[0] in ("B", "S") or before[0] in ("O", "E", "S"):
        return True
    return before[1] != after[1]


def parsed(tag: str) -> Tag:
    """The chunk tag and the type, at the first hyphen."""
    chunk, _, kind = tag.partition("-")
    return chunk, kind


def conlleval(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, tuple[int, int, int]]:
    """For each type: how many chunks are right, were predicted, and are there."""
    right, guessed, there = Counter[str](), Counter[str](), Counter[str]()
    outside = ("O", "")
    for one, other in zip(gold, predicted, strict=True):
        last_gold = last_predicted = outside
        open_in_both = False
        for a, b in [*zip(map(parsed, one), map(parsed, other), strict=True), (outside, outside)]:
            gold_ends, predicted_ends = ends(last_gold, a), ends(last_predicted, b)
            if open_in_both and gold_ends and predicted_ends:
                right[last_gold[1]] += 1
            if gold_ends or predicted_ends:
                open_in_both = False
            if begins(last_gold, a):
                there[a[1]] += 1
            if begins(last_predicted, b):
                guessed[b[1]] += 1
            if begins(last_gold, a) and begins(last_predicted, b) and a[1] == b[1]:
                open_in_both = True
            last_gold, last_predicted = a, b
    return {kind: (right[kind], guessed[kind], there[kind]) for kind in sorted(there | guessed)}
