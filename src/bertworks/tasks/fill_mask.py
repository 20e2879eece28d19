"""Predict the words at [MASK] with a pre-trained model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.data.batch import PackedBatch
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from bertworks.model.predict import ModelInput, predict
from bertworks.text.tokenizer import Tokenizer
from bertworks.text.vocab_file import MASK

Guess = tuple[str, float]

# The most characters of a text in a message.
_SHOWN = 40


def fill_mask(
    model: PretrainingModel,
    tokenizer: Tokenizer,
    texts: Iterable[str | tuple[str, str]],
    top_k: int = 5,
    dtype: torch.dtype = torch.float32,
) -> Iterator[tuple[str, list[list[Guess]]]]:
    """Yield the most probable words for every [MASK] of every text.

    A vocabulary may have fewer words than the model. Probabilities sum to 1 over the words of the vocabulary.

    Args:
        texts: texts, or pairs (location, text), where errors name the location, such as "FILE, line 7"; read as needed.
        top_k: the number of words for each [MASK]; all words if there are fewer.

    Yields:
        for each text, the text and a list for each [MASK] of it: `top_k` pairs (word, probability), best first.

    Raises:
        InputError: a text has no [MASK] or too many tokens, or `top_k` is below 1.
    """
    if top_k < 1:
        raise InputError(f"--top_k: {top_k} must be at least 1")
    taken: deque[str] = deque()
    words = min(tokenizer.vocab_size, model.config.vocab_size)

    def examples() -> Iterator[ModelInput]:
        for item in texts:
            location, text = ("", item) if isinstance(item, str) else (f"{item[0]}: ", item[1])
            taken.append(text)
            yield masked_input(tokenizer, text, model.config.max_position_embeddings, location)

    compute = partial(best_words, model, min(top_k, words), words, dtype)
    device = model.bert.embeddings.word_embeddings.weight.device
    for masks in predict(compute, examples(), "row", device=device):
        yield taken.popleft(), guesses_of(tokenizer, masks)


def best_words(model: PretrainingModel, top_k: int, words: int, dtype: torch.dtype, batch: PackedBatch) -> Tensor:
    """Return the `top_k` best of the first `words` words for each row of a batch, and their probabilities.

    Word ids are below 2^24, so float32 holds them exactly, in one tensor with the probabilities: [R, top_k, 2].
    """
    hidden = model.bert(batch, dtype=dtype, read=batch.rows)
    logits = model.masked_lm_logits(hidden)[:, :words]
    found = torch.softmax(logits.float(), -1).topk(top_k)
    return torch.stack([found.indices.float(), found.values], -1)


def guesses_of(tokenizer: Tokenizer, masks: NDArray[np.float32]) -> list[list[Guess]]:
    """Return the words that `best_words` found for each [MASK] of a text."""
    return [[(tokenizer.tokens[int(word)], float(p)) for word, p in best] for best in masks]


def masked_input(tokenizer: Tokenizer, text: str, positions: int, location: str = "") -> ModelInput:
    """Return [CLS] text [SEP], every [MASK] of the text as one token.

    Raises:
        InputError: the text has no [MASK], or more tokens than positions; the message begins with `location`.
    """
    ids = [tokenizer.cls_id]
    rows = []
    for i, part in enumerate(text.split(MASK)):
        if i:
            rows.append(len(ids))
            ids.append(tokenizer.mask_id)
        ids += tokenizer.encode(part)
    ids.append(tokenizer.sep_id)
    shown = f"{text[:_SHOWN]!r}{'...' if len(text) > _SHOWN else ''}"
    if not rows:
        raise InputError(f"{location}no {MASK} in {shown}")
    if len(ids) > positions:
        raise InputError(f"{location}{len(ids)} tokens, but the model has {positions} positions: {shown}")
    return ModelInput(ids, np.zeros(len(ids), np.int64), rows)
