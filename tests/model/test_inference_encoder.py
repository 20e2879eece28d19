"""A model that is only used computes the same bits as one that makes its weights ready at each use."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from bertworks.data.batch import PackedBatch
from bertworks.model.heads import PretrainingModel
from bertworks.model.inference_encoder import InferenceEncoder
from bertworks.model.kept_weights import keep_weights
from bertworks.model.processor import takes_packed
from tests.model.conftest import batch_of

DTYPES = [torch.float32, torch.bfloat16]


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    found: torch.dtype = request.param
    if not takes_packed(found, torch.device("cpu")):
        pytest.skip("oneDNN does not compute these products here")
    return found


def used(model: PretrainingModel, batch: PackedBatch, dtype: torch.dtype, read: Tensor | None = None) -> list[Tensor]:
    with torch.inference_mode():
        return model.bert.hidden_states(batch, [0, 2, 3], dtype=dtype, read=read)


@pytest.mark.parametrize("lengths", [[40], [9, 9, 30], [5, 40, 17, 64, 33, 20]])
@pytest.mark.parametrize("activation", ["gelu_new", "gelu", "relu"])
def test_a_model_that_is_only_used_gives_the_same_bits(
    model: PretrainingModel, dtype: torch.dtype, lengths: list[int], activation: str
) -> None:
    model = PretrainingModel(replace(model.config, hidden_act=activation))
    model.initialise(3)
    batch = batch_of(lengths)
    read = torch.arange(0, batch.tokens, 4)  # a single row is another product to oneDNN, with other last bits
    fresh, some = used(model, batch, dtype), used(model, batch, dtype, read)
    keep_weights(model)
    for _ in range(2):
        assert all(map(torch.equal, used(model, batch, dtype), fresh))
        assert all(map(torch.equal, used(model, batch, dtype, read), some))


def test_changed_weights_are_noticed(model: PretrainingModel, dtype: torch.dtype) -> None:
    batch, twin = batch_of([40, 9]), copy.deepcopy(model)
    keep_weights(model)
    before = used(model, batch, dtype)
    for each in (model, twin):
        layer = each.bert.encoder.layer[1]
        with torch.no_grad():
            layer.attention.self.key.weight.mul_(-2)
        layer.output.dense.bias = nn.Parameter(torch.arange(32.0))
    after = used(model, batch, dtype)
    assert all(map(torch.equal, after, used(twin, batch, dtype)))
    assert not torch.equal(before[1], after[1])
    other = copy.deepcopy(model)  # without what was prepared
    with torch.no_grad():
        other.bert.encoder.layer[0].attention.output.dense.weight.zero_()
    keep_weights(other)
    assert not torch.equal(used(other, batch, dtype)[2], after[2])
    assert all(map(torch.equal, used(model, batch, dtype), after))


def test_what_is_prepared_is_kept(model: PretrainingModel, dtype: torch.dtype) -> None:
    encoder = InferenceEncoder(model.bert.encoder, model.config.hidden_act)
    first = encoder.blocks(dtype)
    assert encoder.blocks(dtype) is first
    assert encoder.blocks(torch.int8) is not first
    assert encoder.blocks(dtype) is first


def test_gradients_flow_through_a_model_that_keeps_its_weights(model: PretrainingModel) -> None:
    keep_weights(model)
    used(model, batch_of([12]), torch.float32)
    model.bert(batch_of([12])).sum().backward()
    assert model.bert.encoder.layer[0].intermediate.dense.weight.grad is not None
