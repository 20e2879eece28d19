"""The elementary steps: values by their definitions, gradients by autograd's."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from bertworks.model import functions


def test_gelu_forms_by_their_definitions() -> None:
    x = torch.linspace(-6, 6, 4001, dtype=torch.float64).view(-1, 1)
    erf = x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    tanh = x * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    assert (functions.activate(x.float(), "gelu") - erf).abs().max() < 1e-6
    assert (functions.activate(x.float(), "gelu_new") - tanh).abs().max() < 1e-6
    training = functions.activate(x.float().requires_grad_(), "gelu_new")
    assert (training - tanh).abs().max() < 1e-6
    assert (erf - tanh).abs().max() > 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 1e-2)])
def test_gelu_tanh_gradient(dtype: torch.dtype, tolerance: float) -> None:
    """Also over the chunks that it is computed in."""
    x = (torch.randn(3000, 400, generator=torch.Generator().manual_seed(0)) * 3).to(dtype).requires_grad_()
    (to_x,) = torch.autograd.grad(functions.gelu_tanh(x).sum(), x)
    exact = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(F.gelu(exact, approximate="tanh").sum(), exact)
    assert (to_x.double() - expected).abs().max() < tolerance


def test_activations_of_the_config() -> None:
    x = torch.tensor([-1.0, 2.0])
    assert functions.activate(x, "relu").tolist() == [0.0, 2.0]
    assert functions.activate(x, "linear").tolist() == [-1.0, 2.0]
    assert functions.activate(x, "tanh").tolist() == torch.tanh(x).tolist()


def test_several_linear_maps_at_once() -> None:
    generator = torch.Generator().manual_seed(1)
    x, a, b = (torch.randn(n, 6, generator=generator, requires_grad=True) for n in (5, 3, 4))
    bias_a, bias_b = (torch.randn(n, generator=generator, requires_grad=True) for n in (3, 4))
    weights = torch.randn(5, 7, generator=generator)
    inputs = (x, a, b, bias_a, bias_b)
    ours = torch.autograd.grad((functions.linears(x, (a, bias_a), (b, bias_b)) * weights).sum(), inputs)
    plain = torch.cat([F.linear(x, a, bias_a), F.linear(x, b, bias_b)], 1)
    for mine, theirs in zip(ours, torch.autograd.grad((plain * weights).sum(), inputs), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("count", [0, 1, 17, 40])
def test_word_losses(count: int) -> None:
    """Values, gradients and right answers, in chunks that do and do not divide the rows."""
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(count, 8, generator=generator, requires_grad=True)
    weight = torch.randn(50, 8, generator=generator, requires_grad=True)
    bias = torch.randn(50, generator=generator, requires_grad=True)
    labels = torch.randint(0, 50, (count,), generator=generator)
    loss, right = functions.word_losses(hidden, weight, bias, labels)
    logits = F.linear(hidden, weight, bias)
    labels[: count // 2] = logits[: count // 2].argmax(-1)
    loss, right = functions.word_losses(hidden, weight, bias, labels)
    expected = F.cross_entropy(logits, labels, reduction="sum")
    torch.testing.assert_close(loss, expected)
    assert int(right) == int((logits.argmax(-1) == labels).sum()) >= count // 2
    inputs = (hidden, weight, bias)
    for mine, theirs in zip(
        torch.autograd.grad(loss * 0.3, inputs), torch.autograd.grad(expected * 0.3, inputs), strict=True
    ):
        torch.testing.assert_close(mine, theirs)
    with torch.no_grad():
        assert functions.word_losses(hidden, weight, bias, labels)[0] == loss


def test_norm_has_float32_statistics_in_bfloat16() -> None:
    x = (torch.randn(64, 256, generator=torch.Generator().manual_seed(3)) + 30).bfloat16()
    weight, bias = torch.ones(256), torch.zeros(256)
    exact = F.layer_norm(x.double(), (256,), eps=1e-12)
    assert (functions.norm(x, weight, bias, 1e-12).double() - exact).abs().max() < 0.02
