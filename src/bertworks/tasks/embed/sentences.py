"""One vector a text as sentence-transformers computes it: prompt, pooling, and the layers that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.checkpoints.weights import SentenceRules
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.model.bert import Bert
from bertworks.tasks.embed.features import POOLED_LAYERS, Pooling, TextFeatures, extract
from bertworks.text.tokenizer import Tokenizer

# What is computed of each text, and what is done with it: [H], or [tokens, H] where it is none.
_POOLINGS: dict[str, Pooling] = {
    "cls": "cls", "max": "max", "mean": "mean", "mean_sqrt_len_tokens": "mean", "weightedmean": "none",
    "lasttoken": "none",
}  # fmt: skip
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
    longest = longest_sentence(rules, bert.config, max_seq_length)
    prompted = [with_prompt(rules, text) for text in texts]
    parts = []
    for name in rules.poolings:
        found = extract(bert, tokenizer, prompted, pooling=_POOLINGS[name], max_seq_length=longest, dtype=dtype)
        rows = [_pooled(name, one) for one in found]
        parts.append(np.array(rows, np.float32).reshape(len(texts), -1))
    return after_pooling(torch.from_numpy(np.concatenate(parts, 1)), rules, path).numpy()


def rules_followed(rules: SentenceRules | None, layers: Sequence[int], pooling: Pooling | None) -> SentenceRules | None:
    """Return what a folder of sentence-transformers says, unless layers or a pooling are given instead."""
    return rules if pooling is None and tuple(layers) == POOLED_LAYERS else None


def longest_sentence(rules: SentenceRules | None, config: BertConfig, max_seq_length: int | None) -> int:
    """Return the most tokens of a sequence: as given, or as the folder says, or all positions of the model."""
    positions = config.max_position_embeddings
    if rules is None:
        return max_seq_length or positions
    return min(max_seq_length or rules.max_seq_length or positions, positions)


def with_prompt(rules: SentenceRules, text: str) -> str:
    """Return a text as the tokenizer gets it."""
    prompted = rules.prompt + text
    return prompted.lower() if rules.do_lower_case else prompted


def pooled(hidden: Tensor, starts: Tensor, name: str) -> Tensor:
    """Pool the rows of each sequence: hidden [T, H], starts [B + 1] -> [B, H]; `name` is one of `SentenceRules`."""
    lengths = starts.diff()
    if name == "cls":
        return hidden.index_select(0, starts[:-1].long())
    if name == "lasttoken":
        return hidden.index_select(0, starts[1:].long() - 1)
    if name == "weightedmean":
        places = torch.arange(1, len(hidden) + 1, device=hidden.device) - starts[:-1].repeat_interleave(lengths)
        places = places[:, None].float()
        total, weights = (
            torch.segment_reduce(each, "sum", lengths=lengths, unsafe=True) for each in (hidden * places, places)
        )
        return total / weights
    found = torch.segment_reduce(hidden.float(), _POOLINGS[name], lengths=lengths, unsafe=True)
    return found * lengths[:, None].float().sqrt() if name == "mean_sqrt_len_tokens" else found


def after_pooling(values: Tensor, rules: SentenceRules, path: Path) -> Tensor:
    """Apply the layers that follow the pooling: [N, K] -> float32 [N, the width of the last one].

    Raises:
        InputError: a dense layer, of the folder `path`, does not fit what comes before it.
    """
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
    return values.float().contiguous()


def _pooled(name: str, found: TextFeatures) -> NDArray[np.float32]:
    """Return the vector of a text in a memory of its own."""
    values = found.values
    if name == "mean_sqrt_len_tokens":
        return values * np.float32(len(found.ids) ** 0.5)
    if name == "weightedmean":  # the weight of a token is its place, from 1
        places = np.arange(1, len(values) + 1, dtype=np.float32)
        return np.asarray(places @ values / places.sum(), np.float32)
    return values[-1].copy() if name == "lasttoken" else values.copy()
