"""The task of tagging words, by a softmax over each word or by a conditional random field (CRF) over the sentence.

Shapes: S sentences, N sequences (sentences or windows), W words of all sentences, M words that are tagged, C tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bertworks import ragged
from bertworks.data.batch import PackedBatch, pack
from bertworks.model.heads import TokenClassifier
from bertworks.model.predict import ModelInput, predict
from bertworks.processes import ALONE, Processes
from bertworks.task import Task, micro_batches
from bertworks.tasks.metrics import accuracy
from bertworks.tasks.ner import entities
from bertworks.tasks.ner.alignment import AlignedWords, align, align_pieces
from bertworks.tasks.ner.tag_files import TaggedRow
from bertworks.text.tokenizer import Tokenizer

# Sentences whose tags are decoded at a time.
_DECODED = 256


@dataclass(frozen=True)
class TaggedSequences:
    """A data set, tokenized.

    Attributes:
        rows: the S sentences.
        aligned: their N sequences.
        tags: [W] int64; None for a test file.
    """

    rows: Sequence[TaggedRow]
    aligned: AlignedWords
    tags: NDArray[np.int64] | None

    def __len__(self) -> int:
        """N."""
        return len(self.aligned)

    def tokens_of(self, examples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of tokens of each of these sequences."""
        return self.aligned.starts[examples + 1] - self.aligned.starts[examples]

    def packed(self, examples: NDArray[np.int64], first_key: int) -> PackedBatch:
        """Pack sequences with tags; their dropout keys are their numbers in the step.

        `sequence_labels` [B, 3] says how many words of each are tagged, and `AlignedWords.edges`.
        """
        aligned = self.aligned
        assert self.tags is not None
        lengths = self.tokens_of(examples)
        read = aligned.row_starts[examples + 1] - aligned.row_starts[examples]
        ids = aligned.ids[ragged.runs(aligned.starts[examples], lengths)]
        words = ragged.runs(aligned.row_starts[examples], read)
        rows = aligned.rows[words] + np.repeat(ragged.starts(lengths)[:-1], read)
        return pack(
            ids,
            np.zeros(len(ids), np.int64),
            lengths,
            rows=rows,
            labels=self.tags[aligned.words[words]],
            sequence_labels=np.column_stack([read, aligned.edges[examples]]),
            dropout_keys=first_key + np.arange(len(examples)),
            filled=True,
        )


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """The settings of a run.

    Attributes:
        labels: the C tags, in the order of the head's output.
        train: None if nothing is trained.
        dev: None if nothing is evaluated.
        metric: chooses the best model: entity_f1, or cluener for the score of that task.
        train_batch_size: sequences of an optimizer step, over all processes.
        precision, eval_precision: the types that the model computes in; its weights stay float32.
        processes: share evaluation and prediction.
    """

    labels: Sequence[str]
    train: TaggedSequences | None = None
    dev: TaggedSequences | None = None
    metric: str = "entity_f1"
    train_batch_size: int = 32
    random_seed: int = 12345
    precision: torch.dtype = torch.float32
    eval_precision: torch.dtype = torch.float32
    processes: Processes = ALONE


def encode_rows(
    rows: Sequence[TaggedRow],
    labels: Sequence[str],
    tokenizer: Tokenizer,
    max_seq_length: int,
    stride: int | None,
    *,
    are_pieces: bool = False,
) -> TaggedSequences:
    """Tokenize sentences for the model; see `alignment.align` for `max_seq_length` and `stride`.

    Args:
        rows: with tags that are among the labels (see `tag_files.in_labels`), or without tags.
        are_pieces: whether the words are pieces of the vocabulary already; then nothing is cut.
    """
    words = [row.words for row in rows]
    aligned = align_pieces(tokenizer, words) if are_pieces else align(tokenizer, words, max_seq_length, stride)
    if any(row.tags is None for row in rows):
        return TaggedSequences(rows, aligned, None)
    number = {label: i for i, label in enumerate(labels)}
    return TaggedSequences(rows, aligned, np.array([number[tag] for row in rows for tag in row.tags or ()], np.int64))


def task(settings: Tagging) -> Task:
    """Return tagging as a task of the training loop."""
    return Task(
        batches=partial(micro_batches, settings.train, settings.train_batch_size, settings.random_seed),
        counts=counts,
        sums=partial(sums, settings),
        evaluate=partial(evaluate, settings),
        losses={"loss": 0.0},
    )


def counts(batch: PackedBatch) -> Mapping[str, float]:
    """Return the divisor of each term: the number of tagged words."""
    return {"loss": len(batch.rows), "accuracy": len(batch.rows)}


def sums(settings: Tagging, model: TokenClassifier, batch: PackedBatch, dropout: int | None) -> Mapping[str, Tensor]:
    """Return the sums over a batch: minus the log likelihood of the gold tags, and the words whose logits are right."""
    logits = model(batch, dropout=dropout, dtype=settings.precision)
    if model.crf is None:
        loss = F.cross_entropy(logits, batch.labels, reduction="sum")
    else:
        sequences = (batch.on_host or batch).sequence_labels.numpy()
        edges = sequences[:, 1:].astype(np.bool_)
        loss = -model.crf.log_likelihood(logits, batch.labels, sequences[:, 0], edges).sum()
    return {"loss": loss, "accuracy": (logits.argmax(-1) == batch.labels).sum().float()}


class PredictedTags(NamedTuple):
    """The tags of a sentence's words, and the probability of each, [words]; that of a word that was cut is 1."""

    tags: tuple[str, ...]
    probabilities: NDArray[np.float32]


def predict_tags(settings: Tagging, model: TokenClassifier, data: TaggedSequences) -> list[PredictedTags]:
    """Return the tags of each sentence. Words that were cut get O.

    With a CRF they are the best path that the scheme allows through the whole sentence, through all of its windows.
    """
    device = model.classifier.weight.device
    compute: Callable[[PackedBatch], Tensor] = partial(model, dtype=settings.eval_precision)
    outputs = predict(compute, inputs(data.aligned), "row", device=device, processes=settings.processes)
    return decode_tags(settings, model, data, outputs)


def decode_tags(
    settings: Tagging, model: TokenClassifier, data: TaggedSequences, outputs: Iterator[NDArray[np.float32]]
) -> list[PredictedTags]:
    """Return the tags of each sentence, from the logits of each sequence's tagged words; see `predict_tags`."""
    device, aligned = model.classifier.weight.device, data.aligned
    logits = _by_sentence(outputs, aligned.tagged.tolist())
    start, moves, end = (torch.from_numpy(~allowed) for allowed in entities.allowed_transitions(settings.labels))
    found, sure = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    while part := list(islice(logits, _DECODED)):
        emissions = torch.from_numpy(np.concatenate(part))
        if model.crf is None:
            tags, marginals = emissions.argmax(-1), torch.softmax(emissions, -1)
        else:
            lengths = np.array([len(words) for words in part], np.int64)
            emissions = emissions.to(device)
            tags = model.crf.viterbi(emissions, lengths, (start, moves, end))
            marginals = model.crf.marginals(emissions, lengths)
        # Float32 holds the numbers of tags exactly, so that there is one copy to the host.
        of_tags = marginals.gather(1, tags[:, None])[:, 0]
        decoded = torch.stack([tags.float(), of_tags.float()]).cpu().numpy()
        found.append(decoded[0].astype(np.int64))
        sure.append(decoded[1])
    outside = settings.labels.index(entities.OUTSIDE)
    sentences = aligned.by_sentence(np.concatenate(found), outside)
    probabilities = aligned.by_sentence(np.concatenate(sure), 1)
    return [
        PredictedTags(tuple(settings.labels[tag] for tag in sentence.tolist()), of_words)
        for sentence, of_words in zip(sentences, probabilities, strict=True)
    ]


def _by_sentence(logits: Iterator[NDArray[np.float32]], tagged: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    """Join the outputs of the windows of each sentence, from the number of its tagged words."""
    for count in tagged:
        parts = [next(logits)]
        while sum(map(len, parts)) < count:
            parts.append(next(logits))
        yield np.concatenate(parts) if len(parts) > 1 else parts[0]


def inputs(aligned: AlignedWords) -> Iterator[ModelInput]:
    """Yield the sequences for the model."""
    for (begin, end), (first, last) in zip(pairwise(aligned.starts), pairwise(aligned.row_starts), strict=True):
        yield ModelInput(aligned.ids[begin:end], np.zeros(end - begin, np.int64), aligned.rows[first:last])


@dataclass(frozen=True)
class TagEvaluation:
    """The results of an evaluation.

    Attributes:
        results: named eval_...; the metric that chooses the best model is first.
        table: precision, recall and F1 of each entity type, as text.
    """

    results: dict[str, float]
    table: str


def evaluate_tags(settings: Tagging, data: TaggedSequences, found: Sequence[PredictedTags]) -> TagEvaluation:
    """Compare the predicted tags of a data set with its gold tags."""
    predicted = [of.tags for of in found]
    gold = [row.tags or () for row in data.rows]
    score = entities.score(gold, predicted)
    gold_tags, predicted_tags = (np.array(list(chain.from_iterable(tags))) for tags in (gold, predicted))
    results = {
        "eval_entity_f1": score.overall.f1,
        "eval_precision": score.overall.precision,
        "eval_recall": score.overall.recall,
        "eval_accuracy": accuracy(gold_tags, predicted_tags),
    }
    if settings.metric == "cluener":
        texts = ["".join(row.words) for row in data.rows]
        gold_mentions, predicted_mentions = (
            [entities.mentions(text, entities.spans(tags)) for text, tags in zip(texts, sentences, strict=True)]
            for sentences in (gold, predicted)
        )
        mean, score = entities.cluener_score(gold_mentions, predicted_mentions)
        results = {"eval_cluener": mean, **results}
    return TagEvaluation(results, entities.score_table(score))


def evaluate(settings: Tagging, model: torch.nn.Module) -> Mapping[str, float]:
    """Return the results of `evaluate_tags`."""
    assert isinstance(model, TokenClassifier)
    assert settings.dev is not None
    return evaluate_tags(settings, settings.dev, predict_tags(settings, model, settings.dev)).results
