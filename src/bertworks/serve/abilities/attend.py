"""The attention of one layer, for the page: how much each token looks at each other one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bertworks.model.predict import ModelInput
from bertworks.serve.batching import Lane
from bertworks.serve.models import ServedModel
from bertworks.serve.prepared import PreparedRequest
from bertworks.serve.reading import TextCounts
from bertworks.serve.refusals import Refusal
from bertworks.tasks.attentions import plain_forward

# The most tokens of a text whose attention is shown.
MOST_TOKENS = 128


def prepare_attention(
    model: ServedModel, text: str, text_pair: str | None, layer: int
) -> PreparedRequest[tuple[list[str], NDArray[np.float32]]]:
    """Prepare the tokens of a text or a pair, and the attention probabilities of one layer, [A, T, T].

    Raises:
        Refusal: the text has too many tokens, or there is no such layer.
    """
    tokenizer, config = model.tokenizer, model.pretrained.config
    if layer >= config.num_hidden_layers:
        raise Refusal("invalid", f"the model has layers 0 to {config.num_hidden_layers - 1}", "layer")
    model.check_pairs([(text, text_pair) if text_pair else text], "text_pair")
    pair = tokenizer.encode_pair(text, text_pair)
    most = min(MOST_TOKENS, config.max_position_embeddings)
    if len(pair.ids) > most:
        raise Refusal("invalid", f"has {len(pair.ids):,} tokens; attention is shown for up to {most}", "text")
    if "attend" not in model.lanes:
        network, device = model.pretrained.model.bert, model.pretrained.device

        def run(items: Sequence[ModelInput]) -> list[NDArray[np.float32]]:
            found = []
            for ids, segments, _, _ in items:
                numbers = (torch.tensor(values, device=device) for values in (ids, segments))
                found.append(plain_forward(network, *numbers)[1].cpu().numpy())
            return found

        model.lanes["attend"] = Lane(run, lambda item: item.length)

    def finish(outputs: Sequence[NDArray[np.float32]]) -> tuple[list[str], NDArray[np.float32]]:
        return tokenizer.convert_ids_to_tokens(pair.ids), outputs[0][layer]

    item = ModelInput(pair.ids, pair.segment_ids)
    counts = [TextCounts(len(pair.ids) - (3 if text_pair else 2), 0, 1)]
    return PreparedRequest(model, model.lanes["attend"], [item], finish, counts)
