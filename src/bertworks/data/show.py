"""Instances as text, for a person to read."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from bertworks.data.instances import Instances

_WIDTH = 110


def show_instances(instances: Instances, tokens: Sequence[str], first: int = 0) -> str:
    """Each instance with its words to predict as {what stood there > what the model sees}, and its label.

    Args:
        instances: what to show.
        tokens: id -> token.
        first: the number of the first of them.
    """
    ends = np.cumsum(instances.lengths)
    words = [tokens[i] for i in instances.input_ids.tolist()]
    for row, label in zip(instances.rows.tolist(), instances.labels.tolist(), strict=True):
        words[row] = f"{{{tokens[label]} > {words[row]}}}"
    lines = []
    for i, (end, length) in enumerate(zip(ends.tolist(), instances.lengths.tolist(), strict=True)):
        masked = int(np.count_nonzero((instances.rows >= end - length) & (instances.rows < end)))
        kind = "a random second part" if instances.is_random_next[i] else "the second part follows the first"
        lines.append(f"Instance {first + i}: {length} tokens, {masked} to predict, {kind}")
        text = " ".join(words[end - length : end])
        lines += textwrap.wrap(
            text, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    return "".join(f"{line}\n" for line in lines)
