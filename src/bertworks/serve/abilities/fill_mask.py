"""The words at [MASK]."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import PreparedRequest, lane_of
from bertworks.serve.reading import TextCounts
from bertworks.serve.refusals import refusing
from bertworks.tasks.fill_mask import Guess, best_words, guesses_of, masked_input

# The most words for a [MASK]. All requests share batches of this many, whatever they ask for.
MOST_WORDS = 50


def prepare_fill_mask(
    model: ServedModel, texts: Sequence[str], top_k: int, field: str = "texts"
) -> PreparedRequest[list[list[list[Guess]]]]:
    """Prepare the `top_k` best words for each [MASK] of each text.

    Raises:
        Refusal: a text has no [MASK], or is longer than the model.
    """
    network, tokenizer, config = model.pretrained.masked_words(), model.tokenizer, model.pretrained.config
    items = []
    for number, text in enumerate(texts):
        with refusing(f"{field}[{number}]"):
            items.append(masked_input(tokenizer, text, config.max_position_embeddings))
    words = min(tokenizer.vocab_size, config.vocab_size)

    def finish(outputs: Sequence[NDArray[np.float32]]) -> list[list[list[Guess]]]:
        return [guesses_of(tokenizer, masks[:, :top_k]) for masks in outputs]

    lane = lane_of(
        model,
        "fill_mask",
        "row",
        lambda: partial(best_words, network, min(MOST_WORDS, words), words, model.pretrained.dtype),
    )
    return PreparedRequest(model, lane, items, finish, [TextCounts(item.length - 2, 0, 1) for item in items])
