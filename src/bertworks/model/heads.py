"""The heads: masked words and next sentence, classifiers of sequences and of tokens, spans of answers.

Shapes: T packed tokens, B sequences, M masked words, R rows read, H hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch, rounded
from bertworks.model import bag_of_words, kernels
from bertworks.model.bert import Bert, Dense, site_of_head
from bertworks.model.crf import LinearChainCRF
from bertworks.model.dropout import Dropout, Dropped, at


class Transform(nn.Module):
    """LayerNorm(activation(dense(x))) of the masked words, before the product with the word embeddings."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.activation = config.hidden_act
        self.dense = Dense(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map [M, H] to [M, H]."""
        x = kernels.activated_linear(x, self.dense.weight, self.dense.bias, self.activation)
        return kernels.norm(x, self.LayerNorm.weight, self.LayerNorm.bias, self.LayerNorm.eps)


class Predictions(nn.Module):
    """The masked-word head. Its output weights are the word embeddings; it has a bias of its own."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = Transform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))


class PretrainingHeads(nn.Module):
    """Both heads of pre-training, named as in Hugging Face's BertForPreTraining."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.predictions = Predictions(config)
        self.seq_relationship = Dense(config.hidden_size, 2)


class EncoderModel(nn.Module):
    """BERT without a head: Hugging Face's BertModel, but the names of its parameters begin with `bert.`."""

    def __init__(self, config: BertConfig, *, pooler: bool = True) -> None:
        super().__init__()
        self.config = config
        self.bert = Bert(config, pooler=pooler)


class PretrainingModel(EncoderModel):
    """BERT with the heads of pre-training: masked words and next sentence.

    The parameters have the names of Hugging Face's BertForPreTraining. They have no values until `initialise` or
    `load_state_dict` sets them.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.cls = PretrainingHeads(config)

    def forward(
        self,
        batch: PackedBatch,
        dropout: int | None = None,
        dtype: torch.dtype = torch.float32,
        predict_text: bool = False,
    ) -> dict[str, Tensor]:
        """Return sums over the batch, float32 scalars; an empty batch gives zeros.

        Args:
            batch: `rows` [M] and `labels` [M] are the masked words, `sequence_labels` [B] is 1 where the second segment
                is a random one.
            dropout: the key of this step; None is no dropout.
            dtype: the type to compute in; parameters and their gradients are always float32.
            predict_text: whether to compute `bag_of_words_loss` too.

        Returns:
            masked_lm_loss, next_sentence_loss: summed cross entropies (over M, over B).
            masked_lm_accuracy, next_sentence_accuracy: the number of correct predictions.
            bag_of_words_loss: the summed cross entropy (over B) of each text's words, from its pooled first token.
        """
        first_rows = batch.starts[: len(batch)].long()
        read, index, masked_index = _rows_to_read(first_rows, batch.rows, batch.filler, len(batch.input_ids) - 1)
        hidden = self.bert(batch, dtype=dtype, dropout=dropout, read=read)
        first, masked = hidden.index_select(0, index), hidden.index_select(0, masked_index)
        words, bias = self.bert.embeddings.word_embeddings.weight, self.cls.predictions.bias
        word_loss, words_right = kernels.word_losses(self.cls.predictions.transform(masked), words, bias, batch.labels)
        pooled = self.bert.pooler(first)
        next_sentence = self.next_sentence_logits(pooled).float()
        right = next_sentence.argmax(-1) == batch.sequence_labels
        return {
            "masked_lm_loss": word_loss,
            "masked_lm_accuracy": words_right,
            "next_sentence_loss": F.cross_entropy(next_sentence, batch.sequence_labels, reduction="sum"),
            "next_sentence_accuracy": right.sum().float(),
            **({"bag_of_words_loss": bag_of_words.loss(pooled, words, bias, batch)} if predict_text else {}),
        }

    def masked_lm_logits(self, hidden_rows: Tensor) -> Tensor:
        """Map rows of the encoder's output [M, H] to a logit for every word [M, V], in the type of the rows."""
        transformed = self.cls.predictions.transform(hidden_rows)
        words = self.bert.embeddings.word_embeddings.weight
        return kernels.linear(transformed, words, self.cls.predictions.bias)

    def next_sentence_logits(self, pooled: Tensor) -> Tensor:
        """Compute logits [B, 2] of the pooler's output [B, H]: the second segment follows the first, or is random."""
        layer = self.cls.seq_relationship
        return kernels.linear(pooled, layer.weight, layer.bias)

    def initialise(self, seed: int) -> None:
        """Draw all weights; see `initialise`."""
        initialise(self, self.config.initializer_range, seed)


class SequenceClassifier(EncoderModel):
    """A logit for every class of a sequence, from its first token: Hugging Face's BertForSequenceClassification.

    With one class it is a regression, or a choice between sequences (BertForMultipleChoice).
    """

    def __init__(self, config: BertConfig, classes: int) -> None:
        super().__init__(config)
        self.classifier = Dense(config.hidden_size, classes)

    def forward(self, batch: PackedBatch, dropout: int | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        """Compute float32 logits [B, classes]. The pooler's output gets dropout too, as in run_classifier.py."""
        read = batch.starts[: len(batch)].long()
        first = self.bert(batch, dtype=dtype, dropout=dropout, read=read)
        pooled = kernels.dropout(self.bert.pooler(first), _of_head(self.config, batch, dropout, read))
        return kernels.linear(pooled, self.classifier.weight, self.classifier.bias).float()


class TokenClassifier(EncoderModel):
    """A logit for every class of some tokens: Hugging Face's BertForTokenClassification.

    Attributes:
        crf: scores the transitions between tags; None where each token is tagged by itself.
    """

    def __init__(self, config: BertConfig, classes: int, *, crf: bool = False) -> None:
        super().__init__(config, pooler=False)
        self.classifier = Dense(config.hidden_size, classes)
        self.crf = LinearChainCRF(classes) if crf else None

    def forward(self, batch: PackedBatch, dropout: int | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return logits [M, classes] of the batch's `rows` [M], float32."""
        hidden = self.bert(batch, dtype=dtype, dropout=dropout, read=batch.rows)
        hidden = kernels.dropout(hidden, _of_head(self.config, batch, dropout, batch.rows))
        return kernels.linear(hidden, self.classifier.weight, self.classifier.bias).float()


class SpanClassifier(EncoderModel):
    """Two logits for every token, as the start and as the end of an answer: Hugging Face's BertForQuestionAnswering."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=False)
        self.qa_outputs = Dense(config.hidden_size, 2)

    def forward(self, batch: PackedBatch, dropout: int | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return logits [T, 2] of every token as a start and as an end, float32.

        As in run_squad.py, there is no dropout after the encoder. The head always computes in float32: that is cheap,
        and in bfloat16 different logits of hundreds of tokens would round to the same number.
        """
        hidden = self.bert(batch, dtype=dtype, dropout=dropout)
        return kernels.linear(hidden.float(), self.qa_outputs.weight, self.qa_outputs.bias)


def _of_head(config: BertConfig, batch: PackedBatch, dropout: int | None, read: Tensor) -> Dropped | None:
    """Return the dropout between the encoder and a classifier, for the rows `read`."""
    if dropout is None:
        return None
    return at(Dropout.of(batch, dropout).rows(read), site_of_head(config), config.hidden_dropout_prob)


@torch.no_grad()
def initialise(model: nn.Module, deviation: float, seed: int, only: Collection[str] | None = None) -> None:
    """Draw all weights, or the parameters named in `only`. The same seed gives the same weights on every device.

    Matrices and embeddings get a normal distribution with `deviation`, cut at two deviations; biases get 0 and
    LayerNorm's weights 1 (modeling.py of the original release).
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if only is not None and name not in only:
            continue
        if parameter.dim() == 2:
            drawn = torch.empty(parameter.shape)
            nn.init.trunc_normal_(drawn, std=deviation, a=-2 * deviation, b=2 * deviation, generator=generator)
            parameter.copy_(drawn)
        else:
            parameter.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)


def _rows_to_read(first_rows: Tensor, masked_rows: Tensor, filler: int, last_row: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows that the heads need [R], ascending, and the indices of first rows and masked rows among them.

    In a batch with filler R and M are rounded up as T is, with the last row, which is filler, and with its index.
    """
    read, order = torch.cat([first_rows, masked_rows]).sort()
    index = torch.empty_like(order)
    index[order] = torch.arange(len(order), device=order.device)
    first, masked = index.split([len(first_rows), len(masked_rows)])
    if filler:
        more = rounded(len(read) + 1) - len(read)
        read = F.pad(read, (0, more), value=last_row)
        masked = F.pad(masked, (0, rounded(len(masked)) - len(masked)), value=len(read) - 1)
    return read, first, masked
