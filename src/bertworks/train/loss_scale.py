"""The scale of the loss in float16, whose gradients are else too small to be told from 0.

The loss is multiplied before the backward pass and the gradients are divided after it. If a gradient is beyond float16,
the step changes no weight and the scale is halved; after 2000 steps without one it is doubled (Micikevicius et al.,
"Mixed Precision Training", 2018). All of it stays on the device, so that a step does not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_FIRST, _STEPS_TO_DOUBLE = 2.0**16, 2000


class LossScale:
    """The scale, and what decides about it.

    Attributes:
        scale: float32 scalar.
        good: steps since the last one that was skipped or doubled the scale.
        skipped: steps of the run that changed no weight.
    """

    def __init__(self, device: torch.device, saved: Mapping[str, float] | None = None) -> None:
        """Begin with 65536, or as a checkpoint says."""
        values = saved or {"scale": _FIRST, "good": 0.0, "skipped": 0.0}
        self.scale, self.good, self.skipped = (
            torch.tensor(values[name], dtype=torch.float32, device=device) for name in ("scale", "good", "skipped")
        )

    def divide(self, gradients: list[Tensor]) -> None:
        """Undo the scale in gradients, in place."""
        torch._foreach_mul_(gradients, 1.0 / self.scale)

    def update(self, is_finite: Tensor) -> Tensor:
        """Decide by whether the step's gradients were finite; return whether the scale is still of use, a bool."""
        self.skipped += ~is_finite
        self.good = torch.where(is_finite, self.good + 1, 0.0)
        doubled = self.good >= _STEPS_TO_DOUBLE
        self.scale = torch.where(is_finite, torch.where(doubled, 2 * self.scale, self.scale), self.scale / 2)
        self.good = torch.where(doubled, 0.0, self.good)
        return self.scale >= 1.0

    def state(self) -> dict[str, float]:
        """Return what a checkpoint keeps; waits for the device."""
        return {"scale": float(self.scale), "good": float(self.good), "skipped": float(self.skipped)}
