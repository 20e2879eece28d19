"""How many tokens a micro-batch has: by the memory that is free when a run begins, then as its checkpoints say."""

from __future__ import annotations

import torch
from torch import nn

from bertworks.model.device import most_training_tokens, training_token_budget
from bertworks.train.distributed import World

# What allocators say when memory ends: torch's of the CPU, C++'s, oneDNN's.
_NO_MEMORY = ("can't allocate memory", "bad_alloc", "could not create a memory")


def measured(model: nn.Module, world: World, precision: torch.dtype, optimizer_bits: int, longest: int | None) -> int:
    """Return the most tokens of a micro-batch, the same in all processes; say it where memory is scarce.

    Call it before the optimizer has its states, and when the model is on its device.

    Args:
        longest: the tokens of the longest sequence; None is as many as the model takes.
    """
    tokens = world.least(
        training_token_budget(
            model, world.device, precision=precision, optimizer_bits=optimizer_bits, max_seq_length=longest
        )
    )
    if world.device.type == "cpu" and tokens < most_training_tokens(world.device):
        world.say(
            f"Little memory is free: micro-batches of at most {tokens} tokens (--token_budget sets another number)."
        )
    return tokens


def ran_out(error: BaseException) -> bool:
    """Tell whether an error means that the memory of the device, or of the machine, is used up."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
