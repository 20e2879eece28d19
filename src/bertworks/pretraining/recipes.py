"""Recipes by name: sets of flags that a person need not know, taken from what was measured.

`fast` is the best combination that was measured. `auto` takes it too, and chooses size, length, batch and the number of
steps for a time, from the row of the ledger that is nearest to it. A flag that a person gives is kept.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from typing import Any, TypeVar

from bertworks.errors import InputError
from bertworks.pretraining.flags import PretrainingFlags

# The rest is the original's. Warm-up is a share of the steps.
FAST: dict[str, Any] = {
    "optimizer": "muon",
    "matrix_learning_rate": 0.02,
    "learning_rate": 1e-3,
    "next_sentence": False,
    "masked_lm_prob": 0.3,
    "max_predictions_per_seq": 0,
    "eval_masked_lm_prob": 0.15,
    "neighbour_heads": True,
}
WARMUP = 0.05

# A row tells what to expect where the time differs from its own by less than this factor.
NEAR = 2.0

_Flags = TypeVar("_Flags", bound=PretrainingFlags)


@dataclass(frozen=True, kw_only=True)
class MeasuredRecipe:
    """A row of the ledger: a training with `fast`, as it was measured.

    Attributes:
        device: cpu or cuda.
        hours: the time of the training.
        accuracy: held-out masked words right at 15 % masks, on the row's own text.
        text, machine: what it was trained on, and where.
        seeds: how many runs the accuracy is the mean of.
    """

    device: str
    hours: float
    size: str
    max_seq_length: int
    train_batch_size: int
    tokens: float
    accuracy: float
    text: str
    machine: str
    seeds: int


def ledger() -> list[MeasuredRecipe]:
    """Return the rows that the package comes with."""
    content = tomllib.loads((files("bertworks.pretraining") / "ledger.toml").read_text(encoding="utf-8"))
    names = {field.name for field in fields(MeasuredRecipe)}
    return [MeasuredRecipe(**{name: row[name] for name in names}) for row in content["row"]]


def nearest(device: str, hours: float) -> MeasuredRecipe | None:
    """Return the row of this device whose time is nearest by ratio; None if the device has no row."""
    rows = [row for row in ledger() if row.device == device]
    return min(rows, key=lambda row: abs(math.log(row.hours / hours)), default=None)


def expectation(row: MeasuredRecipe | None, device: str, hours: float) -> str:
    """Say what the ledger tells of a training of so many hours."""
    if row is None:
        return f"what to expect: not measured; the ledger has no row on {device}"
    of_row = f"{row.size} on {row.text} in {row.hours:.2g} hours ({row.machine}, {row.seeds} seed): {row.accuracy:.3f}"
    if abs(math.log(row.hours / hours)) > math.log(NEAR):
        return f"what to expect: not measured; the nearest row has {of_row} of held-out masked words"
    return f"what to expect on other text: not measured; {of_row} of held-out masked words"


def with_recipe(flags: _Flags) -> tuple[_Flags, list[str]]:
    """Return flags in which a recipe has set what a person did not give, and what to say of it, a line each.

    With `auto`, the number of steps stays open until it is measured (`timing.py`).

    Raises:
        InputError: --max_hours without `auto`, or `auto` without it.
    """
    if (flags.recipe == "auto") != bool(flags.max_hours):
        raise InputError("--recipe=auto and --max_hours: give both or neither")
    if flags.recipe is None:
        return flags, []
    wanted, said = dict(FAST), []
    if flags.model or flags.init_checkpoint or flags.grow_from:
        del wanted["neighbour_heads"]  # those weights have heads of their own
    if flags.recipe == "auto":
        device = _kind_of(flags.device)
        row = nearest(device, flags.max_hours or 1.0)
        shape = row or ledger()[0]
        wanted |= {"max_seq_length": shape.max_seq_length, "train_batch_size": shape.train_batch_size}
        if not (flags.model or flags.bert_config_file or flags.init_checkpoint):
            wanted["size"] = shape.size
        said.append(f"--recipe=auto: {expectation(row, device, flags.max_hours or 1.0)}")
    else:
        wanted["num_warmup_steps"] = math.ceil(WARMUP * flags.num_train_steps)
    taken = {name: value for name, value in wanted.items() if not _is_given(flags, name)}
    if flags.optimizer != "muon" and _is_given(flags, "optimizer"):
        taken.pop("matrix_learning_rate", None)
    said.insert(0, f"--recipe={flags.recipe}: {' '.join(f'--{name}={value}' for name, value in taken.items())}")
    said.append("Measured on models of 2 layers of 128 and 4 of 256 (docs/recipes.md); not measured on larger ones.")
    return replace(flags, **taken), said


def _kind_of(device: str) -> str:
    """Return cpu or cuda for what --device names."""
    if device == "auto":
        from bertworks.model.device import choose_device  # noqa: PLC0415  (imports torch, which takes seconds)

        return choose_device(device).type
    return "cuda" if device.startswith("cuda") else "cpu"


def _is_given(flags: PretrainingFlags, name: str) -> bool:
    """Tell whether a person gave a flag; of flags made in Python, whether it has another value than its default."""
    if flags.given is not None:
        return name in flags.given
    return bool(getattr(flags, name) != getattr(PretrainingFlags, name))
