"""Counts the bytes of living tensors while a program runs, and their peak."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


class LiveBytes(TorchDispatchMode):
    """Counts the storages of tensors that operators give, from when they are made until they are freed.

    Attributes:
        now, peak: bytes; a storage counts as whole blocks of 512 bytes on CUDA, as its allocator gives them.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.block = device, 512 if device == "cuda" else 1
        self.now = self.peak = 0
        self._seen: dict[int, int] = {}

    def note(self, tensor: torch.Tensor) -> None:
        """Count a tensor from here on."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if tensor.device.type != self.device or key in self._seen:
            return
        self._seen[key] = -(-storage.nbytes() // self.block) * self.block
        self.now += self._seen[key]
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self._seen.pop(key, 0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_flatten(result)[0]:
            if isinstance(tensor, torch.Tensor):
                self.note(tensor)
        return result
