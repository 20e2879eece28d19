"""Muon: the matrices of the encoder move by a matrix whose singular values are all about 1; AdamW moves the rest.

The direction of a matrix is its momentum, in Nesterov's form, made orthogonal by five steps of a Newton-Schulz
iteration (K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024). The formula, its
coefficients and the factor sqrt(max(1, rows / columns)) of the rate are those of `torch.optim.Muon`. That one works on
one matrix at a time, and in bfloat16, which processors without such products emulate at a third of the speed. Here
matrices of one shape are one batched product, in bfloat16 only where the hardware multiplies it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bertworks.model.device import choose_precision

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_STEPS = 5
_SMALLEST_NORM = 1e-7


def orthogonalised(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """Return [n, a, b] matrices with the singular vectors of `matrices` and singular values from about 0.7 to 1.2.

    Args:
        matrices: [n, a, b] float32.
        dtype: what to compute in.
    """
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.transpose(1, 2) if tall else matrices).to(dtype)
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=_SMALLEST_NORM)
    for _ in range(_STEPS):
        gram = torch.bmm(x, x.transpose(1, 2))
        update = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, update, x, beta=a)
    return (x.transpose(1, 2) if tall else x).to(matrices.dtype)


class AdamWWithMuon(torch.optim.AdamW):
    """AdamW, whose groups that have `momentum` are updated by Muon instead."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        assert closure is None
        mine = [
            (p, p.grad, group)
            for group in self.param_groups
            if "momentum" in group
            for p in group["params"]
            if p.grad is not None
        ]
        for p, _, _ in mine:
            p.grad = None  # hidden from the library's step
        super().step()
        by_shape: dict[torch.Size, list[tuple[Tensor, Tensor, dict[str, Any]]]] = {}
        for p, gradient, group in mine:
            p.grad = gradient
            by_shape.setdefault(p.shape, []).append((p, gradient, group))
        for shape, alike in by_shape.items():
            self._update(shape, alike)

    def _update(self, shape: torch.Size, alike: list[tuple[Tensor, Tensor, dict[str, Any]]]) -> None:
        """Update matrices [a, b] of one shape."""
        directions = []
        for p, gradient, group in alike:
            momentum: Tensor = self.state[p]["momentum"]
            momentum.lerp_(gradient, 1 - group["momentum"])
            directions.append(gradient.lerp(momentum, group["momentum"]))
        dtype = choose_precision("auto", directions[0].device, training=True)
        moves = orthogonalised(torch.stack(directions), dtype)
        factor = max(1.0, shape[0] / shape[1]) ** 0.5
        for (p, _, group), move in zip(alike, moves.unbind(), strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(move, alpha=-group["lr"] * factor)
