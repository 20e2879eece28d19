"""A task so small that the loop's own behaviour is all there is to see."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bertworks import draws, ragged
from bertworks.data.batch import PackedBatch, cut_by_tokens, pack
from bertworks.task import Partition, Task
from bertworks.train.run import Run


class ToyModel(nn.Module):
    """One number for every word."""

    def __init__(self, words: int = 10) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, words))

    def forward(self, batch: PackedBatch) -> Tensor:
        return self.weight[batch.input_ids]


def batches(step: int, partition: Partition, batch_size: int = 6) -> list[PackedBatch]:
    """Sequences of 1 to 4 words; their labels are to be regressed."""
    first, last = (step * batch_size + batch_size * r // partition.world for r in (partition.rank, partition.rank + 1))
    rows = np.arange(first, last)
    lengths = draws.integers(draws.key(1), rows, 1, 5)
    starts = ragged.starts(lengths)
    tokens = np.concatenate(
        [draws.integers(draws.key(2, row), np.arange(n), 0, 10) for row, n in zip(rows, lengths, strict=True)]
    )
    result = []
    for part in cut_by_tokens(lengths, partition.token_budget) or [slice(0, 0)]:
        ids = tokens[starts[part.start] : starts[part.stop]]
        result.append(
            pack(
                ids,
                0 * ids,
                lengths[part],
                labels=(ids % 3).astype(np.float32),
                dropout_keys=rows[part] - step * batch_size,
            )
        )
    return result


def sums(model: nn.Module, batch: PackedBatch, dropout: int | None) -> dict[str, Tensor]:
    found = model(batch)
    return {"word_loss": (found - batch.labels).square().sum(), "word_accuracy": (found.round() == batch.labels).sum()}


def task(**changes: Callable[..., Any]) -> Task:
    functions: dict[str, Any] = {
        "batches": batches,
        "counts": lambda batch: {"word_loss": batch.tokens, "word_accuracy": batch.tokens},
        "sums": sums,
        "evaluate": lambda model: {"mean": float(model.weight.detach().mean())},
        "losses": {"word_loss": 0.0},
    }
    return Task(**{**functions, **changes})


def run(output_dir: Path, model: nn.Module, **changes: Any) -> Run:
    values: Mapping[str, Any] = {
        "output_dir": output_dir,
        "num_train_steps": 10,
        "num_warmup_steps": 2,
        "learning_rate": 0.05,
        "log_every_steps": 3,
        "save_checkpoints_steps": 4,
        "identity": {"--train_batch_size": 6},
        "settings": {"learning_rate": 0.05},
        "write_model": lambda folder, weights: save_file(dict(weights), folder / "model.safetensors"),
    }
    return Run(**{**values, **changes})
