"""The model as a whole: what must not change its numbers, and how a step may be cut."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bertworks.config import BertConfig
from bertworks.data.batch import pack
from bertworks.model.heads import PretrainingModel
from tests.model.conftest import batch_of, gradients, part_of, with_dropout

LENGTHS = [9, 33, 5, 64, 17, 5, 40]


def largest_difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The largest difference of two sets of gradients, as a share of the largest entry."""
    assert ours.keys() == theirs.keys()
    largest = max(float(value.abs().max()) for value in theirs.values())
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours) / largest


@torch.no_grad()
def test_neighbours_and_order_change_nothing(model: PretrainingModel) -> None:
    batch = batch_of(LENGTHS)
    starts = batch.starts.tolist()
    together = model.bert(batch)
    for order in ([3], [6, 0, 2], [6, 5, 4, 3, 2, 1, 0]):
        hidden = model.bert(part_of(batch, order))
        expected = torch.cat([together[starts[i] : starts[i + 1]] for i in order])
        assert (hidden - expected).abs().max() <= 1e-5


@torch.no_grad()
def test_read_rows_are_those_of_all_rows(model: PretrainingModel) -> None:
    batch = batch_of(LENGTHS)
    read = torch.tensor([0, 9, 11, 41, 172])
    for dropout in (None, 12):
        everything = model.bert(batch, dropout=dropout)
        assert (model.bert(batch, dropout=dropout, read=read) - everything[read]).abs().max() <= 1e-5


@pytest.mark.parametrize("sequences", [1, 2, 7])
def test_cuts_give_the_same_gradient(model: PretrainingModel, sequences: int) -> None:
    batch = batch_of(LENGTHS)
    counts = {"words": len(batch.rows), "sequences": len(batch)}
    whole = gradients(model, [batch], 3, **counts)
    order = list(range(7))
    parts = [part_of(batch, order[i : i + sequences]) for i in range(0, 7, sequences)]
    assert len({len(part.rows) for part in parts}) > 1 or sequences == 7
    assert largest_difference(gradients(model, parts, 3, **counts), whole) < 1e-5
    assert largest_difference(gradients(model, [part_of(batch, order[::-1])], 3, **counts), whole) < 1e-5


def test_averaging_means_gives_another_gradient(model: PretrainingModel) -> None:
    """The mutant that the test above must catch."""
    batch = batch_of(LENGTHS)
    whole = gradients(model, [batch], 3, words=len(batch.rows), sequences=7)
    parts = [part_of(batch, [*range(i, min(i + 2, 7))]) for i in range(0, 7, 2)]
    mean_of_means: dict[str, torch.Tensor] = {}
    for part in parts:
        for name, value in gradients(model, [part], 3, words=len(part.rows), sequences=len(part)).items():
            mean_of_means[name] = mean_of_means.get(name, torch.zeros(())) + value / len(parts)
    assert largest_difference(mean_of_means, whole) > 1e-3


@torch.no_grad()
def test_dropout_depends_on_the_step_and_is_needed(model: PretrainingModel) -> None:
    batch = batch_of(LENGTHS)
    losses = [float(model(batch, dropout=key)["masked_lm_loss"]) for key in (None, 1, 1, 2)]
    assert losses[1] == losses[2]
    assert len(set(losses)) == 3
    hidden_only, attention_only = with_dropout(model, 0.1, 0.0), with_dropout(model, 0.0, 0.1)
    assert float(hidden_only(batch, dropout=1)["masked_lm_loss"]) != losses[0]
    assert float(attention_only(batch, dropout=1)["masked_lm_loss"]) != losses[0]
    none = with_dropout(model, 0.0, 0.0)
    assert float(none(batch, dropout=1)["masked_lm_loss"]) == losses[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_the_same_bits_twice(model: PretrainingModel, dtype: torch.dtype) -> None:
    batch = batch_of(LENGTHS)
    first, second = (gradients(model, [batch], 3, dtype, words=13, sequences=7) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {value.dtype for value in first.values()} == {torch.float32}
    assert first.keys() == dict(model.named_parameters()).keys()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_gradient_checkpointing_changes_nothing(model: PretrainingModel, dtype: torch.dtype) -> None:
    batch = batch_of(LENGTHS)
    plain = gradients(model, [batch], 3, dtype, words=13, sequences=7)
    model.bert.gradient_checkpointing = True
    again = gradients(model, [batch], 3, dtype, words=13, sequences=7)
    assert all(torch.equal(plain[name], again[name]) for name in plain)


def test_bfloat16_is_near_float32(model: PretrainingModel) -> None:
    batch = batch_of(LENGTHS)
    exact = gradients(model, [batch], 3, words=13, sequences=7)
    with torch.no_grad():
        exact_loss = float(model(batch, dropout=3)["masked_lm_loss"])
    rough = gradients(model, [batch], 3, torch.bfloat16, words=13, sequences=7)
    with torch.no_grad():
        assert float(model(batch, dropout=3, dtype=torch.bfloat16)["masked_lm_loss"]) == pytest.approx(
            exact_loss, rel=0.01
        )
    for name, value in exact.items():
        direction = torch.cosine_similarity(value.flatten(), rough[name].flatten(), dim=0)
        # The key's bias shifts all scores of a query alike, so its gradient is zero but for rounding.
        assert name.endswith("key.bias") or direction > 0.98, name


def test_filler_changes_nothing(model: PretrainingModel) -> None:
    plain = batch_of([9, 33, 20, 41])
    filled = pack(
        plain.input_ids.numpy(),
        plain.segment_ids.numpy(),
        plain.lengths,
        rows=plain.rows.numpy(),
        labels=plain.labels.numpy(),
        sequence_labels=plain.sequence_labels.numpy(),
        filled=True,
    )
    assert filled.filler > 0
    found = []
    for batch in (plain, filled):
        sums = model(batch, dropout=5)
        (sums["masked_lm_loss"] + sums["next_sentence_loss"]).backward()
        found.append((sums, {name: p.grad.clone() for name, p in model.named_parameters()}))
        model.zero_grad()
    (sums, gradients), (filled_sums, filled_gradients) = found
    for name, value in sums.items():
        torch.testing.assert_close(filled_sums[name], value, rtol=1e-6, atol=1e-5)
    largest = max(float(g.abs().max()) for g in gradients.values())
    for name, gradient in gradients.items():
        torch.testing.assert_close(filled_gradients[name], gradient, rtol=0, atol=1e-5 * largest)


def test_an_empty_batch_counts_nothing(model: PretrainingModel) -> None:
    empty = part_of(batch_of(LENGTHS), [])
    sums = model(empty, dropout=1)
    assert {name: float(value.detach()) for name, value in sums.items()} == dict.fromkeys(sums, 0.0)
    (sums["masked_lm_loss"] / 7 + sums["next_sentence_loss"] / 7).backward()
    assert all(p.grad is None or float(p.grad.abs().max()) == 0.0 for p in model.parameters())


@torch.no_grad()
def test_a_batch_without_masked_words(model: PretrainingModel) -> None:
    batch = dataclasses.replace(batch_of(LENGTHS), rows=torch.zeros(0).long(), labels=torch.zeros(0).long())
    sums = model(batch)
    assert float(sums["masked_lm_loss"]) == 0.0
    assert float(sums["next_sentence_loss"]) > 0.0


def test_fresh_weights(config: BertConfig) -> None:
    big = dataclasses.replace(config, vocab_size=2000, initializer_range=0.02)
    one, same, other = (PretrainingModel(big) for _ in range(3))
    one.initialise(1)
    same.initialise(1)
    other.initialise(2)
    for (name, p), q, r in zip(one.named_parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
        if p.dim() == 2:
            assert not torch.equal(p, r)
            assert p.abs().max() <= 0.04
        else:
            assert set(p.tolist()) == {1.0 if name.endswith("LayerNorm.weight") else 0.0}
    words = one.bert.embeddings.word_embeddings.weight.detach()
    # A normal distribution cut at two deviations has 0.8796 of the deviation.
    assert float(words.std()) == pytest.approx(0.8796 * 0.02, rel=0.01)


def test_parity_with_transformers(model: PretrainingModel) -> None:
    """Same weights, same answers, same gradients; and their names are ours."""
    transformers = pytest.importorskip("transformers")
    settings = dataclasses.asdict(model.config)
    settings.pop("extra")
    settings.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, hidden_act="gelu")
    theirs = transformers.BertForPreTraining(transformers.BertConfig(**settings))
    missing, unexpected = theirs.load_state_dict(model.state_dict(), strict=False)
    assert not unexpected
    assert set(missing) <= {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}  # tied
    ours = PretrainingModel(dataclasses.replace(model.config, hidden_act="gelu"))
    ours.load_state_dict(model.state_dict())
    batch = batch_of(LENGTHS)
    real = torch.arange(64) < torch.from_numpy(batch.lengths)[:, None]

    def padded(values: torch.Tensor, fill: int) -> torch.Tensor:
        return torch.full(real.shape, fill).masked_scatter(real, values)

    labels = torch.full((batch.tokens,), -100)
    labels[batch.rows] = batch.labels
    output = theirs(
        input_ids=padded(batch.input_ids, 0),
        token_type_ids=padded(batch.segment_ids, 0),
        attention_mask=real.long(),
        labels=padded(labels, -100),
        next_sentence_label=batch.sequence_labels,
    )
    with torch.no_grad():
        hidden = ours.bert(batch)
        assert (ours.masked_lm_logits(hidden) - output.prediction_logits[real]).abs().max() < 1e-5
    sums = ours(batch)
    loss = sums["masked_lm_loss"] / len(batch.rows) + sums["next_sentence_loss"] / len(batch)
    assert float(loss.detach()) == pytest.approx(float(output.loss.detach()), rel=1e-5)
    loss.backward()
    output.loss.backward()
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    assert largest_difference({name: p.grad for name, p in ours.named_parameters()}, expected) < 1e-5


def test_the_state_has_parameters_only(model: PretrainingModel) -> None:
    assert model.state_dict().keys() == dict(model.named_parameters()).keys()
    assert "bert.encoder.layer.2.attention.self.query.weight" in model.state_dict()


@torch.no_grad()
def test_long_sequences_up_to_the_last_position(model: PretrainingModel) -> None:
    batch = pack(np.arange(160) % 61, np.zeros(160, np.int64), np.array([160]))
    assert model.bert(batch).isfinite().all()
