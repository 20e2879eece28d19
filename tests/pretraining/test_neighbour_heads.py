"""Heads that begin with neighbouring words: each attends to the word at its offset, whatever the words are."""

from __future__ import annotations

import pytest
import torch

from bertworks.config import BertConfig
from bertworks.model.heads import PretrainingModel
from bertworks.pretraining.neighbour_heads import OFFSETS, attend_to_neighbours
from bertworks.tasks.attentions import plain_forward

SIZES = [(32, 2), (64, 1), (128, 2), (256, 4), (768, 12)]


def drawn(hidden: int, heads: int) -> PretrainingModel:
    config = BertConfig(
        vocab_size=300,
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=heads,
        intermediate_size=64,
        max_position_embeddings=200,
    )
    model = PretrainingModel(config)
    model.initialise(7)
    return model


def attention(model: PretrainingModel, seed: int) -> torch.Tensor:
    """The first layer's probabilities [A, 120, 120] of random words."""
    ids = torch.randint(5, 300, (120,), generator=torch.Generator().manual_seed(seed))
    return plain_forward(model.bert, ids, torch.zeros_like(ids))[1][0]


@pytest.mark.parametrize(("hidden", "heads"), SIZES)
def test_a_head_attends_to_the_word_at_its_offset(hidden: int, heads: int) -> None:
    model = drawn(hidden, heads)
    attend_to_neighbours(model.bert)
    probabilities = torch.stack([attention(model, seed) for seed in range(8)]).mean(0)
    rows = torch.arange(10, 110)
    near = torch.arange(-5, 6)
    for head, offset in enumerate(OFFSETS[:heads]):
        of_places = torch.stack([probabilities[head, rows, rows + place].mean() for place in near])
        assert int(near[of_places.argmax()]) == offset
        assert of_places.max() > 0.5
    for head in range(len(OFFSETS), heads):  # others are as they were drawn
        assert probabilities[head, rows, rows].mean() < 2 / 120


def test_nothing_else_changes() -> None:
    model, before = drawn(256, 8), drawn(256, 8)
    said = attend_to_neighbours(model.bert)
    assert said.endswith("4 heads of layer 0 attend to neighbouring words")
    changed = {
        name
        for (name, p), q in zip(model.named_parameters(), before.parameters(), strict=True)
        if not torch.equal(p, q)
    }
    first = "bert.encoder.layer.0.attention.self"
    tables = {f"bert.embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")}
    assert changed == {*tables, f"{first}.query.weight", f"{first}.key.weight"}
    words, old_words = (m.bert.embeddings.word_embeddings.weight for m in (model, before))
    assert torch.equal(words[:, 32:], old_words[:, 32:])
    weight, old = (m.bert.encoder.layer[0].attention.self.query.weight for m in (model, before))
    assert torch.equal(weight[4 * 32 :], old[4 * 32 :])


def test_positions_are_as_far_from_each_other_everywhere() -> None:
    """The product of two sinusoids depends on their distance only."""
    model = drawn(128, 2)
    attend_to_neighbours(model.bert)
    positions = model.bert.embeddings.position_embeddings.weight.detach()
    products = positions @ positions.T
    for distance in (0, 1, 7):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-3, atol=1e-4)
    used = positions.square().mean(0) > 0
    size = positions[:, used].square().mean().sqrt() / model.config.initializer_range
    assert abs(float(size) - 1) < 1e-3
