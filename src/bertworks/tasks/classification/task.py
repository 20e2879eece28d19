"""The task of classifying: one class, several classes at once, a number, or the best of several choices.

An example has one sequence, or a sequence for each choice, or several windows of a text that is too long for the model.
In training each window is an example of its own with the label of its text. In evaluation and prediction the logits of
a text are the mean of its windows' logits.

Shapes: N examples of a data set, n sequences of an example, B sequences of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bertworks import ragged
from bertworks.data.batch import PackedBatch, pack, to_device
from bertworks.data.sequences import Sequences
from bertworks.model.predict import ModelInput, predict
from bertworks.processes import ALONE, Processes
from bertworks.task import Task, micro_batches
from bertworks.tasks import metrics

# The label of an example: one class; 0 or 1 for every class; a number; the number of the right choice.
ProblemKind = Literal["single", "multi", "regression", "choice"]


@dataclass(frozen=True)
class LabelledSequences:
    """A data set, tokenized.

    Attributes:
        ids: [N], the names of the examples in predictions.
        sequences: of all examples, one after the other.
        labels: [N] int64 or float32, [N, C] float32 for several classes at once; None for a test file.
        counts: [N], n of each example; None is one each.
    """

    ids: Sequence[str]
    sequences: Sequences
    labels: NDArray[Any] | None
    counts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """N."""
        return len(self.ids)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Example i has sequences starts[i], ..., starts[i + 1] - 1. Shape [N + 1]."""
        return np.arange(len(self) + 1) if self.counts is None else ragged.starts(self.counts)

    @cached_property
    def largest_count(self) -> int:
        """The largest n."""
        return int(np.diff(self.starts).max(initial=1))

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """All arrays that training depends on."""
        sequences = self.sequences
        labels = [] if self.labels is None else [self.labels]
        return [sequences.ids, sequences.starts, sequences.first, self.starts, *labels]

    def sequences_of(self, examples: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of the sequences of these examples, one after the other, and how many each example has."""
        counts = self.starts[examples + 1] - self.starts[examples]
        return ragged.runs(self.starts[examples], counts), counts

    def tokens_of(self, examples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of tokens of each of these examples, in all its sequences."""
        return self.sequences.starts[self.starts[examples + 1]] - self.sequences.starts[self.starts[examples]]

    def packed(self, examples: NDArray[np.int64], first_key: int) -> PackedBatch:
        """Pack examples with labels; dropout keys number the sequences of the step."""
        assert self.labels is not None
        sequences, each = self.sequences_of(examples)
        ids, segments, lengths = self.sequences.take(sequences)
        keys = ragged.runs((first_key + np.arange(len(examples))) * self.largest_count, each)
        return pack(ids, segments, lengths, sequence_labels=self.labels[examples], dropout_keys=keys, filled=True)

    def split_windows(self) -> LabelledSequences:
        """Make every sequence an example of its own, with the label of the example it belongs to."""
        source = np.repeat(np.arange(len(self)), np.diff(self.starts))
        labels = None if self.labels is None else self.labels[source]
        return LabelledSequences([self.ids[i] for i in source.tolist()], self.sequences, labels)


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The settings of a run.

    Attributes:
        classes: C, the size of the head's output; for choices and numbers 1.
        train: None if nothing is trained; windows are examples of their own (`LabelledSequences.split_windows`).
        dev: the data sets to evaluate on, by the ending of their results' names ("" for the usual one).
        metrics: names in `tasks.metrics`; the first chooses the best model.
        train_batch_size: examples of an optimizer step, over all processes.
        class_weights: [C], factors of each class's loss; None is 1 each.
        precision, eval_precision: the types that the model computes in; its weights stay float32.
        processes: share evaluation and prediction.
    """

    kind: ProblemKind
    classes: int
    train: LabelledSequences | None = None
    dev: Mapping[str, LabelledSequences] = field(default_factory=dict)
    metrics: Sequence[str] = ("accuracy",)
    train_batch_size: int = 32
    random_seed: int = 12345
    class_weights: NDArray[np.float32] | None = None
    precision: torch.dtype = torch.float32
    eval_precision: torch.dtype = torch.float32
    processes: Processes = ALONE


def task(settings: Classification) -> Task:
    """Return classification as a task of the training loop."""
    return Task(
        batches=partial(micro_batches, settings.train, settings.train_batch_size, settings.random_seed),
        counts=partial(counts, settings),
        sums=partial(sums, settings),
        evaluate=partial(evaluate, settings),
        losses={"loss": 0.0},
    )


def counts(settings: Classification, batch: PackedBatch) -> Mapping[str, float]:
    """Return the divisor of each term: examples, or the sum of their class weights."""
    examples = len(batch.sequence_labels)
    weights = settings.class_weights
    weight = examples if weights is None else float(weights[batch.sequence_labels.numpy()].sum())
    return {"loss": weight, "accuracy": examples} if settings.kind in ("single", "choice") else {"loss": weight}


def sums(settings: Classification, model: nn.Module, batch: PackedBatch, dropout: int | None) -> Mapping[str, Tensor]:
    """Return the sum of each term over a batch."""
    labels = batch.sequence_labels
    logits = model(batch, dropout=dropout, dtype=settings.precision)  # [B, C]
    if settings.kind == "choice" and len(labels):
        logits = logits.view(len(labels), -1)  # [B, 1] -> [N, n]
    terms = {"loss": loss(settings, logits, labels)}
    if settings.kind in ("single", "choice"):
        terms["accuracy"] = (logits.argmax(-1) == labels).sum().float()
    return terms


def loss(settings: Classification, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss summed over examples, a scalar.

    It is cross entropy for classes and choices (run_classifier.py), the mean over classes of binary cross entropies for
    several classes at once, and the squared difference for numbers.
    """
    if settings.kind == "regression":
        return F.mse_loss(logits[:, 0], labels, reduction="sum")
    if settings.kind == "multi":
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(-1).sum()
    weights = settings.class_weights
    weight = None if weights is None else to_device(torch.from_numpy(weights), logits.device)
    return F.cross_entropy(logits, labels, weight, reduction="sum")


def predict_logits(settings: Classification, model: nn.Module, data: LabelledSequences) -> NDArray[np.float32]:
    """Return the logits of a data set: [N, C], the mean over an example's windows; for choices [N, n]."""
    device = next(model.parameters()).device
    compute: Callable[[PackedBatch], Tensor] = partial(model, dtype=settings.eval_precision)
    outputs = predict(compute, _examples(data.sequences), "sequence", device=device, processes=settings.processes)
    found = np.array(list(outputs), np.float32)
    if settings.kind == "choice":
        return found.reshape(len(data), -1)
    mean = np.add.reduceat(found, data.starts[:-1]) / np.diff(data.starts)[:, None]
    return mean.astype(np.float32)


def _examples(sequences: Sequences) -> Iterator[ModelInput]:
    for start, end, first in zip(sequences.starts, sequences.starts[1:], sequences.first, strict=False):
        yield ModelInput(sequences.ids[start:end], (np.arange(end - start) >= first).astype(np.int64))


def evaluate(settings: Classification, model: nn.Module) -> Mapping[str, float]:
    """Return the metrics and the mean loss of every dev set, named eval_..."""
    logits = {ending: predict_logits(settings, model, data) for ending, data in settings.dev.items()}
    return evaluate_logits(settings, logits)


def evaluate_logits(settings: Classification, logits: Mapping[str, NDArray[np.float32]]) -> Mapping[str, float]:
    """Return the results of `evaluate`, given the logits of every dev set."""
    unweighted = replace(settings, class_weights=None)
    results: dict[str, float] = {}
    for ending, data in settings.dev.items():
        assert data.labels is not None
        found = metrics.evaluate(settings.metrics, data.labels, predictions(settings.kind, logits[ending]))
        results |= {f"eval_{name}{ending}": value for name, value in found.items()}
        total = loss(unweighted, torch.from_numpy(logits[ending]), torch.from_numpy(data.labels))
        results[f"eval_loss{ending}"] = float(total) / len(data)
    return results


def predictions(kind: ProblemKind, logits: NDArray[np.float32]) -> NDArray[Any]:
    """Return [N] classes or numbers, or [N, C] 0 or 1 for several classes at once."""
    if kind == "regression":
        return logits[:, 0]
    return (logits > 0).astype(np.int64) if kind == "multi" else logits.argmax(-1)


def probabilities(kind: ProblemKind, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return [N, C] for each class or choice; for a regression the predicted numbers, [N, 1]."""
    if kind == "regression":
        return logits
    values = torch.from_numpy(logits)
    result: NDArray[np.float32] = (torch.sigmoid(values) if kind == "multi" else torch.softmax(values, -1)).numpy()
    return result
