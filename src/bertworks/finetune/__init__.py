"""The driver of every fine-tuning. The package can be called: `bertworks.finetune(rows, ...)`, see `in_python.py`."""

import importlib
import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """The package and the function of this name are one, so that importing the one does not hide the other."""

    def __call__(self, *data: Any, **options: Any) -> Any:
        """Fine-tune a model."""
        # The function stands above the commands that it calls, and so above this package.
        return importlib.import_module("bertworks.in_python").finetune(*data, **options)


sys.modules[__name__].__class__ = _CallablePackage
