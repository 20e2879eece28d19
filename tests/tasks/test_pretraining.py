"""Pre-training as a task: the same rows however they are cut, and the original's evaluation."""

import numpy as np
import pytest
import torch

from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch
from bertworks.data.instances import Instances
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from bertworks.task import Partition
from bertworks.tasks import pretraining

WORDS = 50


class Made:
    """Instances made of their own number."""

    def instances(self, first: int, last: int) -> Instances:
        numbers = np.arange(first, last)
        lengths = 5 + numbers % 7
        starts = np.cumsum(lengths) - lengths
        ids = np.concatenate([np.zeros(0, np.int64), *((n + np.arange(5 + n % 7)) % WORDS for n in numbers)])
        rows = np.sort(np.concatenate([starts + 1, starts + 3]))
        return Instances(ids, 0 * ids, lengths, rows, ids[rows], numbers % 2)

    def identity(self) -> dict[str, object]:
        return {}


def real(batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Words and dropout keys without the filler."""
    return batch.input_ids[: batch.tokens], batch.dropout_keys[: len(batch)]


def settings(**changes) -> pretraining.Pretraining:
    phases = changes.pop("phases", [pretraining.InstancePhase(Made(), changes.pop("train_batch_size", 12))])
    values = {"vocab_size": WORDS, "eval_batch_size": 4, "max_eval_steps": 3}
    return pretraining.Pretraining(phases=phases, eval_source=Made(), **{**values, **changes})


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("budget", [1, 30, 10_000])
def test_processes_and_cuts_share_out_the_same_rows(world: int, budget: int) -> None:
    whole = pretraining.packed(Made().instances(24, 36))
    parts = [
        batch for rank in range(world) for batch in pretraining.batches(settings(), 2, Partition(rank, world, budget))
    ]
    for name in ("labels", "sequence_labels"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    ids, keys = (torch.cat([real(part)[i] for part in parts]) for i in (0, 1))
    assert torch.equal(ids, real(whole)[0])
    assert torch.equal(keys, real(whole)[1])
    assert sum(pretraining.counts(part)["masked_lm_loss"] for part in parts) == 24


def test_a_process_without_instances_has_one_empty_batch() -> None:
    (batch,) = pretraining.batches(settings(train_batch_size=1), 0, Partition(0, 2, 100))
    assert len(batch) == 0
    model = model_of(2)
    sums = pretraining.sums(torch.float32, model, batch, 1)
    assert {name: float(value.detach()) for name, value in sums.items()} == dict.fromkeys(sums, 0.0)


def model_of(seed: int) -> PretrainingModel:
    config = BertConfig(
        vocab_size=WORDS, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    model = PretrainingModel(config)
    model.initialise(seed)
    return model


def test_evaluation_is_the_originals() -> None:
    """Loss is the mean of the batches' losses; everything else is over all predictions."""
    model = model_of(3)
    results = pretraining.evaluate(settings(), model)
    losses, words, right = [], 0.0, 0.0
    with torch.no_grad():
        for step in range(3):
            sums = model(pretraining.packed(Made().instances(4 * step, 4 * step + 4)))
            losses.append(float(sums["masked_lm_loss"]) / (8 + 1e-5) + float(sums["next_sentence_loss"]) / 4)
            words += float(sums["masked_lm_loss"])
            right += float(sums["masked_lm_accuracy"])
    assert list(results) == sorted(results)
    assert results["loss"] == pytest.approx(np.mean(losses))
    assert results["masked_lm_loss"] == pytest.approx(words / 24)
    assert results["masked_lm_accuracy"] == pytest.approx(right / 24)


def test_without_next_sentence_only_masked_words_count() -> None:
    model, only_words = model_of(3), settings(next_sentence=False)
    both, one = pretraining.evaluate(settings(), model), pretraining.evaluate(only_words, model)
    assert one == {
        "loss": pytest.approx(both["loss"] - both["next_sentence_loss"]),
        "masked_lm_loss": both["masked_lm_loss"],
        "masked_lm_accuracy": both["masked_lm_accuracy"],
    }
    task = pretraining.task(only_words)
    assert list(task.losses) == ["masked_lm_loss"]
    pretraining.freeze_unused(model, next_sentence=False, bag_of_words=False)
    (batch,) = task.batches(0, Partition())
    task.sums(model, batch, 1)["masked_lm_loss"].backward()
    still = {name for name, p in model.named_parameters() if p.grad is None}
    assert still == {
        f"{layer}.{kind}" for layer in ("bert.pooler.dense", "cls.seq_relationship") for kind in ("weight", "bias")
    }


def test_a_bag_of_words_trains_the_pooler_too() -> None:
    model, words_of_texts = model_of(3), settings(next_sentence=False, bag_of_words=0.5)
    one, more = pretraining.evaluate(settings(next_sentence=False), model), pretraining.evaluate(words_of_texts, model)
    loss = more.pop("bag_of_words_loss")
    assert loss == pytest.approx(np.log(WORDS), rel=0.05)
    assert more == {**one, "loss": pytest.approx(one["loss"] + 0.5 * loss)}
    task = pretraining.task(words_of_texts)
    assert list(task.losses) == ["masked_lm_loss", "bag_of_words_loss"]
    assert task.weights == {"bag_of_words_loss": 0.5}
    pretraining.freeze_unused(model, next_sentence=False, bag_of_words=True)
    (batch,) = task.batches(0, Partition())
    assert task.counts(batch)["bag_of_words_loss"] == len(batch)
    task.sums(model, batch, 1)["bag_of_words_loss"].backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert {"bert.pooler.dense.weight", "cls.predictions.bias"} <= trained
    assert not any(name.startswith(("cls.seq_relationship", "cls.predictions.transform")) for name in trained)


def test_words_that_the_model_does_not_have_are_refused() -> None:
    with pytest.raises(InputError, match="--input_file: holds word"):
        pretraining.batches(settings(vocab_size=20), 2, Partition())


def test_most_frequent_label_share() -> None:
    labels = Made().instances(0, 40).labels
    assert pretraining.most_frequent_label_share(Made(), 40) == max(np.bincount(labels)) / len(labels)


def test_phases_take_over_at_their_steps_and_processes_share_out_each() -> None:
    phases = [
        pretraining.InstancePhase(Made(), 6),
        pretraining.InstancePhase(Made(), 4, 3, 100),
        pretraining.InstancePhase(Made(), 8, 5, 7),
    ]
    expected = {0: (0, 6), 2: (12, 18), 3: (100, 104), 4: (104, 108), 5: (7, 15), 9: (39, 47)}
    for step, (first, last) in expected.items():
        parts = [b for rank in range(3) for b in pretraining.batches(settings(phases=phases), step, Partition(rank, 3))]
        ids, keys = (torch.cat([real(part)[i] for part in parts]) for i in (0, 1))
        whole = pretraining.packed(Made().instances(first, last))
        assert torch.equal(ids, real(whole)[0])
        assert torch.equal(keys, real(whole)[1])


def test_a_causal_batch_predicts_each_word_from_those_before_it() -> None:
    made = Made().instances(3, 9)
    masked = made.input_ids.copy()
    masked[made.rows] = 1
    batch = pretraining.packed(
        Instances(masked, made.segment_ids, made.lengths, made.rows, made.labels, 0 * made.lengths)
    )
    causal = pretraining.packed(
        Instances(masked, made.segment_ids, made.lengths, made.rows, made.labels, 0 * made.lengths), causal=True
    )
    assert causal.causal
    assert torch.equal(real(causal)[0], torch.from_numpy(made.input_ids))
    assert not torch.equal(real(batch)[0], torch.from_numpy(made.input_ids))
    starts = np.cumsum(made.lengths) - made.lengths
    expected = [s + i for s, n in zip(starts, made.lengths, strict=True) for i in range(1, n - 2)]
    assert causal.rows.tolist() == expected
    assert causal.labels.tolist() == made.input_ids[np.array(expected) + 1].tolist()
    assert set(pretraining.counts(causal)) == {"causal_lm_loss", "causal_lm_accuracy"}


def test_a_causal_forward_pass_does_not_depend_on_later_words() -> None:
    model, made = model_of(3), Made().instances(6, 7)
    one = pretraining.packed(made, causal=True)
    changed = made.input_ids.copy()
    changed[-2] = 49
    other = pretraining.packed(
        Instances(changed, made.segment_ids, made.lengths, made.rows[:0], made.labels[:0], made.is_random_next),
        causal=True,
    )
    rows = torch.arange(len(made.input_ids) - 2)
    with torch.no_grad():
        found, expected = (model.bert(batch, read=rows) for batch in (one, other))
        assert torch.equal(found, expected)
        both = [
            model.bert(
                pretraining.packed(
                    Instances(
                        batch.input_ids.numpy()[: batch.tokens],
                        made.segment_ids,
                        made.lengths,
                        made.rows[:0],
                        made.labels[:0],
                        made.is_random_next,
                    )
                ),
                read=rows,
            )
            for batch in (one, other)
        ]
        assert not torch.equal(*both)
