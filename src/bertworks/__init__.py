"""bertworks: BERT, whole and alive."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bertworks.config import BertConfig as BertConfig
    from bertworks.errors import InputError as InputError
    from bertworks.in_python import finetune as finetune
    from bertworks.model_zoo import get_model as get_model
    from bertworks.pretrained import load as load
    from bertworks.text.full_tokenizer import FullTokenizer as FullTokenizer
    from bertworks.text.tokenizer import Tokenizer as Tokenizer

__version__ = "0.1.0"

# Public name -> the module that defines it. Imported on first use, so that `import bertworks` costs nothing.
_PUBLIC = {
    "BertConfig": "bertworks.config",
    "FullTokenizer": "bertworks.text.full_tokenizer",
    "InputError": "bertworks.errors",
    "Tokenizer": "bertworks.text.tokenizer",
    "finetune": "bertworks.in_python",
    "get_model": "bertworks.model_zoo",
    "load": "bertworks.pretrained",
}

__all__ = [*_PUBLIC, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bertworks' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
