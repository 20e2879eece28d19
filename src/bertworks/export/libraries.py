"""The libraries of the extra `export`, each imported when it is needed."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, Literal

from bertworks.errors import InputError

Library = Literal["onnx", "onnxruntime", "openvino"]


def library(name: Library) -> Any:
    """Return the module of a library.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(f'{name} is not installed; pip install "bertworks[export]"') from None


@cache
def openvino_core() -> Any:
    """Return OpenVINO's `Core`, one for the process, which lasts as long.

    A Core gives the thread that makes it a stack for signals, and frees that stack at its own end. The first of several
    Cores frees what the others go back to, and then the next signal ends the process (openvino 2026.4).

    Raises:
        InputError: OpenVINO is not installed.
    """
    return library("openvino").Core()
