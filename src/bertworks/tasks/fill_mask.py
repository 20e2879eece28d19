"""What a pre-trained model puts in the place of [MASK]."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from bertworks.data.batch import PackedBatch
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from bertworks.model.predict import Example, predict
from bertworks.text.tokenizer import Tokenizer
from bertworks.text.vocab_file import MASK

Guess = tuple[str, float]

# How much of a text a message shows.
_SHOWN = 40


def fill_mask(
    model: PretrainingModel,
    tokenizer: Tokenizer,
    texts: Iterable[str | tuple[str, str]],
    top_k: int = 5,
    dtype: torch.dtype = torch.float32,
) -> Iterator[tuple[str, list[list[Guess]]]]:
    """The most probable words for every [MASK] of every text. Texts are taken as they are needed.

    Only words of the vocabulary count, which may have fewer than the model: their probabilities sum to 1.

    Args:
        model: the network, on any device.
        tokenizer: the model's.
        texts: texts, or (place, text): where a text is from, such as "FILE, line 7", which its errors begin with.
        top_k: how many words to give for each [MASK]; never more than there are.
        dtype: what to compute in.

    Yields:
        for each text: the text, and for each [MASK] in it `top_k` (word, probability), best first.

    Raises:
        InputError: a text has no [MASK], or is longer than the model; `top_k` is less than 1.
    """
    if top_k < 1:
        raise InputError(f"--top_k: {top_k} must be at least 1")
    taken: deque[str] = deque()
    words = min(tokenizer.vocab_size, model.config.vocab_size)

    def examples() -> Iterator[Example]:
        for one in texts:
            place, text = ("", one) if isinstance(one, str) else (f"{one[0]}: ", one[1])
            taken.append(text)
            yield _example(tokenizer, text, model.config.max_position_embeddings, place)

    def compute(batch: PackedBatch) -> Tensor:
        hidden = model.bert(batch, dtype=dtype, read=batch.rows)
        logits = model.masked_lm_logits(hidden)[:, :words]
        found = torch.softmax(logits.float(), -1).topk(min(top_k, words))
        # Ids of words are below 2^24, so that they stay whole in float32 beside their probabilities.
        return torch.stack([found.indices.float(), found.values], -1)  # [R, top_k, 2]

    device = model.bert.embeddings.word_embeddings.weight.device
    for answer in predict(compute, examples(), "row", device=device):
        guesses = [[(tokenizer.tokens[int(word)], float(p)) for word, p in one] for one in answer]
        yield taken.popleft(), guesses


def _example(tokenizer: Tokenizer, text: str, longest: int, place: str) -> Example:
    """[CLS] text [SEP], every [MASK] of the text as one token. Messages begin with `place`."""
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
        raise InputError(f"{place}no {MASK} in {shown}")
    if len(ids) > longest:
        raise InputError(f"{place}{len(ids)} tokens, but the model has {longest} positions: {shown}")
    return Example(ids, np.zeros(len(ids), np.int64), rows)
