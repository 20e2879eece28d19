"""The words of a text, predicted from its pooled first token: a loss that makes this token hold the text.

After "Drop your Decoder" (Ma et al., arXiv 2401.11248), here with the pooler's output, so that the pooler learns too.

Shapes: B sequences, B' sequences with filler, T packed tokens, M masked words, H hidden, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bertworks.data.batch import PackedBatch
from bertworks.model import kernels


def loss(pooled: Tensor, words: Tensor, bias: Tensor, batch: PackedBatch) -> Tensor:
    """Return the summed cross entropy of softmax(pooled [B, H] @ words [V, H].T + bias [V]) with each text's words.

    All different words of a text are equally likely in the target. A text without words has no loss.
    """
    target = shares(batch, len(words))
    return F.cross_entropy(kernels.linear(pooled, words, bias).float(), target, reduction="sum")


@torch.no_grad()
def shares(batch: PackedBatch, vocab_size: int) -> Tensor:
    """Return 1 / (the number of different words) for each word of a sequence, before it was masked, else 0: [B, V].

    Its first and its last token, [CLS] and [SEP], are no words.
    """
    ids = batch.input_ids.index_copy(0, batch.rows, batch.labels)
    first, after = batch.starts[:-1].long(), batch.starts[1:].long()
    numbers = torch.arange(len(first), device=ids.device)
    of_token = torch.repeat_interleave(numbers, after - first, output_size=len(ids))
    found = torch.zeros(len(first), vocab_size, device=ids.device)
    found[of_token, ids] = 1.0
    for at in (first, after - 1):
        found[numbers, ids[at]] = 0.0
    found = found[: len(batch)]
    return found / found.sum(-1, keepdim=True).clamp(min=1.0)
