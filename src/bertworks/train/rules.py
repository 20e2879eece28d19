"""What of an optimizer and of its learning rate may differ from the original's: settings, and pure functions of them.

Parameters are of four groups: `embeddings` (the tables), `matrices` (of the encoder's blocks), `head` (all other
matrices: pooler and heads) and `norms_and_biases`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bertworks.errors import InputError

GROUPS = ("embeddings", "matrices", "head", "norms_and_biases")

# Weight decay leaves these alone (optimization.py of the original: exclude_from_weight_decay).
_NOT_DECAYED = re.compile(r"LayerNorm|layer_norm|bias")


def group_of(name: str) -> str:
    """Return the group of a parameter, by its name."""
    if _NOT_DECAYED.search(name):
        return "norms_and_biases"
    if "embeddings." in name:
        return "embeddings"
    return "matrices" if "encoder.layer." in name else "head"


@dataclass(frozen=True, kw_only=True)
class UpdateRules:
    """How parameters are updated, but for the kind of the optimizer and its learning rate. The defaults are BERT's.

    Attributes:
        beta1, beta2, epsilon: of Adam, AdamW and LAMB, and of what Muon leaves to AdamW.
        momentum: of Muon.
        matrix_rate: the peak rate of Muon's matrices, as a multiple of that of all others.
        group_decay: group -> its weight decay, for groups that do not take the common one.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-6
    momentum: float = 0.95
    matrix_rate: float = 1.0
    group_decay: Mapping[str, float] = field(default_factory=dict)

    def decay(self, name: str, weight_decay: float) -> float:
        """Return the weight decay of a parameter, where `weight_decay` is the common one."""
        group = group_of(name)
        return self.group_decay.get(group, 0.0 if group == "norms_and_biases" else weight_decay)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate changes over the steps: a rise in a line from 0, and then by its kind.

    Attributes:
        kind: `linear` is the original's: the fall counts from step 0, so that the rate drops a notch where the rise
            ends. `cosine` falls along half a wave from the end of the rise. `warmup_stable_decay` stays at the peak and
            falls in a line over the last `num_decay_steps`; until then the rate does not depend on the number of steps,
            so a run may be continued with another number and end at any time.
        final_share: the last rate, as a share of the peak.
    """

    kind: Literal["linear", "cosine", "warmup_stable_decay"] = "linear"
    num_decay_steps: int = 0
    final_share: float = 0.0

    def rate(self, step: int, peak: float, num_train_steps: int, num_warmup_steps: int) -> float:
        """Return the rate of the update after `step` finished steps."""
        if step < num_warmup_steps:
            return peak * step / num_warmup_steps
        fallen = 1.0 - self.final_share
        if self.kind == "linear":
            return peak * max(0.0, 1.0 - fallen * step / num_train_steps)
        begin = num_train_steps - self.num_decay_steps if self.kind == "warmup_stable_decay" else num_warmup_steps
        done = min(1.0, max(0.0, (step - begin) / max(num_train_steps - begin, 1)))
        if self.kind == "cosine":
            done = (1.0 - math.cos(math.pi * done)) / 2
        return peak * (1.0 - fallen * done)


# What BERT was trained with.
ORIGINAL_RULES, ORIGINAL_SCHEDULE = UpdateRules(), Schedule()


def decay_by_group(text: str | None) -> dict[str, float]:
    """Read --group_weight_decay: `embeddings=0,matrices=0.1`.

    Raises:
        InputError: it names no group, or has no number.
    """
    found: dict[str, float] = {}
    for part in text.split(",") if text else ():
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = decay = float(value)
        except ValueError:
            decay = -1.0
        if name.strip() not in GROUPS or not 0 <= decay < math.inf:
            raise InputError(
                f"--group_weight_decay={text}: give GROUP=NUMBER with commas between; groups are {', '.join(GROUPS)}"
            )
    return found
