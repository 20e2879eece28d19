"""Tagging words: a tag each, by a softmax for every word or by a conditional random field over the sentence.

Shapes: S sentences, N sequences (windows of them), W words of all sentences, M words that are read, C tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice, pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bertworks.data.batch import PackedBatch, pack
from bertworks.data.labelled_records import read_labelled_records
from bertworks.errors import InputError
from bertworks.model.heads import TokenClassifier
from bertworks.model.predict import Example, predict
from bertworks.ragged import within
from bertworks.task import Cut, Task
from bertworks.tasks.metrics import accuracy
from bertworks.tasks.micro_batches import micro_batches
from bertworks.tasks.ner import entities
from bertworks.tasks.ner.alignment import AlignedWords, align
from bertworks.tasks.ner.tag_files import mentions
from bertworks.tasks.rows import TaggedRow
from bertworks.text.tokenizer import Tokenizer

# Sequences whose best paths are looked for at a time.
_DECODED = 256


@dataclass(frozen=True)
class Tagged:
    """A data set, tokenized.

    Attributes:
        rows: the S sentences.
        aligned: their sequences.
        tags: [W] int64; None in a test file.
    """

    rows: Sequence[TaggedRow]
    aligned: AlignedWords
    tags: NDArray[np.int64] | None


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """The settings of a run.

    Attributes:
        labels: the C tags, in the order of the head's output.
        train: None where nothing is trained.
        dev: None where nothing is evaluated.
        metric: what decides: entity_f1, or cluener for that task's own score.
        train_batch_size: sequences of an optimizer step, over all processes.
        precision, eval_precision: what the model computes in; the weights are float32 always.
    """

    labels: Sequence[str]
    train: Tagged | None = None
    dev: Tagged | None = None
    metric: str = "entity_f1"
    train_batch_size: int = 32
    random_seed: int = 12345
    precision: torch.dtype = torch.float32
    eval_precision: torch.dtype = torch.float32


def rows_of_records(
    paths: Sequence[Path], labels: Sequence[str], tokenizer: Tokenizer, max_seq_length: int, *, with_tags: bool
) -> list[TaggedRow]:
    """The sentences of record files (`data.labelled_records`), whose words are pieces of the vocabulary.

    Args:
        paths: the files.
        labels: what the numbers of tags mean.
        tokenizer: over the vocabulary that the files were made with.
        max_seq_length: the most tokens there may be.
        with_tags: false for a test file, whose tags mean nothing.

    Raises:
        InputError: with the file and the record: damaged, another vocabulary or other tags, pairs, or no tags.
    """
    classes = len(labels) if with_tags else None
    records = read_labelled_records(paths, vocab_size=tokenizer.vocab_size, classes=classes)
    sequences, tags = records.sequences, records.labels
    if not records.has_tags:
        raise InputError(f"{paths[0]}: has one label for each text; use bert run_classifier")
    rows = []
    for i, (begin, end) in enumerate(pairwise(sequences.starts.tolist())):
        ids, place = sequences.ids[begin:end].tolist(), f"{paths[0]}: record {i}"
        if end - begin > max_seq_length:
            raise InputError(f"{place} has {end - begin} tokens; give --max_seq_length={end - begin}")
        if sequences.first[i] < end - begin or (ids[0], ids[-1]) != (tokenizer.cls_id, tokenizer.sep_id):
            raise InputError(
                f"{place} is not [CLS], one text, [SEP]; give the vocabulary that the file was made with (--vocab_file)"
            )
        names = tuple(labels[tag] for tag in tags[begin + 1 : end - 1].tolist()) if with_tags else None
        rows.append(TaggedRow(place, str(i), tuple(tokenizer.tokens[piece] for piece in ids[1:-1]), names))
    return rows


def tagged(
    rows: Sequence[TaggedRow],
    labels: Sequence[str],
    tokenizer: Tokenizer,
    max_seq_length: int,
    stride: int | None,
    *,
    are_pieces: bool = False,
) -> Tagged:
    """Sentences as the model takes them; see `alignment.align` for `max_seq_length` and `stride`.

    Args:
        rows: their tags are some of the labels (`tag_files.in_labels`).
        are_pieces: whether the words are pieces of the vocabulary already; then nothing is cut.
    """
    sentences = [row.words for row in rows]
    aligned = _pieces(tokenizer, sentences) if are_pieces else align(tokenizer, sentences, max_seq_length, stride)
    if any(row.tags is None for row in rows):
        return Tagged(rows, aligned, None)
    number = {label: i for i, label in enumerate(labels)}
    return Tagged(rows, aligned, np.array([number[tag] for row in rows for tag in row.tags or ()], np.int64))


def _pieces(tokenizer: Tokenizer, sentences: Sequence[Sequence[str]]) -> AlignedWords:
    """Pieces of the vocabulary as sequences, every one of them read."""
    counts = np.array([len(sentence) for sentence in sentences], np.int64)
    starts, word_starts = (np.concatenate([np.zeros(1, np.int64), np.cumsum(n)]) for n in (counts + 2, counts))
    rows = within(counts) + 1
    ids = np.empty(starts[-1], tokenizer.dtype)
    ids[starts[:-1]], ids[starts[1:] - 1] = tokenizer.cls_id, tokenizer.sep_id
    ids[np.repeat(starts[:-1], counts) + rows] = tokenizer.convert_tokens_to_ids(chain.from_iterable(sentences))
    return AlignedWords(ids, starts, rows, word_starts, np.arange(len(rows)), word_starts)


def task(settings: Tagging) -> Task:
    """Tagging as the loop takes it."""
    return Task(
        batches=partial(batches, settings),
        counts=counts,
        sums=partial(sums, settings),
        evaluate=partial(evaluate, settings),
        losses={"loss": 0.0},
    )


def batches(settings: Tagging, step: int, cut: Cut) -> Sequence[PackedBatch]:
    """This process's share of a step, in micro-batches; see `micro_batches`."""
    train = settings.train
    assert train is not None
    lengths = np.diff(train.aligned.starts)
    size, seed = settings.train_batch_size, settings.random_seed
    parts = micro_batches(len(train.aligned), lengths.__getitem__, batch_size=size, seed=seed, step=step, cut=cut)
    return [_packed(train, chosen, first_key) for chosen, first_key in parts]


def _packed(data: Tagged, chosen: NDArray[np.int64], first_key: int) -> PackedBatch:
    """Sequences as a batch; dropout knows each by its place in the step. `sequence_labels` [B]: the words of each."""
    aligned = data.aligned
    assert data.tags is not None
    lengths, read = np.diff(aligned.starts)[chosen], np.diff(aligned.row_starts)[chosen]
    ids = aligned.ids[np.repeat(aligned.starts[chosen], lengths) + within(lengths)]
    words = np.repeat(aligned.row_starts[chosen], read) + within(read)
    rows = aligned.rows[words] + np.repeat(np.cumsum(lengths) - lengths, read)
    return pack(
        ids,
        np.zeros(len(ids), np.int64),
        lengths,
        rows=rows,
        labels=data.tags[aligned.words[words]],
        sequence_labels=read,
        dropout_keys=first_key + np.arange(len(chosen)),
        filled=True,
    )


def counts(batch: PackedBatch) -> Mapping[str, float]:
    """What each term's sum is divided by: the words."""
    return {"loss": len(batch.rows), "accuracy": len(batch.rows)}


def sums(settings: Tagging, model: TokenClassifier, batch: PackedBatch, dropout: int | None) -> Mapping[str, Tensor]:
    """Each term's sum over a batch: minus the log likelihood of the right tags, and how many words are right alone."""
    logits = model(batch, dropout=dropout, dtype=settings.precision)
    if model.crf is None:
        loss = F.cross_entropy(logits, batch.labels, reduction="sum")
    else:
        loss = -model.crf.log_likelihood(logits, batch.labels, batch.sequence_labels.cpu().numpy()).sum()
    return {"loss": loss, "accuracy": (logits.argmax(-1) == batch.labels).sum().float()}


def predicted(settings: Tagging, model: TokenClassifier, data: Tagged) -> list[tuple[str, ...]]:
    """The tags of every sentence; with a CRF the best path that the scheme allows. Words that were cut are outside."""
    device = model.classifier.weight.device
    compute: Callable[[PackedBatch], Tensor] = partial(model, dtype=settings.eval_precision)
    logits = predict(compute, _examples(data.aligned), "row", device=device)
    found = [np.zeros(0, np.int64)]
    forbidden = tuple(torch.from_numpy(~one) for one in entities.legal(settings.labels))
    while part := list(islice(logits, _DECODED)):
        emissions = torch.from_numpy(np.concatenate(part))
        if model.crf is None:
            found.append(emissions.argmax(-1).numpy())
        else:
            lengths = np.array([len(one) for one in part], np.int64)
            start, moves, end = forbidden
            found.append(model.crf.viterbi(emissions.to(device), lengths, (start, moves, end)).cpu().numpy())
    outside = settings.labels.index(entities.OUTSIDE)
    sentences = data.aligned.by_sentence(np.concatenate(found), outside)
    return [tuple(settings.labels[tag] for tag in sentence.tolist()) for sentence in sentences]


def _examples(aligned: AlignedWords) -> Iterator[Example]:
    for i in range(len(aligned)):
        ids = aligned.ids[aligned.starts[i] : aligned.starts[i + 1]]
        rows = aligned.rows[aligned.row_starts[i] : aligned.row_starts[i + 1]]
        yield Example(ids, np.zeros(len(ids), np.int64), rows)


@dataclass(frozen=True)
class Judged:
    """What an evaluation found.

    Attributes:
        results: by name, beginning with `eval_`; the metric that decides first.
        table: precision, recall and F1 of every type, for a person.
    """

    results: dict[str, float] = field(default_factory=dict)
    table: str = ""


def judge(settings: Tagging, model: TokenClassifier) -> Judged:
    """Compare what the model tags with what is right."""
    data = settings.dev
    assert data is not None
    found = predicted(settings, model, data)
    right = [row.tags or () for row in data.rows]
    score = entities.score(right, found)
    results = {
        "eval_entity_f1": score.overall.f1,
        "eval_precision": score.overall.precision,
        "eval_recall": score.overall.recall,
        "eval_accuracy": accuracy(_flat(settings, right), _flat(settings, found)),
    }
    if settings.metric == "cluener":
        texts = ["".join(row.words) for row in data.rows]
        gold, guessed = (
            [mentions(text, entities.spans(one)) for text, one in zip(texts, tags, strict=True)]
            for tags in (right, found)
        )
        mean, score = entities.cluener_score(gold, guessed)
        results = {"eval_cluener": mean, **results}
    return Judged(results, entities.table(score))


def _flat(settings: Tagging, sentences: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    number = {label: i for i, label in enumerate(settings.labels)}
    return np.array([number[tag] for sentence in sentences for tag in sentence], np.int64)


def evaluate(settings: Tagging, model: torch.nn.Module) -> Mapping[str, float]:
    """The results alone."""
    assert isinstance(model, TokenClassifier)
    return judge(settings, model).results
