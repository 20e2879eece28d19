"""Schedules and groups of parameters: pure functions of the step and of the name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.model.heads import PretrainingModel
from bertworks.train import optimizer as optimizers
from bertworks.train.rules import GROUPS, Schedule, UpdateRules, decay_by_group, group_of

KINDS = st.sampled_from(["linear", "cosine", "warmup_stable_decay"])


@given(KINDS, st.integers(2, 60), st.integers(0, 20), st.integers(1, 20), st.sampled_from([0.0, 0.02, 0.5]))
def test_a_schedule_rises_and_then_never_rises_again(kind, steps, warmup, decay, share) -> None:
    warmup = min(warmup, steps - 1)
    schedule = Schedule(kind=kind, num_decay_steps=min(decay, steps - warmup), final_share=share)
    rates = [schedule.rate(step, 2.0, steps, warmup) for step in range(steps + 1)]
    assert rates[:warmup] == pytest.approx([2.0 * step / warmup for step in range(warmup)])
    assert all(now <= before + 1e-12 for before, now in zip(rates[warmup:], rates[warmup + 1 :], strict=False))
    assert max(rates) <= 2.0
    assert rates[-1] == pytest.approx(2.0 * share)


def test_shapes_of_the_schedules() -> None:
    cosine = [Schedule(kind="cosine").rate(step, 1.0, 12, 2) for step in (2, 7, 12)]
    assert cosine == pytest.approx([1.0, 0.5, 0.0], abs=1e-12)
    stable = Schedule(kind="warmup_stable_decay", num_decay_steps=4)
    assert [stable.rate(step, 1.0, 12, 2) for step in range(13)] == [0, 0.5, *[1.0] * 7, 0.75, 0.5, 0.25, 0.0]


@given(st.integers(0, 40), st.integers(50, 1000), st.integers(50, 1000))
def test_the_stable_part_does_not_depend_on_the_number_of_steps(step, one, other) -> None:
    schedule = Schedule(kind="warmup_stable_decay", num_decay_steps=10)
    assert schedule.rate(step, 0.3, one, 5) == schedule.rate(step, 0.3, other, 5)


def test_groups_of_a_bert() -> None:
    config = BertConfig.from_size("1/32", 50)
    groups = {name: group_of(name) for name, _ in PretrainingModel(config).named_parameters()}
    assert groups["bert.embeddings.word_embeddings.weight"] == "embeddings"
    assert groups["bert.encoder.layer.0.attention.self.query.weight"] == "matrices"
    assert groups["cls.predictions.transform.dense.weight"] == "head"
    assert groups["cls.predictions.bias"] == groups["bert.embeddings.LayerNorm.weight"] == "norms_and_biases"
    assert sum(group == "matrices" for group in groups.values()) == 6


def test_each_group_has_its_decay_and_the_default_is_the_originals() -> None:
    model = PretrainingModel(BertConfig.from_size("1/32", 50))
    rules = UpdateRules(group_decay=decay_by_group("embeddings=0, matrices=0.1"))
    optimizer = optimizers.build(model, "adamw", 0.01, rules=rules)
    names = {p: name for name, p in model.named_parameters()}
    decay = {names[p]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    expected = {"embeddings": 0.0, "matrices": 0.1, "head": 0.01, "norms_and_biases": 0.0}
    assert decay == {name: expected[group_of(name)] for name in names.values()}


@pytest.mark.parametrize("text", ["rest=1", "matrices", "matrices=x", "matrices=-1", "matrices=nan"])
def test_a_wrong_decay_names_the_groups(text: str) -> None:
    with pytest.raises(InputError, match=f"--group_weight_decay={text}: .*{GROUPS[0]}"):
        decay_by_group(text)
