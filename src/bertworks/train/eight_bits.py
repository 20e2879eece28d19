"""AdamW with moments in 8 bits: a quarter of the memory, on any device.

Moments are quantised in blocks of 256 values. A block has a float32 scale, its largest magnitude, and each value a code
of one byte. The codes stand for 256 numbers from -1 to 1 (or 0 to 1) that lie closer the smaller they are: each power
of ten from 1e-6 to 1 has twice as many as the one below it (Dettmers et al., "8-bit Optimizers via Block-wise
Quantization", 2022). Embeddings and small parameters keep float32 moments, because rare words have gradients of other
sizes than their neighbours in a block.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bertworks.model.memory import BLOCK, SMALLEST_IN_8_BITS

_DECADES = 7


def has_8_bits(name: str, parameter: Tensor) -> bool:
    """Tell whether the moments of a parameter are kept in 8 bits."""
    return parameter.numel() >= SMALLEST_IN_8_BITS and "embeddings." not in name


@cache
def code_values(signed: bool, device: torch.device) -> Tensor:
    """Return the number of each code, [256] float32 ascending, from -1 to 1 or from 0 to 1."""
    positive = []
    for decade in range(_DECADES):
        borders = np.linspace(0.1, 1.0, (1 if signed else 2) * 2**decade + 1)
        positive.append((borders[:-1] + borders[1:]) / 2 * 10.0 ** (decade - _DECADES + 1))
    numbers = np.concatenate(positive)
    values = np.sort(np.concatenate([-numbers, numbers, [0.0, 1.0]] if signed else [numbers, [0.0, 1.0]]))
    return torch.from_numpy(values.astype(np.float32)).to(device)


@cache
def _code_of_upper_bits(signed: bool, device: torch.device) -> Tensor:
    """Return the nearest code of every number of 16 bits in bfloat16, [65536] uint8.

    No positive number becomes 0: a second moment of 0 would make an update endless.
    """
    values = code_values(signed, torch.device("cpu")).numpy()
    numbers = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    numbers = np.nan_to_num(numbers, posinf=1.0, neginf=-1.0)
    codes = np.searchsorted((values[:-1] + values[1:]) / 2, numbers).astype(np.uint8)
    if not signed:
        codes[(numbers > 0) & (codes == 0)] = 1
    return torch.from_numpy(codes).to(device)


def quantised(x: Tensor, signed: bool) -> tuple[Tensor, Tensor]:
    """Return the codes of a float32 tensor, [blocks, 256] uint8, and the scale of each block, [blocks, 1] float32."""
    blocks = F.pad(x.reshape(-1), (0, -x.numel() % BLOCK)).view(-1, BLOCK)
    scale = blocks.abs().amax(1, keepdim=True) if signed else blocks.amax(1, keepdim=True)
    shares = (blocks / scale.clamp(min=torch.finfo(torch.float32).tiny)).to(torch.bfloat16)
    upper_bits = shares.view(torch.int16).to(torch.int32).bitwise_and_(0xFFFF)
    return _code_of_upper_bits(signed, x.device)[upper_bits], scale


def restored(codes: Tensor, scale: Tensor, shape: torch.Size, signed: bool) -> Tensor:
    """Return the float32 tensor that the codes stand for."""
    values = code_values(signed, codes.device)[codes.to(torch.int32)].mul_(scale)
    return values.view(-1)[: shape.numel()].view(shape)


def empty_moments(parameter: Tensor) -> dict[str, Tensor]:
    """Return moments of 0, by the names that they have in a checkpoint."""
    blocks = -(-parameter.numel() // BLOCK)
    found = {}
    for name, signed in _MOMENTS:
        zero = int(torch.searchsorted(code_values(signed, torch.device("cpu")), 0.0))
        found[name] = torch.full((blocks, BLOCK), zero, dtype=torch.uint8, device=parameter.device)
        found[f"{name}_scale"] = torch.zeros((blocks, 1), device=parameter.device)
    return found


# The moments of a parameter, and whether they have a sign.
_MOMENTS = (("exp_avg", True), ("exp_avg_sq", False))


class AdamWIn8Bits(torch.optim.AdamW):
    """AdamW, for which the parameters whose state has scales keep their moments in 8 bits."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        assert closure is None
        mine = [
            (p, p.grad, group)
            for group in self.param_groups
            for p in group["params"]
            if p.grad is not None and "exp_avg_scale" in self.state[p]
        ]
        for p, _, _ in mine:
            p.grad = None  # hidden from the library's step
        super().step()
        for p, gradient, group in mine:
            p.grad = gradient
            _update(p, gradient, self.state[p], group, getattr(self, "found_inf", None))


def _update(
    p: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any], found_inf: Tensor | None
) -> None:
    """Update one parameter, as the library's AdamW does, which changes nothing where `found_inf` is 1."""
    beta1, beta2 = group["betas"]
    changed = {"p": p, **state}
    before = None if found_inf is None else {name: tensor.clone() for name, tensor in changed.items()}
    state["step"] += 1
    mean, square = (restored(state[name], state[f"{name}_scale"], p.shape, signed) for name, signed in _MOMENTS)
    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    for (name, signed), moment in zip(_MOMENTS, (mean, square), strict=True):
        codes, scale = quantised(moment, signed)
        state[name].copy_(codes)
        state[f"{name}_scale"].copy_(scale)
    denominator = square.div_(1 - beta2 ** state["step"]).sqrt_().add_(group["eps"])
    p.mul_(1 - group["lr"] * group["weight_decay"])
    p.addcdiv_(mean.div_(1 - beta1 ** state["step"]), denominator, value=-group["lr"])
    if before is not None and found_inf is not None:
        is_skipped = found_inf.bool()
        for name, tensor in changed.items():
            tensor.copy_(torch.where(is_skipped, before[name], tensor))
