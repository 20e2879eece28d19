"""The device, the precision, and how many tokens are computed at a time."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

import torch
from torch import nn

from bertworks.cores import usable_cores
from bertworks.errors import InputError
from bertworks.model import int8
from bertworks.model.free_memory import free_memory
from bertworks.model.memory import StepBytes, most, step_bytes
from bertworks.model.processor import multiplies_bf16

# On CUDA this takes about 2 GB for BERT-Base in float32. On CPU the activations of so many tokens stay in a core's
# caches: on two cores BERT-Base in float32 encodes 15.7 texts of 128 tokens a second with it, and 12.2 with twice as
# many, whose memory is also asked from the system again and again.
_INFERENCE_TOKENS = 1 << 15
_INFERENCE_TOKENS_OF_CORE = 1024

# Training takes at most this share of the memory that is free: allocators leave gaps.
_SHARE = 0.9

# Settings of mallopt in glibc's malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD.
_KEEP_FREED_MEMORY = ((-4, 0), (-1, -1), (-2, 64 << 20))


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device that `--device` names.

    Raises:
        InputError: this machine has no such device.
    """
    has_cuda = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda", local_rank) if has_cuda else torch.device("cpu")
    if "," in name:
        count = len(name.split(","))
        raise InputError(
            f"--device={name}: a process has one device; for more: torchrun --nproc_per_node={count} -m bertworks ..."
        )
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device={name}: give auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device={name}: give auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (not has_cuda or (device.index or 0) >= torch.cuda.device_count()):
        raise InputError(
            f"--device={name}: this machine has {torch.cuda.device_count()} CUDA devices; try --device=cpu"
        )
    return torch.device("cuda", local_rank) if name == "cuda" else device


_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.int8}


def choose_precision(name: str, device: torch.device, *, training: bool = False) -> torch.dtype:
    """Return the type that `--precision` names: fp32, bf16, or auto: bf16 if the hardware multiplies it natively.

    Args:
        training: fp16 may be named too; else int8 may (see `int8.py`).

    Raises:
        InputError: there is no such precision, or not on this device.
    """
    if name == "auto":
        return torch.bfloat16 if multiplies_bf16(device) else torch.float32
    known = [known for known in _PRECISIONS if known != ("int8" if training else "fp16")]
    if name not in known:
        raise InputError(f"--precision={name}: give {', '.join(known)} or auto")
    if name == "int8":
        int8.check_available(device)
    return _PRECISIONS[name]


def limit_threads() -> None:
    """Use no more threads than this process has processors, unless OMP_NUM_THREADS says how many.

    torch counts the processors of the machine. A container may have a share of them.
    """
    cores = usable_cores()
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > cores:
        torch.set_num_threads(cores)


def precision_name(dtype: torch.dtype) -> str:
    """Return the name of a type that `choose_precision` returns."""
    return next(name for name, known in _PRECISIONS.items() if known == dtype)


def inference_token_budget(device: torch.device) -> int:
    """Return tokens of a batch that keep a device busy and fit its memory, or a CPU's caches; nothing is trained."""
    if device.type == "cuda":
        return _INFERENCE_TOKENS
    return max(2, torch.get_num_threads()) * _INFERENCE_TOKENS_OF_CORE


def most_training_tokens(device: torch.device) -> int:
    """Return the tokens of a micro-batch above which a device is no faster.

    On CPU that keeps the products large and the activations near the cache.
    """
    return 1 << 18 if device.type == "cuda" else 8192


def training_token_budget(
    model: nn.Module,
    device: torch.device,
    *,
    precision: torch.dtype = torch.float32,
    optimizer_bits: int = 32,
    max_seq_length: int | None = None,
) -> int:
    """Return the tokens of a micro-batch that a device can train, by the memory that is free there.

    The account is that of `memory.py`, for sequences of `max_seq_length` (None: as long as the model takes), whose rows
    are all read. Other models than BERT get `most_training_tokens`.
    """
    most_tokens = most_training_tokens(device)
    config: Any = getattr(model, "config", None)
    free = None if config is None else free_memory(device)
    if free is None:
        return most_tokens
    there = sum(p.numel() * p.element_size() for p in model.parameters())  # is taken already
    longest = min(max_seq_length or config.max_position_embeddings, config.max_position_embeddings)

    def fits(tokens: int) -> bool:
        account = training_bytes(
            model, device, tokens, -(-tokens // longest), precision=precision, optimizer_bits=optimizer_bits
        )
        return account.total - account.fixed <= _SHARE * free + there

    return max(1, min(most_tokens, most(fits)))


def training_bytes(
    model: nn.Module,
    device: torch.device,
    tokens: int,
    sequences: int,
    *,
    precision: torch.dtype,
    optimizer_bits: int,
    micro_batches: int = 2,
    processes: int = 1,
    fsdp: bool = False,
) -> StepBytes:
    """Count the bytes of a training step of a BERT by `memory.py`; heads but the pre-training one read every row.

    Args:
        tokens, sequences: of the largest micro-batch.
        processes, fsdp: how many train together, and whether they share out the weights and the optimizer's states.
    """
    config: Any = model.config
    return step_bytes(
        config,
        tokens,
        sequences,
        head="pretraining" if hasattr(model, "cls") else "span",
        precision=precision_name(precision),
        gradient_checkpointing=bool(getattr(getattr(model, "bert", None), "gradient_checkpointing", False)),
        optimizer_bits=optimizer_bits,
        device=device.type,
        micro_batches=micro_batches,
        processes=processes,
        fsdp=fsdp,
    )


def use_deterministic_kernels() -> None:
    """Let CUDA use only kernels that give the same bits each time. One that has no such form is warned of.

    Call it before the first operation on a device: cuBLAS reads its setting once.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # By default this mode also fills fresh memory, which finds programs that read before they write.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def keep_freed_memory() -> bool:
    """Make glibc keep freed buffers of any size instead of returning them to the system; return whether it does.

    A training step frees and asks for the same large buffers again and again. By default each is a fresh mapping whose
    pages the kernel must fill with zeros at first touch, which costs as much as the work done in it. The process never
    shrinks after this call.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(*setting) for setting in _KEEP_FREED_MEMORY)
