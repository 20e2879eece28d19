"""LAMB: Adam whose update of each tensor is as long as its weights, times the rate; for batches of many thousands.

You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", 2020, algorithm 2, with bias
correction. As in the authors' code, what is not decayed is not scaled either, and a tensor or an update of length 0
moves as by AdamW.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


class Lamb(torch.optim.Optimizer):
    """LAMB. Groups have `lr`, `betas`, `eps`, `weight_decay` and `is_scaled`; the states are those of AdamW."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        assert closure is None
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                state["step"] += 1
                state["exp_avg"].lerp_(p.grad, 1 - beta1)
                state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                mean = state["exp_avg"] / (1 - beta1 ** state["step"])
                square = state["exp_avg_sq"] / (1 - beta2 ** state["step"])
                update = mean.div_(square.sqrt_().add_(group["eps"])).add_(p, alpha=group["weight_decay"])
                if group["is_scaled"]:
                    length, of_update = p.norm(), update.norm()
                    ratio = length / of_update
                    update.mul_(torch.where((length > 0) & (of_update > 0), ratio, torch.ones_like(ratio)))
                p.add_(update, alpha=-group["lr"])
