"""Texts to labels with a model that has been fine-tuned: its own folder says what the labels are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast, get_args

import torch

from bertworks.config import BertConfig
from bertworks.data.sequences import LongText
from bertworks.errors import InputError
from bertworks.model.heads import SequenceClassifier, TokenClassifier
from bertworks.tasks.classification import task as classification
from bertworks.tasks.classification.problem import Problem, labelled
from bertworks.tasks.classification.task import Classification
from bertworks.tasks.classification.trained_labels import kind_of
from bertworks.tasks.ner import task as tagging
from bertworks.tasks.ner.alignment import Entity, Unit, entities, words_of
from bertworks.tasks.rows import Row, TaggedRow, is_blank
from bertworks.text.tokenizer import Tokenizer

# What a text is: one, or a pair.
Text = str | tuple[str, str]


class Classified(NamedTuple):
    """What a model says about a text.

    Attributes:
        label: the class; of several at once all that are likelier than not; of a regression the number.
        probabilities: of every class, by name; empty for a regression.
    """

    label: str | tuple[str, ...] | float
    probabilities: dict[str, float]


def names_of(config: BertConfig, count: int) -> tuple[str, ...]:
    """The names of a classifier's outputs, in order; as Hugging Face's library calls them where nothing tells."""
    names = config.labels or ()
    return names if len(names) == count else tuple(f"LABEL_{i}" for i in range(count))


def _checked(texts: Sequence[Any], *, pairs: bool) -> None:
    """Refuse what is no list of texts (or pairs of them), or a text of which nothing is to be seen.

    The second text of a pair may be empty: then there is one, as in the original.
    """
    if isinstance(texts, str):
        raise InputError("texts: give a list of texts, not one")
    for number, text in enumerate(texts):
        is_pair = pairs and isinstance(text, tuple | list) and len(text) == 2
        if not all(isinstance(one, str) for one in (text if is_pair else [text])):
            expected = "a text or a pair of texts" if pairs else "a text"
            raise InputError(f"texts[{number}]: is not {expected} but {text!r:.60}")
        if pairs and is_blank(text[0] if is_pair else text):
            raise InputError(f"texts[{number}]: the text is empty")


def _longest(config: BertConfig, wished: int | None) -> int:
    """The tokens of a sequence: as wished for, or as in the training, or what the model has room for.

    Raises:
        InputError: what is wished for is shorter than a sequence of one token, or longer than the model can read.
    """
    room = config.max_position_embeddings
    if wished is not None and not 3 <= wished <= room:
        raise InputError(f"max_seq_length={wished}: must be from 3 to {room}, the positions of the model")
    return wished or config.longest_sequence


def classify(
    model: SequenceClassifier,
    tokenizer: Tokenizer,
    texts: Sequence[Text],
    max_seq_length: int | None,
    dtype: torch.dtype,
) -> list[Classified]:
    """The class, the classes or the number of each text or pair, long ones read as in the model's training.

    Args:
        max_seq_length: None is that of its training, or as long as the model can read.

    Raises:
        InputError: a text is none, or empty; a length that the model cannot read.
    """
    _checked(texts, pairs=True)
    config, names = model.config, names_of(model.config, len(model.classifier.weight))
    kind = kind_of(config) or ("single" if len(names) > 1 else "regression")
    problem = Problem(name="", kind=kind, labels=() if kind == "regression" else names, metrics=())
    pairs = [(text, None) if isinstance(text, str) else text for text in texts]
    rows = [Row("", str(i), a, b, None) for i, (a, b) in enumerate(pairs)]
    if not rows:
        return []
    longest = _longest(config, max_seq_length)
    long_text = cast(LongText, config.fine_tuned("long_text", str, get_args(LongText)) or "truncate")
    data = labelled(problem, rows, tokenizer, longest, long_text, config.fine_tuned("doc_stride", int) or longest // 2)
    settings = Classification(kind=kind, classes=len(names), eval_precision=dtype)
    logits = classification.logits_of(settings, model, data)
    if kind == "regression":
        return [Classified(float(row[0]), {}) for row in logits]
    found = []
    for row, best in zip(
        classification.probabilities(kind, logits).tolist(),
        classification.predicted(kind, logits).tolist(),
        strict=True,
    ):
        several = kind == "multi"
        label = tuple(n for n, there in zip(names, best, strict=True) if there) if several else names[best]
        found.append(Classified(label, dict(zip(names, row, strict=True))))
    return found


def tag(
    model: TokenClassifier,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    unit: Unit | None,
    max_seq_length: int | None,
    dtype: torch.dtype,
) -> list[list[Entity]]:
    """The entities of each text, with their places in characters; long texts are read through windows.

    Args:
        unit: whether the model was trained on words or on characters (CLUENER); None is as the model says, or words.
        max_seq_length: of a window; None is that of its training, or as long as the model can read.
    """
    _checked(texts, pairs=False)
    longest = _longest(model.config, max_seq_length)
    unit = unit or cast(Unit, model.config.fine_tuned("unit", str, get_args(Unit)) or "word")
    names = names_of(model.config, len(model.classifier.weight))
    places = [words_of(text, unit) for text in texts]
    rows = [
        TaggedRow("", str(i), tuple(text[begin:end] for begin, end in where), None)
        for i, (text, where) in enumerate(zip(texts, places, strict=True))
    ]
    if not rows:
        return []
    data = tagging.tagged(rows, names, tokenizer, longest, max(1, longest // 2))
    found = tagging.predicted(tagging.Tagging(labels=names, eval_precision=dtype), model, data)
    return [entities(text, where, tags) for text, where, tags in zip(texts, places, found, strict=True)]
