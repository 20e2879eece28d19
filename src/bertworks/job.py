"""`Job`: what the driver of fine-tuning asks of a job. Classification, tagging and SQuAD are values of this type.

A command reads its flags. The driver (`finetuning/run.py`) opens the model and makes a `Setup`. The folder of the job
in `tasks/` reads the data and returns a `Job`. The training loop asks a job for a `Task` (`task.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks.card.record import Amount
from bertworks.checkpoints.weights import Checkpoint
from bertworks.config import BertConfig
from bertworks.data.sequences import shuffled
from bertworks.model.heads import SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.processes import ALONE, Processes
from bertworks.task import Task
from bertworks.text.tokenizer import Tokenizer

RowType = TypeVar("RowType")

Network = SequenceClassifier | TokenClassifier | SpanClassifier


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The model to begin with, and the settings that all jobs share.

    Attributes:
        checkpoint: opened, nothing of it loaded.
        config: of the model, with the dropout asked for and the settings that a trained model remembers.
        tokenizer: over the model's vocabulary.
        splits: which of train, dev and test are asked for.
        max_seq_length: the most tokens of a sequence.
        train_batch_size: examples of an optimizer step, over all processes.
        train_fraction: the share of the training examples to use.
        random_seed: decides which these are.
        precision, eval_precision: what training, and evaluation and prediction, compute in.
        output_dir: where results go.
        say: prints a line for a person, once for all processes.
        processes: share evaluation and prediction; the main one writes files.
    """

    checkpoint: Checkpoint
    config: BertConfig
    tokenizer: Tokenizer
    splits: Sequence[str]
    max_seq_length: int
    train_batch_size: int
    train_fraction: float
    random_seed: int
    precision: torch.dtype
    eval_precision: torch.dtype
    output_dir: Path
    say: Callable[[str], None]
    processes: Processes = ALONE

    @property
    def trains(self) -> bool:
        """Whether a model is trained."""
        return "train" in self.splits

    def share(self, rows: Sequence[RowType]) -> Sequence[RowType]:
        """Take `train_fraction` of the rows at random, in their order; a smaller share is part of a larger one."""
        if self.train_fraction >= 1:
            return rows
        kept = shuffled(self.random_seed, len(rows), 0, len(rows))[: max(1, round(self.train_fraction * len(rows)))]
        return [rows[i] for i in sorted(kept.tolist())]


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation, on the dev set; or on a test set with labels, if their names begin with test_.

    Attributes:
        results: by name; those of `originals` come first in the files.
        originals: the names that the original's eval_results.txt has.
        table: lines for a person, shown above the results.
    """

    results: Mapping[str, float]
    originals: Sequence[str] = ()
    table: str = ""

    @property
    def of_test(self) -> bool:
        """Whether these are the results on a test set."""
        return all(name.startswith("test_") for name in self.results)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One fine-tuning.

    Attributes:
        config: of the model that is written, its labels included.
        architecture: Hugging Face's class of that model.
        network: makes the network with a head of the right size, nothing of it loaded.
        head: what its head is for, in a message ("for these 3 classes").
        adapt: changes the network once its weights are loaded.
        folded: from the network's weights to those that are written otherwise than they are trained, by name.
        task: from the seed of a training to what the loop asks of it.
        examples: how many an epoch has; 0 if nothing is trained.
        metrics: results without their `eval_`, the one that decides first.
        has_dev: whether there is a dev set to evaluate on while training.
        identity: flag -> value of what must not change when a training is resumed.
        training_data: their fingerprint, which must not change either; None if nothing is trained.
        amounts: split -> how much data it has, as far as it is known before the training.
        results: evaluates and predicts with the network; yields lines for a person, and evaluations to be written.
            Every process runs it, so that they share the work. Only the main one writes files.
    """

    config: BertConfig
    architecture: str
    network: Callable[[], Network]
    head: str
    adapt: Callable[[Network], None] = lambda network: None
    folded: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = lambda weights: {}
    task: Callable[[int], Task]
    examples: int
    metrics: Sequence[str]
    has_dev: bool
    identity: Mapping[str, object]
    training_data: str | None
    results: Callable[[Any], Iterator[str | Evaluation]]
    amounts: Mapping[str, Amount] = field(default_factory=dict)


def fingerprint(*arrays: NDArray[np.generic]) -> str:
    """Hash training data, so that a run is not continued on changed files. 16 hexadecimal digits."""
    digest = sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
