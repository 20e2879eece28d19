"""The README's table of largest batches for a device of some size, by accounting: nothing is run.

The original's README has the batches that its fine-tuning fitted into a Titan X of 12 GB ("Out-of-memory issues" in
https://github.com/google-research/bert). `model/memory.py` counts the bytes of a step of ours, tensor by tensor.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bertworks.config import BertConfig
from bertworks.model.memory import largest_batch

LENGTHS = (64, 128, 256, 320, 384, 512)
VOCAB_SIZE = 30522

# Of the original, with TensorFlow 1.11, Adam and float32.
ORIGINAL = {"base": (64, 32, 16, 14, 12, 6), "large": (12, 6, 2, 1, 0, 0)}

# How we may train -> the options of `step_bytes`.
WAYS: Mapping[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "bf16, checkpointing": {"precision": "bf16", "gradient_checkpointing": True},
    "bf16, checkpointing, 8-bit optimizer": {
        "precision": "bf16",
        "gradient_checkpointing": True,
        "optimizer_bits": 8,
    },
}


def largest_batches(sizes: Sequence[str], memory: int, device: str) -> list[dict[str, Any]]:
    """Return a row for each size and length: the original's batch, and ours in every way."""
    return [
        {
            "model": size,
            "tokens": length,
            "original": ORIGINAL[size][number] if size in ORIGINAL else None,
            **{
                way: largest_batch(BertConfig.from_size(size, VOCAB_SIZE), length, memory, device=device, **options)
                for way, options in WAYS.items()
            },
        }
        for size in sizes
        for number, length in enumerate(LENGTHS)
    ]


def pages(rows: Sequence[Mapping[str, Any]], memory: int, device: str, command: str) -> dict[str, str]:
    """Return the table as Markdown and as JSON, by the names of the files."""
    titles = ["model", "tokens", "the original, 12 GB", *WAYS]
    lines = [["" if value is None else str(value) for value in row.values()] for row in rows]
    page = [
        "# Largest batches",
        f"Sequences of a fine-tuning step that fit into {memory / 2**30:.3g} GiB ({device}), computed by counting the "
        "bytes of a step; the original's are those of its README, on 12 GB.",
        "\n".join(f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles), *lines)),
        f"Made by `{command}`",
    ]
    values = {"memory": memory, "device": device, "command": command, "rows": list(rows)}
    return {"memory.md": "\n\n".join(page) + "\n", "memory.json": json.dumps(values, indent=1) + "\n"}
