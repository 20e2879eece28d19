"""One vector a text as sentence-transformers computes it: prompt, pooling, and the layers that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.checkpoints.weights import SentenceRules
from bertworks.errors import InputError
from bertworks.model.bert import Bert
from bertworks.tasks.embed.features import Pooling, extract
from bertworks.text.tokenizer import Tokenizer

POOLINGS: dict[str, Pooling] = {"cls": "cls", "max": "max", "mean": "mean", "mean_sqrt_len_tokens": "mean"}
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Identity": lambda values: values,
    "Tanh": torch.tanh,
    "ReLU": torch.relu,
    "GELU": torch.nn.functional.gelu,
    "Sigmoid": torch.sigmoid,
}
# torch's `normalize` divides by no less.
_LEAST_LENGTH = 1e-12


def embed_sentences(
    bert: Bert,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    rules: SentenceRules,
    path: Path,
    *,
    max_seq_length: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> NDArray[np.float32]:
    """Compute what `SentenceTransformer.encode` gives: float32 [N, K].

    Args:
        bert: the network.
        tokenizer: the model's.
        texts: the texts.
        rules: what its folder says.
        path: the folder, for messages.
        max_seq_length: None is what the folder says, or all positions of the model.
        dtype: the type to compute in.

    Raises:
        InputError: the folder wants what we do not compute; or see `features.extract`.
    """
    if isinstance(texts, str):
        raise InputError("texts: give a list of texts, not one")
    if rules.refusal:
        raise InputError(f"{path}: wants {rules.refusal}, which is not computed here; give pooling")
    longest = max_seq_length or rules.max_seq_length
    longest = min(longest, bert.config.max_position_embeddings) if longest else None
    prompted = [rules.prompt + text for text in texts]
    prompted = [text.lower() for text in prompted] if rules.do_lower_case else prompted
    parts = []
    for name in rules.poolings:
        found = extract(bert, tokenizer, prompted, pooling=POOLINGS[name], max_seq_length=longest, dtype=dtype)
        scaled = name == "mean_sqrt_len_tokens"
        rows = [one.values * np.float32(len(one.ids) ** 0.5) if scaled else one.values.copy() for one in found]
        parts.append(np.array(rows, np.float32).reshape(len(texts), -1))
    return after_pooling(np.concatenate(parts, 1), rules, path)


def after_pooling(pooled: NDArray[np.float32], rules: SentenceRules, path: Path) -> NDArray[np.float32]:
    """Apply the layers that follow the pooling to vectors [N, K].

    Raises:
        InputError: with the path: a layer does not fit the vectors.
    """
    values = torch.from_numpy(pooled)
    for layer in rules.steps:
        if layer is None:
            values = values / values.norm(dim=1, keepdim=True).clamp_min(_LEAST_LENGTH)
            continue
        weight = torch.from_numpy(layer.weight.read())
        if weight.shape[1] != values.shape[1]:
            raise InputError(
                f"{path}: its dense layer takes {weight.shape[1]} numbers, the pooling gives {values.shape[1]}"
            )
        values = values @ weight.T
        if layer.bias:
            values = values + torch.from_numpy(layer.bias.read())
        values = _ACTIVATIONS[layer.activation](values)
    return np.ascontiguousarray(values.numpy(), np.float32)
