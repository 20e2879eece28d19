"""The model with mean pooling as one graph, for the engines that take graphs. It needs `transformers` and torch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from bertworks.benchmark.peers.order import Order


class MeanOfTokens(nn.Module):
    """A BERT whose output is the mean over a text's tokens."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return [B, H] of ids [B, L] and mask [B, L]."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask[:, :, None].to(hidden.dtype)
        pooled: Tensor = (hidden * mask).sum(1) / mask.sum(1)
        return pooled


def traceable(order: Order) -> tuple[MeanOfTokens, tuple[Tensor, Tensor]]:
    """Return the model and an input to trace it with."""
    bert: Any = transformers.BertModel.from_pretrained(order.model, attn_implementation="eager", dtype=torch.float32)
    mask = torch.ones((2, 8), dtype=torch.int64)
    mask[1, 6:] = 0
    return MeanOfTokens(bert.eval()), (torch.full((2, 8), 5), mask)


def write_onnx(order: Order, path: Path) -> None:
    """Write the graph in ONNX, for any number of texts and any length."""
    model, example = traceable(order)
    axes = {0: "texts", 1: "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            example,
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["vectors"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "vectors": {0: "texts"}},
            dynamo=False,
        )
