"""What a loaded model can be exported as: its head, and the weights for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bertworks.checkpoints.weights import SentenceRules
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel, SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.pretrained import Pretrained

# encoder: the rows of the last layer. words: a logit for every word of the vocabulary.
HeadKind = Literal["encoder", "words", "sequence", "choice", "tokens", "answers"]

# Hugging Face's class for each.
ARCHITECTURES: dict[HeadKind, str] = {
    "encoder": "BertModel",
    "words": "BertForMaskedLM",
    "sequence": "BertForSequenceClassification",
    "choice": "BertForMultipleChoice",
    "tokens": "BertForTokenClassification",
    "answers": "BertForQuestionAnswering",
}


@dataclass(frozen=True)
class Head:
    """A head, as far as a graph must know it.

    Attributes:
        classes: the outputs of the classifier; 0 for heads without one.
        pooler: whether the output of the pooler is an output of the graph.
        next_sentence: whether the logits of the next sentence are.
    """

    kind: HeadKind
    classes: int = 0
    pooler: bool = False
    next_sentence: bool = False

    @property
    def architecture(self) -> str:
        """Hugging Face's class."""
        return ARCHITECTURES[self.kind]

    @property
    def reads_first_only(self) -> bool:
        """Whether only the first row of each sequence is read."""
        return self.kind in ("sequence", "choice")


def head_of(pretrained: Pretrained) -> Head:
    """Return the head that a model's weights have; nothing that was drawn at random is part of it.

    Raises:
        InputError: the weights lack a part of the head.
    """
    model, missing = pretrained.model, pretrained.report.missing
    lacks_pooler = any(name.startswith("bert.pooler.") for name in missing)
    match model:
        case SequenceClassifier():
            kind: HeadKind = "choice" if pretrained.checkpoint.architecture == "BertForMultipleChoice" else "sequence"
            head = Head(kind, len(model.classifier.weight))
        case TokenClassifier():
            return Head("tokens", len(model.classifier.weight))
        case SpanClassifier():
            return Head("answers")
        case PretrainingModel() if not any(name.startswith("cls.predictions.") for name in missing):
            lacks_next = lacks_pooler or any(name.startswith("cls.seq_relationship.") for name in missing)
            return Head("words", next_sentence=not lacks_next)
        case _:
            return Head("encoder", pooler=not (lacks_pooler or pretrained.checkpoint.sentences))
    if lacks_pooler:
        raise InputError(f"{pretrained.checkpoint.path}: has a classifier but no pooler (bert.pooler.dense) before it")
    return head


def weights_of(pretrained: Pretrained) -> dict[str, NDArray[np.float32]]:
    """Return the loaded weights by our names, not copied.

    Raises:
        InputError: one of them has a number that is infinite or none.
    """
    missing = set(pretrained.report.missing)
    weights = {
        name: tensor.detach().cpu().numpy()
        for name, tensor in pretrained.model.state_dict().items()
        if name not in missing
    }
    for name, values in weights.items():
        if not np.isfinite(values).all():
            count = values.size - int(np.isfinite(values).sum())
            raise InputError(
                f"{pretrained.checkpoint.path}: {name} has {count:,} numbers of {values.size:,} that are infinite or "
                "no numbers; its training has failed, take an earlier checkpoint"
            )
    return weights


def sentence_rules_of(pretrained: Pretrained) -> SentenceRules | None:
    """Return how the model makes a vector of a text; None where its folder does not say.

    Raises:
        InputError: the folder wants what a graph of ours cannot hold.
    """
    rules = pretrained.checkpoint.sentences
    if rules and rules.refusal:
        raise InputError(f"{pretrained.checkpoint.path}: wants {rules.refusal}, which cannot be exported")
    return rules
