"""What a model does with a text, number by number, for those who study it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bertworks.errors import InputError
from bertworks.model.bert import Bert
from bertworks.model.reference import study as study_ids
from bertworks.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Study:
    """All that a model computes on the way. Shapes: T tokens, L layers, A heads, H hidden.

    Attributes:
        tokens: [CLS] and [SEP] among them.
        hidden_states: float32 [L + 1, T, H]; the embeddings' output, then every layer's.
        attentions: float32 [L, A, T, T]; row i of a layer and head is what token i looks at, and sums to 1.
    """

    tokens: list[str]
    hidden_states: NDArray[np.float32]
    attentions: NDArray[np.float32]


def study(bert: Bert, tokenizer: Tokenizer, text: str, text_pair: str | None = None) -> Study:
    """Attention and hidden states for one text, or a pair.

    Raises:
        InputError: it is longer than the model.
    """
    pair = tokenizer.encode_pair(text, text_pair)
    longest = bert.config.max_position_embeddings
    if len(pair.ids) > longest:
        raise InputError(f"{len(pair.ids)} tokens, but the model has {longest} positions: {text[:40]!r}...")
    device = bert.embeddings.word_embeddings.weight.device
    hidden, attentions = study_ids(bert, torch.tensor(pair.ids).to(device), torch.tensor(pair.segment_ids).to(device))
    return Study(tokenizer.convert_ids_to_tokens(pair.ids), hidden.cpu().numpy(), attentions.cpu().numpy())
