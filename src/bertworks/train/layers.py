"""Which layers learn, and how fast: in fine-tuning the lower ones need to change least."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from bertworks.checkpoints.names import layer_of


def freeze(model: nn.Module, layers: int) -> None:
    """Keep the embeddings and the first `layers` layers as they are; 0 freezes nothing, -1 the embeddings only."""
    if not layers:
        return
    for name, parameter in model.named_parameters():
        layer = layer_of(name)
        if name.startswith("bert.embeddings.") or (layer is not None and layer < layers):
            parameter.requires_grad_(False)


def rate_scale(model: nn.Module, decay: float) -> Callable[[str], float]:
    """What each parameter's learning rate is multiplied by: `decay` once for every layer above it."""
    numbers = [layer for name, _ in model.named_parameters() if (layer := layer_of(name)) is not None]
    layers = max(numbers, default=-1) + 1

    def scale(name: str) -> float:
        layer = layer_of(name)
        above = layers - layer if layer is not None else layers + 1 if name.startswith("bert.embeddings.") else 0
        return float(decay**above)

    return scale
