"""Notes where a program would wait for a GPU, while it runs on tensors of a device that is not there."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map

import bertworks

aten = torch.ops.aten
_OURS = str(Path(bertworks.__file__).parent)

# Operators whose CUDA kernels read something back.
_READ_BACK = frozenset(
    f"aten::{name}"
    for name in (
        *("nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "equal"),
        *("is_nonzero", "bincount", "histc"),
    )
)
_NUMBERS = ("aten::_local_scalar_dense", "aten::item", "aten::is_nonzero")


class Wait(NamedTuple):
    """A place where the host waits for the device: what it does, our file, the phase of the program."""

    what: str
    where: str
    phase: str


class Recorder(TorchDispatchMode):
    """Notes waits. It sits above the fake mode, and computes whole numbers that come from the host beside it.

    Attributes:
        waits: as they came.
        phase: what the program is doing.
    """

    def __init__(self, fake: FakeTensorMode) -> None:
        super().__init__()
        self.fake = fake
        self.waits: list[Wait] = []
        self.phase = ""
        self._values: dict[int, tuple[weakref.ref[torch.Tensor], torch.Tensor]] = {}

    def note(self, what: str) -> None:
        self.waits.append(Wait(what, _where(), self.phase))

    def value(self, t: torch.Tensor) -> torch.Tensor | None:
        """The true values of a tensor, if they are known."""
        if not isinstance(t, FakeTensor):
            return t
        found = self._values.get(id(t))
        return found[1] if found is not None and found[0]() is t else None

    def give(self, t: torch.Tensor, value: torch.Tensor | None) -> None:
        if isinstance(t, FakeTensor) and value is not None:
            self._values[id(t)] = (weakref.ref(t), value)

    def as_fake(self, t: Any) -> Any:
        if not isinstance(t, torch.Tensor) or isinstance(t, FakeTensor):
            return t
        made = self.fake.from_tensor(t)
        self.give(made, t)
        return made

    def pinned(self, t: torch.Tensor) -> torch.Tensor:
        fake = self.as_fake(t)
        made = fake.view(fake.shape)
        self.give(made, self.value(fake))
        made.is_in_pinned_memory = True
        return made

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map(self.as_fake, (args, kwargs or {}))
        tensors = [a for a in tree_flatten((args, kwargs))[0] if isinstance(a, torch.Tensor)]
        name = func._schema.name
        if any(t.device.type == "cuda" for t in tensors):
            self._look(name, args, kwargs)
        self._look_at_copy(func, args, kwargs)
        if name in _NUMBERS:
            value = self.value(args[0])
            if value is not None:
                return true_values(torch.Tensor.item, value)
            return 1.0 if args[0].dtype.is_floating_point else args[0].dtype is torch.bool or 1
        result = func(*args, **kwargs)
        self._compute_beside(func, args, kwargs, tensors, result)
        return result

    def _look(self, name: str, args: Any, kwargs: Any) -> None:
        """Note the waits inside of an operator, and refuse what its CUDA kernel refuses (torch's flash_api.cpp)."""
        if name in _NUMBERS:
            self.note("item")
        elif name in _READ_BACK or (name == "aten::repeat_interleave" and kwargs.get("output_size") is None):
            self.note(name)
        elif name == "aten::segment_reduce" and not kwargs.get("unsafe", False):
            self.note("segment_reduce checks the lengths")
        elif name in ("aten::index", "aten::index_put", "aten::index_put_"):
            if any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]):
                self.note(f"{name} by mask")
        elif name in ("aten::_flash_attention_forward", "aten::_efficient_attention_forward"):
            query, starts = args[0], args[3] if "flash" in name else args[4]
            is_16_bits = query.dtype in (torch.bfloat16, torch.float16)
            if "flash" in name and (not is_16_bits or query.shape[-1] % 8 or query.shape[-1] > 256):
                raise RuntimeError(f"the flash kernel takes no head of {query.shape[-1]} in {query.dtype}")
            if len(starts) < 2:
                raise RuntimeError("batch size must be positive")
            if any(t.stride(-1) != 1 for t in args[:3]):
                raise RuntimeError("the last dimension must be contiguous")

    def _look_at_copy(self, func: Any, args: Any, kwargs: Any) -> None:
        """Note copies between host and device that wait."""
        if func is aten._to_copy.default:
            tensor, target, waits = args[0], kwargs.get("device"), not kwargs.get("non_blocking", False)
            target = tensor.device if target is None else target
        elif func is aten.copy_.default:
            tensor, target = args[1], args[0].device
            waits = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
        else:
            return
        if {tensor.device.type, target.type} != {"cpu", "cuda"}:
            return
        is_pinned = getattr(tensor, "is_in_pinned_memory", False)
        if waits or (target.type == "cuda" and not is_pinned):
            self.note(f"copy to {target.type}{'' if waits else ' from pageable memory'}")

    def _compute_beside(self, func: Any, args: Any, kwargs: Any, tensors: list[torch.Tensor], result: Any) -> None:
        """Compute the true values of an operator on whole numbers that are known."""
        outputs = [o for o in tree_flatten(result)[0] if isinstance(o, torch.Tensor)]
        is_copy = func is aten._to_copy.default
        if not outputs or (any(o.dtype.is_floating_point for o in outputs) and not is_copy):
            return
        if func._schema.is_mutable or "empty" in func._schema.name or any(self.value(t) is None for t in tensors):
            return
        host = torch.device("cpu")
        kwargs = {k: host if k == "device" and v is not None else v for k, v in kwargs.items() if k != "pin_memory"}
        known = tree_map(lambda a: self.value(a) if isinstance(a, torch.Tensor) else a, (args, kwargs))
        with no_modes():
            values = [v for v in tree_flatten(func(*known[0], **known[1]))[0] if isinstance(v, torch.Tensor)]
        for output, value in zip(outputs, values, strict=True):
            self.give(output, value)


@contextmanager
def no_modes() -> Iterator[None]:
    with _disable_current_modes(), torch.no_grad():
        yield


def true_values(function: Callable[..., Any], t: torch.Tensor) -> Any:
    """What a function gives of a true tensor."""
    with no_modes():
        return function(t)


def _where() -> str:
    """The innermost file of ours on the stack."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(_OURS):
            return Path(frame.f_code.co_filename).relative_to(_OURS).as_posix()
        frame = frame.f_back
    return "autograd"
