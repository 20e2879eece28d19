"""The libraries of the extra `export`, each imported when it is needed."""

from __future__ import annotations

import importlib
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
