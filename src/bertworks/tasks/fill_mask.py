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


def fill_mask(
    model: PretrainingModel,
    tokenizer: Tokenizer,
    texts: Iterable[str],
    top_k: int = 5,
    dtype: torch.dtype = torch.float32,
) -> Iterator[tuple[str, list[list[Guess]]]]:
    """The most probable words for every [MASK] of every text. Texts are taken as they are needed.

    Yields:
        for each text: the text, and for each [MASK] in it `top_k` (word, probability), best first.

    Raises:
        InputError: a text has no [MASK], or is longer than the model.
    """
    taken: deque[str] = deque()
    best = min(top_k, model.config.vocab_size)

    def examples() -> Iterator[Example]:
        for text in texts:
            taken.append(text)
            yield _example(tokenizer, text, model.config.max_position_embeddings)

    def compute(batch: PackedBatch) -> Tensor:
        hidden = model.bert(batch, dtype=dtype, read=batch.rows)
        found = torch.softmax(model.masked_lm_logits(hidden).float(), -1).topk(best)
        # Ids of words are below 2^24, so that they stay whole in float32 beside their probabilities.
        return torch.stack([found.indices.float(), found.values], -1)  # [R, top_k, 2]

    device = model.bert.embeddings.word_embeddings.weight.device
    for answer in predict(compute, examples(), "row", device=device):
        guesses = [[(tokenizer.tokens[int(word)], float(p)) for word, p in one] for one in answer]
        yield taken.popleft(), guesses


def _example(tokenizer: Tokenizer, text: str, longest: int) -> Example:
    """[CLS] text [SEP], every [MASK] of the text as one token."""
    ids = [tokenizer.cls_id]
    rows = []
    for i, part in enumerate(text.split(MASK)):
        if i:
            rows.append(len(ids))
            ids.append(tokenizer.mask_id)
        ids += tokenizer.encode(part)
    ids.append(tokenizer.sep_id)
    if not rows:
        raise InputError(f"no {MASK} in {text!r}")
    if len(ids) > longest:
        raise InputError(f"{len(ids)} tokens, but the model has {longest} positions: {text[:40]!r}...")
    return Example(ids, np.zeros(len(ids), np.int64), rows)
