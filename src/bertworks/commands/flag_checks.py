"""What is wrong with the flags of a fine-tuning by themselves, told before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bertworks.errors import InputError
from bertworks.flags import describe

if TYPE_CHECKING:
    from bertworks.commands.finetuning import FinetuningFlags

# More steps lie between no evaluations.
_MOST_STEPS = 1e18


def check_training(flags: FinetuningFlags) -> None:
    """Refuse flags of training that mean nothing, or have no effect beside each other.

    Raises:
        InputError: names the flag.
    """
    if not flags.do_train:
        return
    steps_between(flags.eval_every, 1.0)
    if flags.seeds is not None:
        seeds_of(flags)
    for name in ("seeds", "early_stopping"):
        if getattr(flags, name) is not None and not flags.do_eval:
            raise InputError(f"--{name}: needs a dev set to compare on; give --do_eval")
    if flags.early_stopping is not None and flags.keep == "last":
        raise InputError("--early_stopping: stops where the best model is long past; leave --keep=last out")


def seeds_of(flags: FinetuningFlags) -> list[int]:
    """What `--seeds` means, each seed once.

    Raises:
        InputError: they are not whole numbers as `--random_seed` takes them.
    """
    assert flags.seeds is not None
    seed = describe(type(flags))["random_seed"]
    try:
        seeds = [seed.convert(part, "") for part in flags.seeds.split(",")]
    except InputError as problem:
        reason = str(problem).removeprefix(": ")
        raise InputError(f"--seeds={flags.seeds}: {reason}; give numbers with commas between, such as 1,2,3") from None
    return list(dict.fromkeys(seeds))


def steps_between(every: str | None, steps_of_epoch: float) -> int:
    """How many steps lie between evaluations, from what `--eval_every` says: steps, or epochs where it has a point.

    Raises:
        InputError: it is no such number, or not above 0.
    """
    if every is None:
        return max(1, round(steps_of_epoch))
    try:
        number = float(every) if "." in every else int(every)
    except ValueError:
        number = 0
    if not 0 < number < _MOST_STEPS:
        raise InputError(f"--eval_every={every}: give steps, such as 100, or epochs, such as 0.5")
    return max(1, round(steps_of_epoch * number)) if isinstance(number, float) else number
