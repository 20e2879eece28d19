"""A CUDA device that is not there: its tensors have types, shapes and devices, and no values.

Works with the CPU build of torch. The autograd engine must be told that there is a device, by a small library that is
built once (g++, 16 s). It changes torch for the whole process, so programs run in a process of their own.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from tests.gpu_without_gpu.recorder import Recorder, true_values

CUDA = torch.device("cuda", 0)
H200 = SimpleNamespace(total_memory=150_754_820_096, name="fake H200", major=9, minor=0, multi_processor_count=132)


def install(folder: Path) -> None:
    """Let tensors of a device that is not here pass the guards and the autograd engine.

    Args:
        folder: where the library is built and kept.
    """
    root, library = Path(torch.__file__).parent, folder / f"fake_cuda_hooks-{torch.__version__}.so"
    if not library.exists():
        made = library.with_suffix(f".{os.getpid()}")
        source = Path(__file__).with_name("fake_cuda_hooks.cpp")
        includes = [f"-I{root}/include", f"-I{root}/include/torch/csrc/api/include"]
        build = ["g++", "-std=c++20", "-O1", "-fPIC", "-shared", *includes, str(source), "-o", str(made)]
        subprocess.run([*build, f"-L{root}/lib", "-ltorch_cpu", "-lc10"], check=True)
        made.replace(library)
    ctypes.CDLL(str(library))


@contextmanager
def fake_cuda() -> Iterator[Recorder]:
    """Inside, "cuda" is there; the recorder notes where a program would wait for it."""
    recorder = Recorder(FakeTensorMode(allow_non_fake_inputs=True))
    to_list, to_numpy = torch.Tensor.tolist, torch.Tensor.numpy

    def tolist(t: torch.Tensor) -> Any:
        if t.device.type == "cuda":
            recorder.note("tolist")
        value = recorder.value(t)
        return np.ones(tuple(t.shape)).tolist() if value is None else true_values(to_list, value)

    def numpy(t: torch.Tensor, **_: Any) -> Any:
        assert t.device.type == "cpu", "numpy() of a CUDA tensor"
        value = recorder.value(t)
        if value is not None:
            return true_values(to_numpy, value)
        return np.zeros(tuple(t.shape), str(t.dtype).removeprefix("torch."))

    event = mock.MagicMock(name="Event")
    event.return_value.synchronize = lambda: recorder.note("Event.synchronize")
    patches = {
        (torch.Tensor, "tolist"): tolist,
        (FakeTensor, "tolist"): tolist,
        (torch.Tensor, "numpy"): numpy,
        (torch.Tensor, "pin_memory"): lambda t, *_: recorder.pinned(t),
        (torch.cuda, "Event"): event,
        (torch.cuda, "manual_seed"): lambda _: None,
        (torch.cuda, "empty_cache"): lambda: None,
        (torch.cuda, "get_device_properties"): lambda _=None: H200,
        (torch.cuda, "get_device_capability"): lambda _=None: (9, 0),
        (torch.random, "fork_rng"): lambda *_, **__: nullcontext(),
    }
    with ExitStack() as stack:
        for (owner, name), new in patches.items():
            stack.enter_context(mock.patch.object(owner, name, new))
        stack.enter_context(recorder.fake)
        stack.enter_context(recorder)
        yield recorder
