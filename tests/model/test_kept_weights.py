"""Weights that a model keeps ready: equal to those made at each use, and made again when they change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bertworks.model import kernels
from bertworks.model.kept_weights import keep_weights, ready
from bertworks.model.processor import takes_packed

DTYPES = [torch.float32, torch.bfloat16]


def layers(count: int) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(8, 4 + number) for number in range(count)]


def of(made: list[nn.Linear], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return ready(dtype, [layer.weight for layer in made], [layer.bias for layer in made])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 3])
def test_kept_weights_are_those_made_at_each_use(dtype: torch.dtype, count: int) -> None:
    made = layers(count)
    fresh = of(made, dtype)
    keep_weights(nn.ModuleList(made))
    kept = of(made, dtype)
    assert all(torch.equal(a, b) for a, b in zip(fresh, kept, strict=True))
    if count > 1 or dtype != torch.float32:
        assert of(made, dtype)[0] is kept[0]
    assert of(made, torch.float64)[0].dtype == torch.float64


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_change_is_noticed(dtype: torch.dtype) -> None:
    made = layers(2)
    keep_weights(nn.ModuleList(made))
    before = of(made, dtype)[0]
    with torch.no_grad():
        made[1].weight.mul_(2)
    assert torch.equal(of(made, dtype)[0][4:], made[1].weight.to(dtype))
    made[0].bias = nn.Parameter(torch.ones(4))
    assert of(made, dtype)[1][:4].tolist() == [1.0] * 4
    assert not torch.equal(before, of(made, dtype)[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [2, 7, 64, 300])
def test_packed_weights_give_the_same_bits(dtype: torch.dtype, rows: int) -> None:
    if not takes_packed(dtype, torch.device("cpu")):
        pytest.skip("oneDNN does not compute these products here")
    torch.manual_seed(0)
    made = [nn.Linear(96, 64), nn.Linear(96, 32)]
    x = torch.randn(rows, 96).to(dtype)
    parameters = [(layer.weight, layer.bias) for layer in made]
    with torch.inference_mode():
        fresh = kernels.linears(x, *parameters), kernels.activated_linear(x, *parameters[0], "gelu")
        keep_weights(nn.ModuleList(made))
        for _ in range(2):
            kept = kernels.linears(x, *parameters), kernels.activated_linear(x, *parameters[0], "gelu")
            assert all(torch.equal(a, b) for a, b in zip(fresh, kept, strict=True))
        assert kernels.linears(x[:0], *parameters).shape == (0, 96)
    weights, biases = zip(*parameters, strict=True)
    assert ready(dtype, weights, biases, packed=True)[0].is_mkldnn
    with torch.no_grad():
        made[0].weight.mul_(2)
        changed = kernels.linears(x, *parameters)
    assert torch.equal(changed[:, 64:], fresh[0][:, 64:])
    assert not torch.equal(changed[:, :64], fresh[0][:, :64])


def test_other_models_keep_nothing() -> None:
    made = layers(2)
    assert of(made, torch.bfloat16)[0] is not of(made, torch.bfloat16)[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "tanh", "linear"])
def test_a_product_and_its_activation_are_one_after_the_other(dtype: torch.dtype, name: str) -> None:
    (layer,) = layers(1)
    x = torch.randn(50, 8, dtype=torch.float64)
    inputs = x.to(dtype), layer.weight, layer.bias
    with torch.no_grad():
        together = kernels.activated_linear(*inputs, name)
        apart = kernels.activate(kernels.linear(*inputs), name)
    assert together.dtype == dtype
    assert torch.allclose(together.float(), apart.float(), atol=1e-6 if dtype == torch.float32 else 2e-2)
    keep_weights(layer)
    with torch.inference_mode():
        assert torch.equal(kernels.activated_linear(*inputs, name), together)
    trained = kernels.activated_linear(*inputs, name)
    trained.float().sum().backward()
    assert layer.weight.grad is not None
