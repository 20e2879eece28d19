"""What a pre-trained model puts in the place of [MASK]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bertworks.data.batch import pack
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from bertworks.text.tokenizer import Tokenizer

Guess = tuple[str, float]


@torch.no_grad()
def fill_mask(
    model: PretrainingModel, tokenizer: Tokenizer, texts: Sequence[str], top_k: int = 5
) -> list[list[list[Guess]]]:
    """The most probable words for every [MASK] of every text.

    Returns:
        for each text, for each [MASK] in it, `top_k` (word, probability), best first.

    Raises:
        InputError: a text has no [MASK], or is longer than the model.
    """
    sequences = [_ids(tokenizer, text) for text in texts]
    longest = model.config.max_position_embeddings
    for text, ids in zip(texts, sequences, strict=True):
        if tokenizer.mask_id not in ids:
            raise InputError(f"no [MASK] in {text!r}")
        if len(ids) > longest:
            raise InputError(f"{len(ids)} tokens, but the model has {longest} positions: {text[:40]!r}...")
    flat = np.concatenate(sequences)
    rows = np.flatnonzero(flat == tokenizer.mask_id)
    device = next(model.parameters()).device
    batch = pack(flat, np.zeros_like(flat), np.array([len(ids) for ids in sequences]), rows=rows).to(device)
    hidden = model.bert(batch, read=batch.rows)
    best = torch.softmax(model.masked_lm_logits(hidden).float(), -1).topk(top_k)
    guesses = iter(
        [(tokenizer.tokens[i], p) for i, p in zip(ids, probabilities, strict=True)]
        for ids, probabilities in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    )
    return [[next(guesses) for _ in range(int((ids == tokenizer.mask_id).sum()))] for ids in sequences]


def _ids(tokenizer: Tokenizer, text: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """[CLS] text [SEP], every [MASK] of the text as one token."""
    ids = [tokenizer.cls_id]
    for i, part in enumerate(text.split("[MASK]")):
        ids += [tokenizer.mask_id] * (i > 0) + list(tokenizer.encode(part))
    return np.array([*ids, tokenizer.sep_id], np.int64)
