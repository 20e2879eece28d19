"""Integrated gradients (Sundararajan, Taly and Yan 2017): what each token contributes to a score.

A straight line leads from the embeddings of a text whose words are all hidden ([MASK]) to those of the text itself. The
contribution of a token is the integral of the score's gradient along it, times the way. Contributions sum up to the
difference between both scores, exactly if the integral is. The integral is a Gauss-Legendre sum, and it gets twice as
many points until the sum is right. Each point is a copy of all sequences of the text in a packed batch.

Shapes: S sequences of a text, T tokens of all of them, P points of a batch, H hidden.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bertworks.data.batch import PackedBatch, pack
from bertworks.errors import InputError
from bertworks.model import kernels
from bertworks.model.bert import Embeddings
from bertworks.model.device import inference_token_budget
from bertworks.model.dropout import Dropout
from bertworks.model.heads import SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.text.tokenizer import Tokenizer

Head = TypeVar("Head", SequenceClassifier, TokenClassifier, SpanClassifier)
Module = TypeVar("Module", bound=nn.Module)

# How far the sum of the contributions may be from the difference of the scores, as a share of it; and the difference
# below which it counts as this.
TOLERANCE = 0.01
_LEAST = 0.01

FIRST_POINTS, MOST_POINTS = 16, 512


@dataclass(frozen=True)
class Attribution:
    """What each token contributes.

    Attributes:
        contributions: float64 [T]; they sum up to `score - baseline`, but for `error`.
        score, baseline: of the text, and of the text whose words are hidden.
        error: the difference, as a share of `score - baseline`.
        points: of the integral.
    """

    contributions: NDArray[np.float64]
    score: float
    baseline: float
    error: float
    points: int

    @classmethod
    def total(cls, parts: Sequence[Attribution]) -> Attribution:
        """Return the attribution of a sum of scores, whose parts are of different sequences."""
        if len(parts) == 1:
            return parts[0]
        contributions = np.concatenate([part.contributions for part in parts])
        score, baseline = sum(part.score for part in parts), sum(part.baseline for part in parts)
        points = max(part.points for part in parts)
        return cls(contributions, score, baseline, _error(contributions, score - baseline), points)


def integrated_gradients(
    model: Head,
    tokenizer: Tokenizer,
    ids: NDArray[np.int64],
    segment_ids: NDArray[np.int64],
    lengths: Sequence[int],
    score: Callable[[Head, PackedBatch], Tensor],
    most_points: int = MOST_POINTS,
) -> Attribution:
    """Return what the tokens of a text contribute to a score, in all its sequences at once.

    Args:
        tokenizer: says which tokens are words.
        ids, segment_ids: the sequences, end to end. Shape [T].
        lengths: of the sequences. Shape [S].
        score: (network, batch of P S sequences) -> the score of each point [P].
        most_points: the integral has no more, also if its sum is not right yet.

    Raises:
        InputError: the network has no weights: it stands in for an exported model.
    """
    table = model.bert.embeddings.word_embeddings.weight.detach()
    if len(table) != model.config.vocab_size:
        raise InputError("an exported model has no gradients; explain the model that it was exported from")
    hidden = np.where(np.isin(ids, (tokenizer.cls_id, tokenizer.sep_id)), ids, tokenizer.mask_id)
    words, base = (table[torch.from_numpy(numbers).to(table.device)] for numbers in (ids, hidden))
    way = words - base

    def scores(shares: NDArray[np.float64], *, gradient: bool) -> tuple[Tensor, Tensor | None]:
        """Return the score at each point [P], and the gradient there [P, T, H]."""
        steps = torch.from_numpy(shares).to(way)
        points = (base + steps[:, None, None] * way).requires_grad_(gradient)
        batch = pack(*(np.tile(np.asarray(one), len(shares)) for one in (ids, segment_ids, lengths))).to(table.device)
        with torch.set_grad_enabled(gradient):
            found = score(with_words(model, points.flatten(0, 1)), batch)
        return found.detach(), torch.autograd.grad(found.sum(), points)[0] if gradient else None

    ends = scores(np.array([0.0, 1.0]), gradient=False)[0].double()
    difference = float(ends[1] - ends[0])
    count = FIRST_POINTS
    while True:
        shares, weights = np.polynomial.legendre.leggauss(count)
        mean = torch.zeros_like(way, dtype=torch.float64)
        at_once = max(1, inference_token_budget(table.device) // len(ids))
        for first in range(0, count, at_once):
            part = slice(first, first + at_once)
            gradient = scores((shares[part] + 1) / 2, gradient=True)[1]
            assert gradient is not None
            factors = torch.from_numpy(weights[part] / 2).to(mean)
            mean += torch.einsum("p,pth->th", factors, gradient.double())
        contributions = (mean * way).sum(1).cpu().numpy()
        error = _error(contributions, difference)
        if error <= TOLERANCE / 2 or count >= most_points:
            return Attribution(contributions, float(ends[1]), float(ends[0]), error, count)
        count *= 2


class _Words(nn.Module):
    """Embeddings of given words: LayerNorm(word + position + segment)."""

    def __init__(self, embeddings: Embeddings, words: Tensor) -> None:
        super().__init__()
        self.embeddings, self.words = embeddings, words

    def forward(self, batch: PackedBatch, dtype: torch.dtype, dropout: Dropout | None) -> Tensor:
        """Return [P T, H]."""
        tables, norm = self.embeddings, self.embeddings.LayerNorm
        total = self.words + F.embedding(batch.position_ids, tables.position_embeddings.weight)
        total = total + F.embedding(batch.segment_ids, tables.token_type_embeddings.weight)
        return kernels.norm(total.to(dtype), norm.weight, norm.bias, norm.eps)


def log_odds(logits: Tensor, chosen: int) -> Tensor:
    """Return the log-odds of a class: logits [P, C] -> [P]."""
    others = torch.cat([logits[:, :chosen], logits[:, chosen + 1 :]], 1)
    return logits[:, chosen] - others.logsumexp(1)


def _error(contributions: NDArray[np.float64], difference: float) -> float:
    """Return how far contributions are from the difference that they should sum up to, as a share of it."""
    return abs(float(contributions.sum()) - difference) / max(abs(difference), _LEAST)


def with_words(model: Head, words: Tensor) -> Head:
    """Return a network that shares its weights with `model` and reads these embeddings of words [P T, H].

    `model` itself is not changed, so others may use it at the same time.
    """
    bert = _with_child(model.bert, "embeddings", _Words(model.bert.embeddings, words))
    return _with_child(model, "bert", bert)


def _with_child(module: Module, name: str, child: nn.Module) -> Module:
    copied = copy.copy(module)
    copied._modules = {**module._modules, name: child}
    return copied
