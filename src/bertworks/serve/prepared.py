"""What a request asks of the compute thread, and how an answer is made of what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor

from bertworks.data.batch import PackedBatch
from bertworks.model.predict import ModelInput, Unit, predict
from bertworks.serve.batching import Lane
from bertworks.serve.models import ServedModel
from bertworks.serve.reading import TextCounts
from bertworks.serve.refusals import Refusal

Result = TypeVar("Result")

# Tokens that an exported model may compute for each real one.
_PADDED = 1.25

# A batch is cut before it comes here.
_NO_BUDGET = 1 << 62


@dataclass(frozen=True)
class PreparedRequest(Generic[Result]):
    """A request, ready for the compute thread.

    Attributes:
        model: that it is for.
        lane: where its items wait.
        finish: the outputs of the items -> what the request asked for.
        counts: of each text.
    """

    model: ServedModel
    lane: Lane
    items: Sequence[Any]
    finish: Callable[[Sequence[Any]], Result]
    counts: Sequence[TextCounts]

    @property
    def tokens(self) -> int:
        """Tokens to compute."""
        return sum(map(self.lane.tokens, self.items))


def lane_of(model: ServedModel, name: str, unit: Unit, make: Callable[[], Callable[[PackedBatch], Tensor]]) -> Lane:
    """Return a model's lane of this name; `make` gives what it computes when it is first needed."""
    if name not in model.lanes:
        compute, device = make(), model.pretrained.device

        def run(items: Sequence[ModelInput]) -> list[Any]:
            groups = of_similar_length([item.length for item in items]) if model.exported else [range(len(items))]
            found: list[Any] = [None] * len(items)
            for group in groups:
                chosen = [items[number] for number in group]
                outputs = predict(compute, chosen, unit, device=device, token_budget=_NO_BUDGET)
                for number, out in zip(group, outputs, strict=True):
                    found[number] = out.copy()
            if not all(np.isfinite(out).all() for out in found):
                raise Refusal("failed", "the model computed values that are not numbers")
            return found

        model.lanes[name] = Lane(run, lambda item: item.length)
    return model.lanes[name]


def of_similar_length(lengths: Sequence[int]) -> list[Sequence[int]]:
    """Return the numbers of sequences in groups, so that padding to the longest of a group adds a quarter at most."""
    groups: list[list[int]] = []
    tokens = 0
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        tokens += lengths[number]
        if groups and (len(groups[-1]) + 1) * lengths[number] <= _PADDED * tokens:
            groups[-1].append(number)
        else:
            groups.append([number])
            tokens = lengths[number]
    return list(groups)


def grouped(outputs: Sequence[Any], parts: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """Split outputs into those of each text, from the sequences of each text."""
    found, begin = [], 0
    for part in parts:
        found.append(outputs[begin : begin + len(part)])
        begin += len(part)
    return found
