"""How far an exported model's outputs are from ours, over many shapes and lengths.

The token ids are spread over the vocabulary by a fixed rule; no chance is in it.

Shapes: T packed tokens, B sequences, S tokens of the longest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks import ragged
from bertworks.checkpoints.weights import SentenceRules
from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch, pack
from bertworks.export.heads import Head
from bertworks.export.runtime import Session
from bertworks.export.stand_in import padded, rows_of
from bertworks.model.heads import PretrainingModel, SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.pretrained import Pretrained
from bertworks.tasks.embed.sentences import after_pooling, pooled

# The lengths of the sequences of each batch; lengths beyond the model's positions are left out.
_LENGTHS: tuple[tuple[int, ...], ...] = (
    *((1,), (2,), (3, 1), (5, 2, 9), (16, 16, 16, 16), (31, 33, 17), (64, 8), (7, 6, 5, 4, 3, 2, 1, 9)),
    *((127, 128), (129,), (256, 3), (384, 200), (511,), (512, 12)),
)

# Tokens of padding after the longest sequence of a batch, by the number of the batch.
_MORE_PADDING = (0, 1, 5)

# A prime that spreads ids over any vocabulary.
_STRIDE = 7919


@dataclass(frozen=True)
class OutputError:
    """The differences of one output from ours.

    Attributes:
        largest: the largest absolute difference; infinite where a number is none.
        total: the sum of the absolute differences.
        largest_value: the largest absolute value of ours.
        values: how many were compared.
        rows, same_best: how many rows of logits were compared, and in how many the largest is the same one.
    """

    largest: float = 0.0
    total: float = 0.0
    largest_value: float = 0.0
    values: int = 0
    rows: int = 0
    same_best: int = 0

    @property
    def mean(self) -> float:
        """The mean absolute difference."""
        return self.total / max(1, self.values)

    @property
    def relative(self) -> float:
        """The largest difference as a share of the largest value, or of 1 if that is larger."""
        return self.largest / max(1.0, self.largest_value)

    def with_batch(
        self, ours: NDArray[np.float32], theirs: NDArray[np.float32], *, has_best: bool = False
    ) -> OutputError:
        """Return the differences of one more batch, too; `has_best`: the largest value of a row has a meaning."""
        difference = np.abs(ours.astype(np.float64) - theirs)
        difference[~np.isfinite(difference)] = np.inf
        several = has_best and ours.ndim == 2 and ours.shape[1] > 1
        return OutputError(
            largest=max(self.largest, float(difference.max())),
            total=self.total + float(difference.sum()),
            largest_value=max(self.largest_value, float(np.abs(ours).max())),
            values=self.values + difference.size,
            rows=self.rows + several * len(ours),
            same_best=self.same_best + int(several and (ours.argmax(1) == theirs.argmax(1)).sum()),
        )


def batches(config: BertConfig) -> list[PackedBatch]:
    """Return what is compared: batches of many shapes, up to the longest sequence that the model reads."""
    most = config.max_position_embeddings
    found = []
    for number, lengths in enumerate((*_LENGTHS, (most,))):
        fitting = np.array([length for length in lengths if length <= most], np.int64)
        if not len(fitting):
            continue
        ids = (np.arange(int(fitting.sum())) * _STRIDE + number) % config.vocab_size
        segments = ragged.within(fitting) * 2 >= np.repeat(fitting, fitting)
        found.append(pack(ids, segments * min(1, config.type_vocab_size - 1), fitting))
    return found


def compare(
    pretrained: Pretrained, head: Head, sentences: SentenceRules | None, session: Session
) -> dict[str, OutputError]:
    """Compare every output of an exported model with ours."""
    found: dict[str, OutputError] = {}
    for number, batch in enumerate(batches(pretrained.config)):
        expected = ours(pretrained, head, sentences, batch)
        more = _MORE_PADDING[number % len(_MORE_PADDING)]
        for name, values in theirs(session, head, batch, more, pretrained.config).items():
            before = found.get(name, OutputError())
            found[name] = before.with_batch(expected[name].numpy(), values.numpy(), has_best=name.endswith("logits"))
    return found


def theirs(session: Session, head: Head, batch: PackedBatch, more: int, config: BertConfig) -> dict[str, Tensor]:
    """Return the outputs of an exported model without padding: [B, ...], or [T, ...] of those that have tokens.

    Args:
        more: how much wider than the longest sequence the batch is padded, as far as the model has positions.
    """
    inputs, count = padded(batch), len(batch)
    width = min(inputs["input_ids"].shape[1] + more, config.max_position_embeddings)
    inputs = {name: np.pad(values, ((0, 0), (0, width - values.shape[1]))) for name, values in inputs.items()}
    if head.kind == "choice":
        choices = 2 if count % 2 == 0 else count
        inputs = {name: values.reshape(-1, choices, width) for name, values in inputs.items()}
    found = {}
    for name, values in session.run(inputs).items():
        if head.kind == "choice":
            found[name] = torch.from_numpy(values.reshape(count, 1))
        elif name in _OF_TOKENS or (name == "logits" and head.kind in ("words", "tokens")):
            found[name] = rows_of(batch, values)
        else:
            found[name] = torch.from_numpy(values)
    return found


_OF_TOKENS = ("last_hidden_state", "start_logits", "end_logits")


@torch.inference_mode()
def ours(pretrained: Pretrained, head: Head, sentences: SentenceRules | None, batch: PackedBatch) -> dict[str, Tensor]:
    """Return the same outputs, computed by our network."""
    model = pretrained.model
    firsts = batch.starts[: len(batch)].long()
    hidden = model.bert(batch)
    found = {"last_hidden_state": hidden}
    if head.pooler:
        found["pooler_output"] = model.bert.pooler(hidden[firsts])
    match model:
        case SequenceClassifier():
            found["logits"] = model(batch)
        case TokenClassifier():
            found["logits"] = model.classifier(hidden)
        case SpanClassifier():
            logits = model(batch)
            found |= {"start_logits": logits[:, 0], "end_logits": logits[:, 1]}
        case PretrainingModel():
            found["logits"] = model.masked_lm_logits(hidden)
            found["seq_relationship_logits"] = model.next_sentence_logits(model.bert.pooler(hidden[firsts]))
    if sentences:
        values = torch.cat([pooled(hidden, batch.starts, name) for name in sentences.poolings], 1)
        found["sentence_embedding"] = after_pooling(values, sentences, pretrained.checkpoint.path)
    return found


def shapes(config: BertConfig) -> list[list[int]]:
    """Return the lengths of the sequences of each batch that is compared."""
    return [batch.lengths.tolist() for batch in batches(config)]
