"""Classification: losses by their definitions, any cut the same gradient, and the original's answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bertworks.config import BertConfig
from bertworks.data.sequences import encode, encode_windows
from bertworks.model.heads import SequenceClassifier, initialise
from bertworks.task import Partition
from bertworks.tasks.classification import task as classification
from bertworks.tasks.classification.task import Classification, LabelledSequences, ProblemKind
from bertworks.text.tokenizer import Tokenizer

FIXTURES = Path(__file__).parents[2] / "fixtures"
TOKENIZER = Tokenizer.from_vocab(FIXTURES / "vocab.txt")
LINES = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line][:24]
LABELS = {
    "single": np.arange(24) % 3,
    "multi": (np.arange(72).reshape(24, 3) % 5 < 2).astype(np.float32),
    "regression": np.linspace(0, 5, 24).astype(np.float32),
    "choice": np.arange(12) % 2,
}


def data(kind: ProblemKind) -> LabelledSequences:
    labels = LABELS[kind]
    sequences = encode(TOKENIZER, [(line, None) for line in LINES], 32)
    counts = np.full(12, 2) if kind == "choice" else None
    return LabelledSequences([str(i) for i in range(len(labels))], sequences, labels, counts)


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


def settings(kind: ProblemKind, **more: object) -> Classification:
    classes = 3 if kind in ("single", "multi") else 1
    return Classification(kind=kind, classes=classes, train=data(kind), train_batch_size=6, **more)  # type: ignore[arg-type]


def same_gradients(ones: list[torch.Tensor], others: list[torch.Tensor]) -> None:
    """To 1e-5 of the largest gradient: small ones are sums of large terms, which are rounded as those are."""
    largest = max(float(one.abs().max()) for one in ones)
    for one, other in zip(ones, others, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5 * largest, rtol=0)


@pytest.mark.parametrize("kind", ["single", "multi", "regression", "choice"])
@pytest.mark.parametrize("cut", [Partition(token_budget=40), Partition(token_budget=1)])
def test_any_cut_of_a_step_gives_the_same_gradient(kind: ProblemKind, cut: Partition) -> None:
    job = settings(kind)
    task = classification.task(job)
    gradients = []
    for how in (Partition(), cut):
        made = model(job.classes)
        portions = task.batches(2, how)
        assert (len(portions) > 1) == (how is cut)
        total = sum(task.counts(batch)["loss"] for batch in portions)
        for batch in portions:
            (task.sums(made, batch, 77)["loss"] / total).backward()
        gradients.append([p.grad for p in made.parameters() if p.grad is not None])
    same_gradients(*gradients)


def windows(kind: ProblemKind = "single") -> LabelledSequences:
    """The same texts, read through windows: some have several."""
    sequences, counts = encode_windows(TOKENIZER, [(line, None) for line in LINES], 12, 4)
    assert len(set(counts.tolist())) > 2
    return LabelledSequences([str(i) for i in range(24)], sequences, LABELS[kind], counts)


def test_every_window_is_an_example_of_its_texts_label_and_any_cut_is_the_same() -> None:
    data = windows()
    apart = data.split_windows()
    assert len(apart) == len(apart.sequences) == len(apart.labels) == data.counts.sum()
    assert [apart.ids.count(i) for i in data.ids] == data.counts.tolist()
    for row, i in enumerate(apart.ids):
        assert apart.labels[row] == data.labels[int(i)]
    job = Classification(kind="single", classes=3, train=apart, train_batch_size=7)
    task, gradients, portions = classification.task(job), [], []
    for cuts in ([Partition()], [Partition(token_budget=25)], [Partition(0, 2), Partition(1, 2, token_budget=1)]):
        made = model(3)
        batches = [batch for cut in cuts for batch in task.batches(4, cut)]
        portions.append(len(batches))
        total = sum(task.counts(batch)["loss"] for batch in batches)
        for batch in batches:
            assert batch.tokens <= 25 or cuts[0].token_budget != 25
            (task.sums(made, batch, 77)["loss"] / total).backward()
        gradients.append([p.grad for p in made.parameters() if p.grad is not None])
    assert portions[0] == 1 < portions[1]
    for others in gradients[1:]:
        same_gradients(gradients[0], others)


@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
def test_the_mean_over_windows_decides(kind: ProblemKind) -> None:
    data, made = windows(kind), model(1 if kind == "regression" else 3)
    job = settings(kind, dev={"": data})
    apart, together = (classification.predict_logits(job, made, one) for one in (data.split_windows(), data))
    assert len(together) == 24
    starts = data.starts
    for i in range(24):
        np.testing.assert_allclose(together[i], apart[starts[i] : starts[i + 1]].mean(0), atol=1e-5)
    expected = classification.loss(settings(kind), torch.from_numpy(together), torch.from_numpy(data.labels)) / 24
    assert classification.evaluate(job, made)["eval_loss"] == pytest.approx(float(expected), rel=1e-5)


def test_dropout_of_choices_does_not_depend_on_how_many_an_example_has() -> None:
    # Examples of 1, 2 and 3 sequences: each sequence of a step has a key of its own, whatever the cut.
    sequences = encode(TOKENIZER, [(line, None) for line in LINES], 32)
    data = LabelledSequences([str(i) for i in range(12)], sequences, LABELS["choice"], np.tile([1, 2, 3], 4))
    task = classification.task(Classification(kind="choice", classes=1, train=data, train_batch_size=12))
    found = [
        [key for batch in task.batches(0, cut) for key in batch.dropout_keys[: len(batch)].tolist()]
        for cut in (Partition(), Partition(token_budget=1))
    ]
    assert found[0] == found[1]
    assert len(set(found[0])) == len(sequences)


def test_processes_share_a_step() -> None:
    task = classification.task(settings("single"))
    whole = np.concatenate([batch.sequence_labels.numpy() for batch in task.batches(1, Partition())])
    parts = [batch.sequence_labels.numpy() for rank in range(4) for batch in task.batches(1, Partition(rank, 4))]
    assert np.array_equal(np.concatenate(parts), whole)


def test_more_processes_than_examples() -> None:
    job = settings("single")
    task = classification.task(job)
    (empty,) = task.batches(0, Partition(0, 100))
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
    (batch,) = task.batches(0, Partition())
    logits = made(batch)
    expected = F.cross_entropy(logits, batch.sequence_labels, torch.from_numpy(weights))
    found = task.sums(made, batch, None)["loss"] / task.counts(batch)["loss"]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", ["single", "multi", "regression", "choice"])
def test_predictions_come_in_order_whatever_the_batches(kind: ProblemKind) -> None:
    job, made = settings(kind), model(3 if kind in ("single", "multi") else 1)
    logits = classification.predict_logits(job, made, data(kind))
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
