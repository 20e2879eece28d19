"""Classifying sequences: one class each, several at once, a number, or the best of several ways to go on.

The settings are a value; the functions are what the loop asks of a task (task.py), and prediction.

An example is one sequence; or as many as there are choices; or, of a text too long for the model, several windows. In
training each window is an example of its text's label, so that a long text is cut into micro-batches as any others; in
evaluation and prediction the mean of its windows' logits decides.

Shapes: N examples of a data set, n sequences of an example, B sequences of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bertworks.data.batch import PackedBatch, pack
from bertworks.data.sequences import Sequences
from bertworks.model.predict import Example, predict
from bertworks.ragged import within
from bertworks.task import Cut, Task
from bertworks.tasks import metrics
from bertworks.tasks.micro_batches import micro_batches

# What a label is: one class; 0 or 1 for every class; a number; the number of the right choice.
Kind = Literal["single", "multi", "regression", "choice"]


@dataclass(frozen=True)
class Labelled:
    """A data set, tokenized.

    Attributes:
        ids: [N], as predictions name the examples.
        sequences: of all examples, one after the other.
        labels: [N] int64 or float32, [N, C] float32 for several labels at once; None in a test file.
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
        """Example i is sequences starts[i], ..., starts[i + 1] - 1. Shape [N + 1]."""
        counts = np.ones(len(self), np.int64) if self.counts is None else self.counts
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])

    @cached_property
    def most(self) -> int:
        """The largest n."""
        return int(np.diff(self.starts).max(initial=1))

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """All that training sees of it."""
        sequences = self.sequences
        labels = [] if self.labels is None else [self.labels]
        return [sequences.ids, sequences.starts, sequences.first, self.starts, *labels]

    def of(self, examples: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of the sequences of some examples, one after the other, and how many each of them has."""
        counts = self.starts[examples + 1] - self.starts[examples]
        return np.repeat(self.starts[examples], counts) + within(counts), counts

    def tokens_of(self, examples: NDArray[np.int64]) -> NDArray[np.int64]:
        """The tokens of some examples, over all their sequences."""
        sequences, counts = self.of(examples)
        tokens: NDArray[np.int64] = np.add.reduceat(self.sequences.lengths[sequences], np.cumsum(counts) - counts)
        return tokens

    def apart(self) -> Labelled:
        """Every sequence as an example of its own, with the label of the one it came from."""
        source = np.repeat(np.arange(len(self)), np.diff(self.starts))
        labels = None if self.labels is None else self.labels[source]
        return Labelled([self.ids[i] for i in source.tolist()], self.sequences, labels)


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The settings of a run.

    Attributes:
        classes: C, the size of the head's output; for choices and numbers 1.
        train: None where nothing is trained; windows are examples of their own (`Labelled.apart`).
        dev: by what its results' names end with ("" for the usual one).
        metrics: names of `tasks.metrics`, the one that decides first.
        train_batch_size: examples of an optimizer step, over all processes.
        class_weights: [C], what the loss of each class counts; None is 1 each.
        precision, eval_precision: what the model computes in; the weights are float32 always.
    """

    kind: Kind
    classes: int
    train: Labelled | None = None
    dev: Mapping[str, Labelled] = field(default_factory=dict)
    metrics: Sequence[str] = ("accuracy",)
    train_batch_size: int = 32
    random_seed: int = 12345
    class_weights: NDArray[np.float32] | None = None
    precision: torch.dtype = torch.float32
    eval_precision: torch.dtype = torch.float32


def task(settings: Classification) -> Task:
    """Classification as the loop takes it."""
    return Task(
        batches=partial(batches, settings),
        counts=partial(counts, settings),
        sums=partial(sums, settings),
        evaluate=partial(evaluate, settings),
        losses={"loss": 0.0},
    )


def batches(settings: Classification, step: int, cut: Cut) -> Sequence[PackedBatch]:
    """This process's share of a step, in micro-batches; see `micro_batches`."""
    train = settings.train
    assert train is not None
    labels = train.labels
    assert labels is not None
    size, seed = settings.train_batch_size, settings.random_seed
    parts = micro_batches(len(train), train.tokens_of, batch_size=size, seed=seed, step=step, cut=cut)
    return [_packed(train, chosen, labels, first_key) for chosen, first_key in parts]


def _packed(data: Labelled, examples: NDArray[np.int64], labels: NDArray[Any], first_key: int) -> PackedBatch:
    """Examples as a batch; dropout knows each sequence by its place in the step."""
    sequences, each = data.of(examples)
    ids, segments, lengths = data.sequences.take(sequences)
    keys = np.repeat(first_key + np.arange(len(examples)), each) * data.most + within(each)
    return pack(ids, segments, lengths, sequence_labels=labels[examples], dropout_keys=keys, filled=True)


def counts(settings: Classification, batch: PackedBatch) -> Mapping[str, float]:
    """What each term's sum is divided by."""
    examples = len(batch.sequence_labels)
    weights = settings.class_weights
    weight = examples if weights is None else float(weights[batch.sequence_labels.numpy()].sum())
    return {"loss": weight, "accuracy": examples} if settings.kind in ("single", "choice") else {"loss": weight}


def sums(settings: Classification, model: nn.Module, batch: PackedBatch, dropout: int | None) -> Mapping[str, Tensor]:
    """Each term's sum over a batch."""
    logits = _by_example(settings.kind, model(batch, dropout=dropout, dtype=settings.precision), batch.sequence_labels)
    terms = {"loss": loss(settings, logits, batch.sequence_labels)}
    if settings.kind in ("single", "choice"):
        terms["accuracy"] = (logits.argmax(-1) == batch.sequence_labels).sum().float()
    return terms


def _by_example(kind: Kind, logits: Tensor, labels: Tensor) -> Tensor:
    """[B, C] -> [N, C]; of choices [B, 1] -> [N, n]."""
    return logits.view(len(labels), -1) if kind == "choice" and len(labels) else logits


def loss(settings: Classification, logits: Tensor, labels: Tensor) -> Tensor:
    """The loss summed over examples: a scalar.

    Cross entropy for classes and choices (run_classifier.py), the mean over classes of binary cross entropies for
    several labels at once, the square of the difference for numbers.
    """
    if settings.kind == "regression":
        return F.mse_loss(logits[:, 0], labels, reduction="sum")
    if settings.kind == "multi":
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(-1).sum()
    weights = settings.class_weights
    weight = None if weights is None else torch.from_numpy(weights).to(logits.device)
    return F.cross_entropy(logits, labels, weight, reduction="sum")


def logits_of(settings: Classification, model: nn.Module, data: Labelled) -> NDArray[np.float32]:
    """What the model answers about a data set: [N, C], the mean over an example's windows, or [N, n] for choices."""
    device = next(model.parameters()).device
    compute: Callable[[PackedBatch], Tensor] = partial(model, dtype=settings.eval_precision)
    found = np.array(list(predict(compute, _examples(data.sequences), "sequence", device=device)), np.float32)
    if settings.kind == "choice":
        return found.reshape(len(data), -1)
    mean = np.add.reduceat(found, data.starts[:-1]) / np.diff(data.starts)[:, None]
    return mean.astype(np.float32)


def _examples(sequences: Sequences) -> Iterator[Example]:
    for start, end, first in zip(sequences.starts, sequences.starts[1:], sequences.first, strict=False):
        yield Example(sequences.ids[start:end], (np.arange(end - start) >= first).astype(np.int64))


def evaluate(settings: Classification, model: nn.Module) -> Mapping[str, float]:
    """The metrics and the mean loss over every data set with labels, their names beginning with `eval_`."""
    return judge(settings, {ending: logits_of(settings, model, data) for ending, data in settings.dev.items()})


def judge(settings: Classification, answers: Mapping[str, NDArray[np.float32]]) -> Mapping[str, float]:
    """The same, given the logits of every such data set."""
    results: dict[str, float] = {}
    for ending, data in settings.dev.items():
        assert data.labels is not None
        logits = answers[ending]
        found = metrics.evaluate(settings.metrics, data.labels, predicted(settings.kind, logits))
        results |= {f"eval_{name}{ending}": value for name, value in found.items()}
        plain = Classification(kind=settings.kind, classes=settings.classes)
        total = loss(plain, torch.from_numpy(logits), torch.from_numpy(data.labels))
        results[f"eval_loss{ending}"] = float(total) / len(data)
    return results


def predicted(kind: Kind, logits: NDArray[np.float32]) -> NDArray[Any]:
    """[N] classes or numbers, or [N, C] 0 or 1 for several labels at once."""
    if kind == "regression":
        return logits[:, 0]
    return (logits > 0).astype(np.int64) if kind == "multi" else logits.argmax(-1)


def probabilities(kind: Kind, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """[N, C] for each class, or for each choice; of a regression the numbers themselves, [N, 1]."""
    if kind == "regression":
        return logits
    values = torch.from_numpy(logits)
    result: NDArray[np.float32] = (torch.sigmoid(values) if kind == "multi" else torch.softmax(values, -1)).numpy()
    return result
