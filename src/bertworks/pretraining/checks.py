"""Refuse flags of a pre-training that contradict each other, before torch is imported, which takes seconds."""

from __future__ import annotations

from bertworks.errors import InputError
from bertworks.flag_groups import check_sharing
from bertworks.pretraining.flags import PretrainingFlags
from bertworks.pretraining.phases import phases_of
from bertworks.train.rules import decay_by_group


def check(flags: PretrainingFlags) -> None:
    """Check all that can be told from the flags alone.

    Raises:
        InputError: two of them contradict each other, or one lacks another; one line names both.
    """
    phases = phases_of(flags)
    if phases[-1].objective != "masked_lm":
        raise InputError("--objective: the last phase must be masked_lm, as in --objective=causal_lm,masked_lm")
    if flags.next_sentence and any(phase.objective == "causal_lm" for phase in phases):
        raise InputError("--objective=causal_lm: needs --next_sentence=False; what comes later tells of a pair")
    decay_by_group(flags.group_weight_decay)
    check_sharing(flags)
    _check_optimizer(flags)
    _check_schedule(flags)
    if flags.average_checkpoints and not flags.do_train:
        raise InputError("--average_checkpoints: is for a training; give --do_train, or --model=OUTPUT_DIR/averaged")
    if flags.average_checkpoints > flags.keep_checkpoint_max:
        raise InputError(
            f"--average_checkpoints={flags.average_checkpoints}: --keep_checkpoint_max={flags.keep_checkpoint_max} "
            "keeps fewer; give at least as many"
        )
    checkpoints = -(-flags.num_train_steps // (flags.save_checkpoints_steps or flags.num_train_steps or 1))
    if flags.average_checkpoints > checkpoints:
        raise InputError(
            f"--average_checkpoints={flags.average_checkpoints}: {flags.num_train_steps:,} steps leave {checkpoints}; "
            f"give a smaller --save_checkpoints_steps than {flags.save_checkpoints_steps:,}"
        )
    begun = next((name for name in ("model", "init_checkpoint", "grow_from") if getattr(flags, name)), None)
    if flags.neighbour_heads and begun and flags.do_train:
        raise InputError(f"--neighbour_heads and --{begun}: give one of them; each says which weights to begin with")
    if flags.grow_from and (flags.model or flags.init_checkpoint):
        other = "--model" if flags.model else "--init_checkpoint"
        raise InputError(f"--grow_from and {other}: give one of them; each says which weights to begin with")


def _check_optimizer(flags: PretrainingFlags) -> None:
    by_muon = flags.optimizer == "muon"
    if by_muon and (flags.matrix_learning_rate is None or not flags.learning_rate):
        missing = "--matrix_learning_rate" if flags.learning_rate else "a --learning_rate above 0"
        raise InputError(f"--optimizer=muon: needs {missing}; 0.02 for matrices beside 1e-3 for the rest is usual")
    if not by_muon and (
        flags.matrix_learning_rate is not None or flags.muon_momentum != PretrainingFlags.muon_momentum
    ):
        name = "matrix_learning_rate" if flags.matrix_learning_rate is not None else "muon_momentum"
        raise InputError(f"--{name}: is for --optimizer=muon, not for {flags.optimizer}")
    if flags.optimizer in ("muon", "lamb"):
        if flags.optimizer_bits == "8":
            raise InputError(f"--optimizer_bits=8: is for adam and adamw, not for --optimizer={flags.optimizer}")
        if flags.fsdp:
            raise InputError(
                f"--fsdp: is for adam and adamw, not for --optimizer={flags.optimizer}, which needs whole matrices"
            )
        if flags.precision == "fp16":
            raise InputError(f"--precision=fp16: is for adam and adamw, not for --optimizer={flags.optimizer}")


def _check_schedule(flags: PretrainingFlags) -> None:
    has_decay = flags.schedule == "warmup_stable_decay"
    if has_decay != bool(flags.num_decay_steps):
        raise InputError("--schedule=warmup_stable_decay and --num_decay_steps: give both or neither")
    if has_decay and flags.do_train and flags.num_warmup_steps + flags.num_decay_steps > flags.num_train_steps:
        raise InputError(
            f"--num_decay_steps={flags.num_decay_steps}: with --num_warmup_steps={flags.num_warmup_steps} that is more "
            f"than --num_train_steps={flags.num_train_steps}"
        )
    if flags.final_learning_rate > flags.learning_rate:
        raise InputError(f"--final_learning_rate={flags.final_learning_rate}: is above --learning_rate")
