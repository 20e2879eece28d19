"""Classify texts with a fine-tuned model, whose folder says what its labels are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import numpy as np
import torch
from numpy.typing import NDArray

from bertworks.model.heads import SequenceClassifier
from bertworks.tasks.classification import task as classification
from bertworks.tasks.classification.problem import Problem, encode_rows
from bertworks.tasks.classification.rows import Row
from bertworks.tasks.classification.task import Classification, ProblemKind
from bertworks.tasks.classification.trained_labels import kind_of
from bertworks.tasks.labels import names_of_outputs
from bertworks.tasks.result import Result
from bertworks.tasks.texts import Text, checked_texts, how_long_texts_are_read, is_blank, sequence_length
from bertworks.text.tokenizer import Tokenizer


class Classified(Result):
    """What a model predicts for a text.

    Attributes:
        label: the class; for several at once, all with a probability above one half; for a regression, the number;
            None for an empty text.
        probabilities: of every class, by name; empty for a regression and for an empty text.
    """

    label: str | tuple[str, ...] | float | None
    probabilities: dict[str, float]


def classify(
    model: SequenceClassifier,
    tokenizer: Tokenizer,
    texts: Sequence[Text],
    max_seq_length: int | None,
    dtype: torch.dtype,
) -> list[Classified]:
    """Predict the class, the classes or the number of each text or pair; long texts are read as in training.

    Args:
        max_seq_length: None is that of the training, or all positions of the model.

    Raises:
        InputError: an item is not a text, or the model cannot read this length.
    """
    texts = checked_texts(texts, pairs=True)
    config, names = model.config, names_of_outputs(model.config, len(model.classifier.weight))
    kind = kind_of(config, len(names)) or "single"
    problem = Problem(name="", kind=kind, labels=() if kind == "regression" else names, metrics=())
    pairs = [(text, None) if isinstance(text, str) else text for text in texts]
    rows = [Row("", str(i), a, b, None) for i, (a, b) in enumerate(pairs) if not is_blank(a)]
    found = [Classified(label=None, probabilities={}) for _ in pairs]
    if not rows:
        return found
    longest = sequence_length(config, max_seq_length)
    long_text, stride = how_long_texts_are_read(config, longest)
    data = encode_rows(problem, rows, tokenizer, longest, long_text, stride)
    settings = Classification(kind=kind, classes=len(names), eval_precision=dtype)
    logits = classification.predict_logits(settings, model, data)
    for row, result in zip(rows, classified(kind, names, logits), strict=True):
        found[int(row.id)] = result
    return found


def classified(kind: ProblemKind, names: Sequence[str], logits: NDArray[np.float32]) -> list[Classified]:
    """Return what logits [N, C] mean, from the kind of the problem and the names of the classes."""
    predictions, probabilities = classification.predictions(kind, logits), classification.probabilities(kind, logits)
    if kind == "regression":
        return [Classified(label=number, probabilities={}) for number in predictions.tolist()]
    found = []
    for best, of_classes in zip(predictions.tolist(), probabilities.tolist(), strict=True):
        label = tuple(compress(names, best)) if kind == "multi" else names[best]
        found.append(Classified(label=label, probabilities=dict(zip(names, of_classes, strict=True))))
    return found
