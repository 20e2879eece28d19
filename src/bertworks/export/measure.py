"""The metric of a model's task, for the network of torch and for what was exported of it, by the same code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bertworks.data.bad_rows import BadRows
from bertworks.errors import InputError
from bertworks.export.heads import head_of
from bertworks.export.stand_in import stand_in
from bertworks.files import sha256
from bertworks.job import Job
from bertworks.model.heads import SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.pretrained import Pretrained
from bertworks.tasks import metrics
from bertworks.tasks.classification import own_data
from bertworks.tasks.classification.rows import Row


@dataclass(frozen=True)
class Measure:
    """What measures a model.

    Attributes:
        data: the name of the file or folder.
        sha256: of the file; None for a folder.
        of: model -> the metrics by name, as shares of 1.
    """

    data: str
    sha256: str | None
    of: Callable[[Pretrained], Mapping[str, float]]


def measure_of_job(job: Job, data: Path) -> Measure:
    """Return what measures a model by the metric that decides in a fine-tuning, on each of its dev sets."""
    return Measure(data.name, _sha256(data), partial(_evaluate, job))


def measure_of_pairs(data: Path, bad: BadRows) -> Measure:
    """Return what measures vectors of texts: pairs of texts with a score, and Spearman's rank correlation.

    Raises:
        InputError: the file is not one of pairs with a number each.
    """
    found = own_data.read(None, data, None, own_data.DataOptions(kind="regression"), bad)
    rows = [row for row in found.dev if row.pair]
    if len(rows) < 2:
        raise InputError(f"--data={data}: has no pairs of texts with a score, by which vectors are measured")
    return Measure(data.name, _sha256(data), partial(_correlate, rows))


def _sha256(data: Path) -> str | None:
    return sha256(data) if data.is_file() else None


def _evaluate(job: Job, pretrained: Pretrained) -> dict[str, float]:
    """Evaluate a model on the dev sets of a job, through a network whose head the job may adapt."""
    model = pretrained.model
    assert isinstance(model, SequenceClassifier | TokenClassifier | SpanClassifier)
    crf = model.crf if isinstance(model, TokenClassifier) else None
    network = stand_in(pretrained.config, head_of(pretrained), model, crf)
    assert isinstance(network, type(model))
    job.adapt(network)
    results = job.task(0).evaluate(network)
    decides = f"eval_{job.metrics[0]}"
    per_cent = isinstance(model, SpanClassifier)  # as the official script of SQuAD says them
    return {
        name.removeprefix("eval_"): value / 100 if per_cent else value
        for name, value in results.items()
        if name == decides or name.startswith(f"{decides}_")
    }


def _correlate(rows: list[Row], pretrained: Pretrained) -> dict[str, float]:
    """Compare the cosines of pairs with their scores."""
    first, second = (
        pretrained.embed(texts) for texts in ([row.text for row in rows], [row.pair or "" for row in rows])
    )
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines = (first * second).sum(1) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return {"spearman": metrics.spearman(np.array([row.label for row in rows], np.float64), cosines)}
