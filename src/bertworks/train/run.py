"""`Run`: the settings of a training, as the loop takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bertworks.flag_groups import TrainingMachineFlags, input_bytes
from bertworks.train.best import Best
from bertworks.train.resume import WriteModel
from bertworks.train.rules import ORIGINAL_RULES, ORIGINAL_SCHEDULE, Schedule, UpdateRules


@dataclass(frozen=True, kw_only=True)
class Run:
    """The settings of a run.

    Attributes:
        output_dir: the folder of checkpoints, metrics and the model.
        precision, max_seq_length: what it computes in, and its longest sequence; they say how much memory it takes.
        optimizer_bits: of the optimizer's states, 32 or 8.
        rules, schedule: what of the optimizer and of its learning rate differs from the original's.
        token_budget: the most tokens of a micro-batch; None is measured at the first start.
        log_every_steps, save_checkpoints_steps: 0 means only at the end.
        save_at_evaluations: whether every evaluation leaves a checkpoint.
        save_every_minutes: how long a kill may set a run back; 0 means any time.
        save_in_background: whether checkpoints are written while the training goes on.
        fsdp: whether several processes share out the optimizer's states and the weights (`sharding.py`).
        eval_every_steps: 0 means never; otherwise before the first step and at the end too.
        identity: flag -> value of all that must stay the same when the run is resumed.
        settings: flag -> value of what may change on a resume; changes are printed.
        rate_scale: name of a parameter -> factor of its learning rate.
        best: keeps the model of the best evaluation and decides when to stop; None keeps the last model only.
        phase_starts: the steps where the phases of the training begin, for the plan.
        plan: whether to say what the training would take, and not to train; `plan_steps` are taken to measure it.
        examples: of an epoch, for the plan; 0 if nobody has counted them.
        input_bytes: of all input files, for the plan.
        write_model: writes a model folder into the empty folder that it gets, with the weights that it gets.
        write_notes: writes a description of the run into the output folder, once no other run is found there.
    """

    output_dir: Path
    num_train_steps: int
    num_warmup_steps: int
    learning_rate: float
    optimizer: str = "adam"
    weight_decay: float = 0.01
    random_seed: int = 12345
    precision: torch.dtype = torch.float32
    max_seq_length: int | None = None
    optimizer_bits: int = 32
    rules: UpdateRules = ORIGINAL_RULES
    schedule: Schedule = ORIGINAL_SCHEDULE
    token_budget: int | None = None
    log_every_steps: int = 10
    eval_every_steps: int = 0
    save_checkpoints_steps: int = 1000
    save_at_evaluations: bool = False
    save_every_minutes: float = 0.0
    keep_checkpoint_max: int = 5
    save_in_background: bool = True
    fsdp: bool = False
    identity: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    rate_scale: Callable[[str], float] = lambda name: 1.0
    best: Best | None = None
    phase_starts: Sequence[int] = (0,)
    plan: bool = False
    plan_steps: int = 0
    examples: int = 0
    input_bytes: int = 0
    write_model: WriteModel
    write_notes: Callable[[], None] = lambda: None

    def rate(self, step: int) -> float:
        """Return the learning rate of the update after `step` finished steps."""
        return self.schedule.rate(step, self.learning_rate, self.num_train_steps, self.num_warmup_steps)


def of_machine(flags: TrainingMachineFlags) -> dict[str, Any]:
    """Return the settings that the flags of the machine give, by their names in `Run`."""
    return {
        "optimizer_bits": int(flags.optimizer_bits),
        "token_budget": flags.token_budget,
        "save_in_background": flags.save_in_background,
        "fsdp": flags.fsdp,
        "plan": flags.plan,
        "plan_steps": flags.plan_steps,
        "input_bytes": input_bytes(flags) if flags.plan else 0,
    }
