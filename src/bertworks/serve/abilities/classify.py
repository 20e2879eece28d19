"""Classes of texts, and the relevance of texts to a query."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bertworks.model.heads import SequenceClassifier
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import PreparedRequest, grouped, lane_of
from bertworks.serve.reading import Given, HowToRead, read_texts
from bertworks.serve.refusals import Refusal
from bertworks.tasks.texts import is_blank


def prepare_logits(
    model: ServedModel, texts: Sequence[Given], reading: HowToRead
) -> PreparedRequest[NDArray[np.float32]]:
    """Prepare the logits of texts or pairs, [N, C]: the mean over the windows of each.

    Raises:
        Refusal: a text is blank, or too long.
    """
    network = model.pretrained.model
    assert isinstance(network, SequenceClassifier)
    model.check_pairs(texts, reading.field)
    for number, text in enumerate(texts):
        first = text[0] if isinstance(text, tuple) else text
        if isinstance(first, str) and is_blank(first):
            raise Refusal("invalid", "the text is empty", f"{reading.field}[{number}]")
    sequences, counts = read_texts(model.tokenizer, texts, reading)

    def finish(outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        # The sum and then the quotient, as in training's evaluation.
        return np.array([np.add.reduce(part) / len(part) for part in grouped(outputs, sequences)], np.float32)

    lane = lane_of(model, "classify", "sequence", lambda: partial(network, dtype=model.pretrained.dtype))
    return PreparedRequest(model, lane, [one for part in sequences for one in part], finish, counts)
