"""Classification: losses by their definitions, any cut the same gradient, and the original's answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bertworks.config import BertConfig
from bertworks.data.sequences import encode
from bertworks.model.heads import SequenceClassifier, initialise
from bertworks.task import Cut
from bertworks.tasks import classification
from bertworks.tasks.classification import Classification, Kind, Labelled
from bertworks.text.tokenizer import Tokenizer

FIXTURES = Path(__file__).parents[1] / "fixtures"
TOKENIZER = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
LINES = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line][:24]
LABELS = {
    "single": np.arange(24) % 3,
    "multi": (np.arange(72).reshape(24, 3) % 5 < 2).astype(np.float32),
    "regression": np.linspace(0, 5, 24).astype(np.float32),
    "choice": np.arange(12) % 2,
}


def data(kind: Kind) -> Labelled:
    labels = LABELS[kind]
    sequences = encode(TOKENIZER, [(line, None) for line in LINES], 32)
    return Labelled([str(i) for i in range(len(labels))], sequences, labels)


def model(classes: int, dropout: float = 0.1) -> SequenceClassifier:
    config = BertConfig(
        vocab_size=900,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    made = SequenceClassifier(config, classes)
    initialise(made, 0.5, 3)
    return made


def settings(kind: Kind, **more: object) -> Classification:
    classes = 3 if kind in ("single", "multi") else 1
    return Classification(kind=kind, classes=classes, train=data(kind), train_batch_size=6, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["single", "multi", "regression", "choice"])
@pytest.mark.parametrize("cut", [Cut(token_budget=40), Cut(token_budget=1)])
def test_any_cut_of_a_step_gives_the_same_gradient(kind: Kind, cut: Cut) -> None:
    job = settings(kind)
    task = classification.task(job)
    gradients = []
    for how in (Cut(), cut):
        made = model(job.classes)
        portions = task.batches(2, how)
        assert (len(portions) > 1) == (how is cut)
        total = sum(task.counts(batch)["loss"] for batch in portions)
        for batch in portions:
            (task.sums(made, batch, 77)["loss"] / total).backward()
        gradients.append([p.grad for p in made.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_processes_share_a_step() -> None:
    task = classification.task(settings("single"))
    whole = np.concatenate([batch.sequence_labels.numpy() for batch in task.batches(1, Cut())])
    parts = [batch.sequence_labels.numpy() for rank in range(4) for batch in task.batches(1, Cut(rank, 4))]
    assert np.array_equal(np.concatenate(parts), whole)


def test_more_processes_than_examples() -> None:
    job = settings("single")
    task = classification.task(job)
    (empty,) = task.batches(0, Cut(0, 100))
    sums = task.sums(model(3), empty, 1)
    assert float(sums["loss"].detach()) == 0
    assert task.counts(empty)["loss"] == 0


def test_losses_by_their_definitions() -> None:
    logits = torch.randn(24, 3, generator=torch.Generator().manual_seed(1))
    single, multi = torch.from_numpy(LABELS["single"]), torch.from_numpy(LABELS["multi"])
    expected = F.cross_entropy(logits, single)
    assert float(classification.loss(settings("single"), logits, single)) / 24 == pytest.approx(float(expected))
    expected = F.binary_cross_entropy_with_logits(logits, multi)
    assert float(classification.loss(settings("multi"), logits, multi)) / 24 == pytest.approx(float(expected))
    scores = torch.from_numpy(LABELS["regression"])
    expected = F.mse_loss(logits[:, 0], scores)
    found = classification.loss(settings("regression"), logits[:, :1], scores)
    assert float(found) / 24 == pytest.approx(float(expected))


def test_class_weights_are_those_of_the_librarys_mean() -> None:
    weights = np.array([0.5, 1.0, 3.0], np.float32)
    job = settings("single", class_weights=weights)
    task = classification.task(job)
    made = model(3, dropout=0.0)
    (batch,) = task.batches(0, Cut())
    logits = made(batch)
    expected = F.cross_entropy(logits, batch.sequence_labels, torch.from_numpy(weights))
    found = task.sums(made, batch, None)["loss"] / task.counts(batch)["loss"]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", ["single", "multi", "regression", "choice"])
def test_predictions_come_in_order_whatever_the_batches(kind: Kind) -> None:
    job, made = settings(kind), model(3 if kind in ("single", "multi") else 1)
    logits = classification.logits_of(job, made, data(kind))
    assert logits.shape == {"single": (24, 3), "multi": (24, 3), "regression": (24, 1), "choice": (12, 2)}[kind]
    one = data(kind).sequences
    ids, segments, lengths = one.take(np.array([5]))
    from bertworks.data.batch import pack

    with torch.no_grad():
        alone = made(pack(ids, segments, lengths))[0].numpy()
    row = logits[2, 1] if kind == "choice" else logits[5]
    np.testing.assert_allclose(row, alone if kind != "choice" else alone[0], atol=1e-5)


def test_evaluation_of_two_sets() -> None:
    job = settings("single", dev={"": data("single"), "_mismatched": data("single")}, metrics=("accuracy", "macro_f1"))
    results = classification.evaluate(job, model(3))
    assert list(results) == [
        "eval_accuracy", "eval_macro_f1", "eval_loss",
        "eval_accuracy_mismatched", "eval_macro_f1_mismatched", "eval_loss_mismatched",
    ]  # fmt: skip
    assert results["eval_loss"] == results["eval_loss_mismatched"]
