"""Classify texts with a fine-tuned model, whose folder says what its labels are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from bertworks.data.sequences import LongText
from bertworks.model.heads import SequenceClassifier
from bertworks.tasks.classification import task as classification
from bertworks.tasks.classification.problem import Problem, encode_rows
from bertworks.tasks.classification.rows import Row
from bertworks.tasks.classification.task import Classification, ProblemKind
from bertworks.tasks.classification.trained_labels import kind_of
from bertworks.tasks.labels import names_of_outputs
from bertworks.tasks.texts import Text, check_texts, sequence_length
from bertworks.text.tokenizer import Tokenizer


class Classified(NamedTuple):
    """What a model predicts for a text.

    Attributes:
        label: the class; for several at once, all with a probability above one half; for a regression, the number.
        probabilities: of every class, by name; empty for a regression.
    """

    label: str | tuple[str, ...] | float
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
        InputError: an item is not a text, or is empty, or the model cannot read this length.
    """
    check_texts(texts, pairs=True)
    config, names = model.config, names_of_outputs(model.config, len(model.classifier.weight))
    kind = kind_of(config, len(names)) or "single"
    problem = Problem(name="", kind=kind, labels=() if kind == "regression" else names, metrics=())
    pairs = [(text, None) if isinstance(text, str) else text for text in texts]
    rows = [Row("", str(i), a, b, None) for i, (a, b) in enumerate(pairs)]
    if not rows:
        return []
    longest = sequence_length(config, max_seq_length)
    long_text = cast(LongText, config.fine_tuned("long_text", str, get_args(LongText)) or "truncate")
    stride = config.fine_tuned("doc_stride", int) or longest // 2
    data = encode_rows(problem, rows, tokenizer, longest, long_text, stride)
    settings = Classification(kind=kind, classes=len(names), eval_precision=dtype)
    return classified(kind, names, classification.predict_logits(settings, model, data))


def classified(kind: ProblemKind, names: Sequence[str], logits: NDArray[np.float32]) -> list[Classified]:
    """Return what logits [N, C] mean, from the kind of the problem and the names of the classes."""
    if kind == "regression":
        return [Classified(float(row[0]), {}) for row in logits]
    found = []
    for row, best in zip(
        classification.probabilities(kind, logits).tolist(),
        classification.predictions(kind, logits).tolist(),
        strict=True,
    ):
        label = tuple(compress(names, best)) if kind == "multi" else names[best]
        found.append(Classified(label, dict(zip(names, row, strict=True))))
    return found
