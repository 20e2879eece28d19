"""The contents of a checkpoint, checked before it is written in another format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bertworks.checkpoints import names, shapes
from bertworks.checkpoints.load import check_copy
from bertworks.checkpoints.weights import Checkpoint, Weight, padding
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class CheckpointContents:
    """A checkpoint's model, whose parts are known to fit each other.

    Attributes:
        checkpoint: what was opened.
        config: its numbers.
        tokenizer: over its vocabulary; None where there is none.
        architecture: Hugging Face's class for it.
        weights: by our names, those that belong to a BERT, without padding and second copies.
        missing: names of tensors of the pooler and the heads that the class has and the checkpoint does not.
        left_over: stored names of tensors that no BERT has; they are not written.
        notes: what was set aside or changed, one line each.
    """

    checkpoint: Checkpoint
    config: BertConfig
    tokenizer: Tokenizer | None
    architecture: str
    weights: Mapping[str, Weight]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    notes: tuple[str, ...]


def contents_of(checkpoint: Checkpoint, config: BertConfig, tokenizer: Tokenizer | None) -> CheckpointContents:
    """Sort the tensors of a checkpoint, and check that they fit its configuration and vocabulary.

    Raises:
        InputError: not a BERT, or parts that do not fit each other.
    """
    if not any(name.startswith("bert.") for name in checkpoint.weights):
        raise InputError(f"{checkpoint.path}: no weights of a BERT; it has {names.some(checkpoint.weights)}")
    notes = list(checkpoint.notes)
    if checkpoint.hidden_act not in (None, config.hidden_act):
        notes.append(f"trained with hidden_act {checkpoint.hidden_act}; {config.hidden_act} is written, as asked for")
    if tokenizer:
        config = _for_words(config, tokenizer, notes)
    weights: dict[str, Weight] = {}
    left_over = []
    for name, weight in checkpoint.weights.items():
        if name in names.TIED:
            check_copy(checkpoint, name)
            notes.append(f"set aside: {weight.stored_as}, a copy of {checkpoint.weights[names.TIED[name]].stored_as}")
        elif (axes := shapes.axes_of(name)) is None:
            left_over.append(weight.stored_as)
        elif axes[0] == "vocab_size" and weight.shape and padding(weight.shape[0], config.vocab_size):
            weights[name] = _cut(weight, config.vocab_size)
            notes.append(f"{weight.stored_as} is padded; {weight.shape[0] - config.vocab_size} rows are cut off")
        else:
            weights[name] = weight
    architecture = checkpoint.architecture or shapes.recognised(weights)
    missing = shapes.missing(checkpoint.path, weights, config, architecture)
    shapes.check(checkpoint.path, weights, config)
    return CheckpointContents(
        checkpoint=checkpoint,
        config=_with_labels(config, architecture, weights),
        tokenizer=tokenizer,
        architecture=architecture,
        weights=weights,
        missing=tuple(missing),
        left_over=tuple(left_over),
        notes=tuple(notes),
    )


def _for_words(config: BertConfig, tokenizer: Tokenizer, notes: list[str]) -> BertConfig:
    """Return the configuration for a vocabulary, once the two are known to fit."""
    count = tokenizer.vocab_size
    if count > config.vocab_size:
        raise InputError(
            f"--vocab_file: {tokenizer.vocab_file} has {count:,} words, the model only {config.vocab_size:,}; give the "
            "vocabulary that came with it"
        )
    if padding(config.vocab_size, count):
        return replace(config, vocab_size=count)
    if count < config.vocab_size:
        notes.append(
            f"the vocabulary has {count:,} words, the model {config.vocab_size:,}: is it the one it came with?"
        )
    return config


def _cut(weight: Weight, rows: int) -> Weight:
    """Return the first rows of a weight."""

    def read_into(out: NDArray[np.float32]) -> None:
        out[...] = weight.read()[:rows]

    return Weight(weight.stored_as, (rows, *weight.shape[1:]), read_into)


def _with_labels(config: BertConfig, architecture: str, weights: Mapping[str, Weight]) -> BertConfig:
    """Return a configuration with the number of labels, where a classifier's are not the two that are assumed."""
    head = weights.get("classifier.weight")
    labelled = ("BertForSequenceClassification", "BertForTokenClassification")
    if head is None or architecture not in labelled or head.shape[0] == 2 or "id2label" in config.extra:
        return config
    labels = {str(number): f"LABEL_{number}" for number in range(head.shape[0])}
    label_ids = {label: int(number) for number, label in labels.items()}
    return replace(config, extra={**config.extra, "id2label": labels, "label2id": label_ids})
