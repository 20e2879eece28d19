"""Compiled blocks: where there is a compiler, and what it costs."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from bertworks.model.bert import Bert


def compile_blocks(bert: Bert, device: torch.device) -> str:
    """Let the blocks be compiled at their first use, if they can be on a device; return a line that says so.

    Blocks are compiled singly: one graph serves all blocks and lengths, and one more the last block.
    """
    if device.type != "cuda":
        return "--compile: blocks are compiled on CUDA only; here they run as they are."
    if find_spec("triton") is None:
        return (
            "--compile: triton, the compiler for CUDA, is not installed; blocks run as they are (pip install triton)."
        )
    bert.compiled = True
    return "--compile: the blocks are compiled at their first use, which takes a minute or more."
