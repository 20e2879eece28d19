"""The balance of labels: a table of it, and a dev set drawn with the same balance as the training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bertworks import draws
from bertworks.errors import InputError
from bertworks.tasks.classification.rows import AnyRow, Label

_DEV_SET = 0xD5F1  # what the random numbers of this file are for

# The most classes that a table shows.
_SHOWN = 60

# The most characters of a label in a table for a person.
_MOST_SHOWN = 60


def draw_dev_set(labels: Sequence[Label | None], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Draw about `fraction` of N rows for a dev set: nearly the same share of every class, or of every tenth of scores.

    The rows drawn depend only on the labels, the fraction and the seed.

    Returns:
        [N], true for the rows drawn.

    Raises:
        InputError: that would be no row, or all.
    """
    count = len(labels)
    if all(isinstance(label, float) for label in labels):
        ranks = np.argsort(np.argsort(np.array(labels, np.float64), kind="stable"), kind="stable")
        classes = ranks * 10 // max(1, count)
    else:
        _, classes = np.unique(np.array([repr(label) for label in labels]), return_inverse=True)
    order = np.lexsort((draws.bits(draws.key(seed, _DEV_SET), np.arange(count)), classes))
    # Rows at equal distances in the order of classes, which is random within a class.
    drawn = np.zeros(count, np.bool_)
    drawn[order] = np.diff(np.floor(np.arange(count + 1) * fraction + 0.5)) > 0
    if not 0 < drawn.sum() < count:
        raise InputError(
            f"--dev_fraction={fraction:g}: that is {drawn.sum()} of {count} training rows; give another share"
        )
    return drawn


def label_table(labels: Sequence[str], train: Sequence[AnyRow], dev: Sequence[AnyRow]) -> str:
    """Return a table of how often each class occurs in the training and the dev rows; for scores, their range."""
    if not labels:
        return "\n".join(_spread(name, rows) for name, rows in (("train", train), ("dev", dev)) if rows)
    counts = [Counter(name for row in rows for name in _classes(row)) for rows in (train, dev)]
    shown = {label: " ".join(label.split())[:_MOST_SHOWN] for label in labels}
    width = max(map(len, ("label", *shown.values())))
    lines = [f"{'label':{width}}     train   share       dev   share"]
    for label in labels[:_SHOWN]:
        cells = [
            f"{count[label]:9,} {count[label] / max(1, len(rows)):7.2%}"
            for count, rows in zip(counts, (train, dev), strict=True)
        ]
        lines.append(f"{shown[label]:{width}} {' '.join(cells)}")
    more = len(labels) - _SHOWN
    return "\n".join([*lines, *([f"and {more:,} more"] if more > 0 else [])])


def _classes(row: AnyRow) -> tuple[str, ...]:
    return row.label if isinstance(row.label, tuple) else (str(row.label),)


def _spread(name: str, rows: Sequence[AnyRow]) -> str:
    scores = np.array([row.label for row in rows], np.float64)
    return f"{name}: {len(rows):,} scores from {scores.min():g} to {scores.max():g}, mean {scores.mean():.3g}"
