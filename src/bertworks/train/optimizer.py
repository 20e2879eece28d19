"""Building optimizers, the learning rate of each layer, and clipping.

The original's Adam has no bias correction. PyTorch's fused AdamW computes the same once its step counter is so large
that its corrections 1 - beta^step are 1 in floating point. So the counter starts at a million.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bertworks.checkpoints.names import layer_of
from bertworks.errors import InputError
from bertworks.train import eight_bits
from bertworks.train.lamb import Lamb
from bertworks.train.muon import AdamWWithMuon
from bertworks.train.parts import fill
from bertworks.train.rules import ORIGINAL_RULES, UpdateRules, group_of

OPTIMIZERS = ("adam", "adamw", "lamb", "muon")


def build(
    model: nn.Module,
    kind: str,
    weight_decay: float = 0.01,
    rate_scale: Callable[[str], float] = lambda name: 1.0,
    bits: int = 32,
    rules: UpdateRules = ORIGINAL_RULES,
) -> torch.optim.Optimizer:
    """Build an optimizer over the model's parameters.

    Args:
        model: its parameters that require a gradient are trained; LayerNorm parameters and biases are not decayed.
        kind: `adam` is the original's (no bias correction), `adamw` has the correction, `lamb` scales the update of
            each tensor by its length, `muon` is for the encoder's matrices, with `adamw` for the rest.
        weight_decay: decoupled decay, times the learning rate, of every other parameter.
        rate_scale: name of a parameter -> factor of its learning rate.
        bits: of the moments of large matrices, 32 or 8 (`eight_bits.py`); 8 is for `adam` and `adamw`.
        rules: betas, epsilon and decay by group.

    Raises:
        InputError: `kind` is none of them, or has no states in 8 bits.
    """
    if kind not in OPTIMIZERS:
        raise InputError(f"--optimizer={kind}: give one of {', '.join(OPTIMIZERS)}")
    if bits == 8 and kind in ("lamb", "muon"):
        raise InputError(f"--optimizer_bits=8: is for adam and adamw, not for --optimizer={kind}")
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups: dict[tuple[float, float, bool, bool], dict[str, Any]] = {}
    for name, p in named:
        decay, by_muon = rules.decay(name, weight_decay), _is_for_muon(kind, name, p)
        scale, is_scaled = rate_scale(name) * (rules.matrix_rate if by_muon else 1.0), _is_scaled(kind, name)
        group = groups.setdefault(
            (decay, scale, by_muon, is_scaled),
            {"params": [], "weight_decay": decay, "scale": scale}
            | ({"momentum": rules.momentum} if by_muon else {})
            | ({"is_scaled": is_scaled} if kind == "lamb" else {}),
        )
        group["params"].append(p)
    betas, epsilon = (rules.beta1, rules.beta2), rules.epsilon
    optimizer: torch.optim.Optimizer
    if kind == "lamb":
        optimizer = Lamb(list(groups.values()), {"lr": 0.0, "betas": betas, "eps": epsilon})
    else:
        of_kind = AdamWWithMuon if kind == "muon" else torch.optim.AdamW if bits == 32 else eight_bits.AdamWIn8Bits
        optimizer = of_kind(list(groups.values()), lr=0.0, betas=betas, eps=epsilon, fused=True)
    for name, p in named:
        if _is_for_muon(kind, name, p):
            optimizer.state[p] = {"momentum": torch.zeros_like(p)}
            continue
        in_8_bits = bits == 8 and eight_bits.has_8_bits(name, p)
        moments = {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)} if not in_8_bits else {}
        optimizer.state[p] = {
            "step": torch.tensor(1e6 if kind == "adam" else 0.0, dtype=torch.float32, device=p.device),
            **(eight_bits.empty_moments(p) if in_8_bits else moments),
        }
    return optimizer


def _is_for_muon(kind: str, name: str, parameter: Tensor) -> bool:
    return kind == "muon" and parameter.dim() == 2 and group_of(name) == "matrices"


def _is_scaled(kind: str, name: str) -> bool:
    return kind == "lamb" and group_of(name) != "norms_and_biases"


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate`, times the factor of each parameter, for the next update."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def skip_unless(optimizer: torch.optim.Optimizer, is_finite: Tensor) -> None:
    """Let the next update change nothing unless `is_finite`, a bool on the device; nobody waits for it."""
    optimizer.found_inf = (~is_finite).float()  # type: ignore[attr-defined]  # what the fused AdamW looks at


def clip_by_global_norm(gradients: list[Tensor], of_all: Callable[[Tensor], Tensor] = lambda own: own) -> Tensor:
    """Scale the gradients in place so that their global norm is at most 1; return the norm before, on device.

    As tf.clip_by_global_norm: times 1 / max(norm, 1). Where these are a part of the gradients, `of_all` gives the norm
    of all of them from that of the part.
    """
    norm = of_all(torch.nn.utils.get_total_norm(gradients, foreach=True))
    scale = 1.0 / norm.clamp(min=1.0)
    # On CPU reading the scale costs nothing, so a pass over all gradients that would multiply by 1 is skipped.
    if norm.device.type != "cpu" or float(scale) != 1.0:
        torch._foreach_mul_(gradients, scale)
    return norm


def state_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Return the optimizer's state by name: `exp_avg.PARAMETER`, `step.PARAMETER`, ..."""
    return {
        f"{kind}.{name}": tensor for name, p in model.named_parameters() for kind, tensor in optimizer.state[p].items()
    }


def load_state_tensors(optimizer: torch.optim.Optimizer, model: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Copy tensors that `state_tensors` gave into the optimizer.

    Raises:
        InputError: a tensor is missing or has another shape or type.
    """
    for name, tensor in state_tensors(optimizer, model).items():
        if name not in saved or (saved[name].shape, saved[name].dtype) != (tensor.shape, tensor.dtype):
            raise InputError(f"the checkpoint's optimizer state has no {name} of the right shape")
        fill(tensor, saved[name])


def freeze_layers(model: nn.Module, layers: int) -> None:
    """Do not train the embeddings and the first `layers` layers; 0 freezes nothing, -1 the embeddings only."""
    for name, parameter in model.named_parameters():
        layer = layer_of(name)
        if layers and (name.startswith("bert.embeddings.") or (layer is not None and layer < layers)):
            parameter.requires_grad_(False)


def layerwise_rate_scale(model: nn.Module, decay: float) -> Callable[[str], float]:
    """Name of a parameter -> factor of its learning rate: `decay` once for every layer above it."""
    numbers = [layer for name, _ in model.named_parameters() if (layer := layer_of(name)) is not None]
    layers = max(numbers, default=-1) + 1

    def scale(name: str) -> float:
        layer = layer_of(name)
        above = layers - layer if layer is not None else layers + 1 if name.startswith("bert.embeddings.") else 0
        return float(decay**above)

    return scale
