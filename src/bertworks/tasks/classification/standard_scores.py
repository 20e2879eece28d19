"""Scores of any scale: a model trains on standardised ones, and its head is written for those of the file.

With scores such as 0 to 1,000, a head whose weights move by a learning rate of 5e-5 does not even reach their mean.
Training therefore sees (score - mean) / deviation. What is written is folded: the head times the deviation, plus the
mean. So the folder predicts in the file's scale, in every library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bertworks.model.heads import SequenceClassifier
from bertworks.tasks.classification.task import Classification, LabelledSequences


@dataclass(frozen=True)
class ScoreScale:
    """The mean and the standard deviation of the training scores."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, data: LabelledSequences) -> ScoreScale:
        """Return the scale of a training set."""
        assert data.labels is not None
        scores = data.labels.astype(np.float64)
        return cls(float(scores.mean()), float(scores.std()) or 1.0)

    def standardised(self, settings: Classification) -> Classification:
        """Return the settings of a run whose labels are standardised."""

        def changed(data: LabelledSequences) -> LabelledSequences:
            assert data.labels is not None
            labels = (data.labels.astype(np.float64) - self.mean) / self.deviation
            return replace(data, labels=labels.astype(np.float32))

        train = changed(settings.train) if settings.train else None
        return replace(settings, train=train, dev={ending: changed(data) for ending, data in settings.dev.items()})

    def folded(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the head that predicts in the file's scale, from the weights of a network, by the same names."""
        weight, bias = (weights[f"classifier.{name}"].detach().double() for name in ("weight", "bias"))
        return {
            "classifier.weight": (weight * self.deviation).float(),
            "classifier.bias": (bias * self.deviation + self.mean).float(),
        }

    @torch.no_grad()
    def unfold(self, network: SequenceClassifier) -> None:
        """Turn a head that predicts in the file's scale into one for standardised scores."""
        head = network.classifier
        head.weight.copy_(head.weight.double() / self.deviation)
        head.bias.copy_((head.bias.double() - self.mean) / self.deviation)
