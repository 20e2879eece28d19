"""Counts the living bytes of training steps on a GPU that is not there.

    python -m tests.gpu_without_gpu.memory FOLDER     # of each step: the bytes of its tensors at the peak; JSON

FOLDER keeps the library that `fake_cuda.install` builds.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from bertworks import ragged
from bertworks.config import BertConfig
from bertworks.data.instances import Instances
from bertworks.data.sequences import Sequences
from bertworks.model.heads import PretrainingModel, SequenceClassifier, SpanClassifier
from bertworks.model.memory import Head
from bertworks.tasks import pretraining
from bertworks.tasks.classification import task as classification
from bertworks.tasks.squad import task as squad
from bertworks.tasks.squad.windows import Windows
from bertworks.train import optimizer
from bertworks.train.distributed import World
from bertworks.train.gradients import GradientSums
from bertworks.train.report import MetricWindow
from bertworks.train.step import Stepper
from tests.gpu_without_gpu.fake_cuda import CUDA, fake_cuda, install
from tests.gpu_without_gpu.recorder import no_modes
from tests.live_bytes import LiveBytes

SIZES = {"half of base": (6, 768), "base": (12, 768), "large": (24, 1024)}


class Step(NamedTuple):
    """A training step: the size of the model, what it trains, sequences and their length, and how."""

    size: str
    head: Head
    sequences: int
    length: int
    precision: str = "bf16"
    again: bool = False

    @property
    def config(self) -> BertConfig:
        layers, hidden = SIZES[self.size]
        numbers = {"num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": hidden // 64}
        return BertConfig(vocab_size=30522, intermediate_size=4 * hidden, hidden_act="gelu_new", **numbers)

    @property
    def masked(self) -> int:
        """Masked words of each sequence."""
        return round(0.15 * self.length)


STEPS = [
    Step("half of base", "sequence", 32, 128),
    Step("half of base", "sequence", 64, 512, "bf16", again=True),
    Step("half of base", "pretraining", 64, 128),
    Step("half of base", "pretraining", 8, 512, "fp32"),
    Step("half of base", "span", 16, 384, "fp32"),
    Step("base", "pretraining", 64, 128, "bf16", again=True),
    Step("large", "sequence", 15, 512),
]


class Source:
    """Instances of equal length."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def instances(self, first: int, last: int) -> Instances:
        count, length, masked = last - first, self.step.length, self.step.masked
        ids = np.full(count * length, 2000)
        rows = (np.arange(count)[:, None] * length + np.arange(1, masked + 1)).reshape(-1)
        return Instances(ids, 0 * ids, np.full(count, length), rows, ids[: len(rows)], np.zeros(count, np.int64))

    def identity(self) -> dict[str, object]:
        return {}


def prepared(step: Step) -> tuple[Any, Any]:
    """The model on the device, and the task."""
    precision = torch.float32 if step.precision == "fp32" else torch.bfloat16
    starts = ragged.starts(np.full(step.sequences, step.length))
    sequences = Sequences(np.full(starts[-1], 2000, np.uint16), starts, np.full(step.sequences, step.length // 2))
    numbers = np.arange(step.sequences)
    with torch.device("cuda"):
        if step.head == "pretraining":
            source = Source(step)
            settings = pretraining.Pretraining(
                phases=[pretraining.InstancePhase(source, step.sequences)],
                eval_source=source,
                vocab_size=30522,
                eval_batch_size=8,
                max_eval_steps=1,
                precision=precision,
            )
            return PretrainingModel(step.config), pretraining.task(settings)
        if step.head == "span":
            windows = Windows(sequences, numbers, numbers, 0 * numbers, 0, positions=np.tile([1, 3], (len(numbers), 1)))
            answering = squad.QuestionAnswering(train=windows, train_batch_size=step.sequences, precision=precision)
            return SpanClassifier(step.config), squad.task(answering)
        data = classification.LabelledSequences([str(i) for i in numbers], sequences, numbers % 2, None)
        classifying = classification.Classification(
            kind="single", classes=2, train=data, dev={}, train_batch_size=step.sequences, precision=precision
        )
        return SequenceClassifier(step.config, 2), classification.task(classifying)


def counted(step: Step) -> dict[str, int]:
    """Take a step; return its tokens and the bytes at the peak."""
    with fake_cuda(), LiveBytes("cuda") as live:
        model, task = prepared(step)
        model.bert.gradient_checkpointing = step.again
        stepper = Stepper(
            model=model,
            task=task,
            optimizer=optimizer.build(model, "adam"),
            world=World(0, 1, CUDA),
            window=MetricWindow(CUDA),
            rate=lambda _: 1e-4,
            random_seed=1,
            token_budget=1 << 40,
            gradient_sums=GradientSums(model, World(0, 1, CUDA)),
        )
        with no_modes(), torch.enable_grad():
            micro_batches = stepper.micro_batches(0)
        stepper.take(0, micro_batches, False)
        (batch,) = micro_batches.batches
        return {"tokens": batch.tokens, "peak": live.peak}


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    install(folder)
    print(json.dumps([counted(step) for step in STEPS]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
