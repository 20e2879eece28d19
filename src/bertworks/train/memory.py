"""How many tokens a micro-batch may have on a device."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# On CPU memory is rarely the limit; this many tokens keep the matrix products large and the activations near the cache.
CPU_TOKEN_BUDGET = 8192


def default_token_budget(model: nn.Module, device: torch.device) -> int:
    """Tokens of a micro-batch that fit the device: a fixed number on CPU, from its total memory on CUDA.

    On CUDA: 16 bytes a parameter for weights, gradients and moments, 0.8 GB for the library's own needs, and per token
    and layer some 40 values of 2 bytes a hidden unit kept for the backward pass.
    """
    if device.type != "cuda":
        return CPU_TOKEN_BUDGET
    total = torch.cuda.get_device_properties(device).total_memory
    config: Any = getattr(model, "config", None)
    parameters = sum(p.numel() for p in model.parameters())
    free = 0.85 * total - 16 * parameters - 0.8e9
    per_token = 80 * config.hidden_size * config.num_hidden_layers + 12 * config.vocab_size * 0.2
    return max(1024, min(1 << 18, int(free / per_token)))
