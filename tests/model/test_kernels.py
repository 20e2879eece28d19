"""The elementary operations: values by their definitions, gradients by autograd's, products by either library."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from bertworks.model import kernels


def test_gelu_forms_by_their_definitions() -> None:
    x = torch.linspace(-6, 6, 4001, dtype=torch.float64).view(-1, 1)
    erf = x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    tanh = x * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    assert (kernels.activate(x.float(), "gelu") - erf).abs().max() < 1e-6
    assert (kernels.activate(x.float(), "gelu_new") - tanh).abs().max() < 1e-6
    training = kernels.activate(x.float().requires_grad_(), "gelu_new")
    assert (training - tanh).abs().max() < 1e-6
    assert (erf - tanh).abs().max() > 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 1e-2)])
def test_gelu_tanh_gradient(dtype: torch.dtype, tolerance: float) -> None:
    """Also over the chunks that it is computed in."""
    x = (torch.randn(3000, 400, generator=torch.Generator().manual_seed(0)) * 3).to(dtype).requires_grad_()
    (to_x,) = torch.autograd.grad(kernels.gelu_tanh(x).sum(), x)
    exact = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(F.gelu(exact, approximate="tanh").sum(), exact)
    assert (to_x.double() - expected).abs().max() < tolerance


def test_activations_of_the_config() -> None:
    x = torch.tensor([-1.0, 2.0])
    assert kernels.activate(x, "relu").tolist() == [0.0, 2.0]
    assert kernels.activate(x, "linear").tolist() == [-1.0, 2.0]
    assert kernels.activate(x, "tanh").tolist() == torch.tanh(x).tolist()


def test_several_linear_maps_at_once() -> None:
    generator = torch.Generator().manual_seed(1)
    x, a, b = (torch.randn(n, 6, generator=generator, requires_grad=True) for n in (5, 3, 4))
    bias_a, bias_b = (torch.randn(n, generator=generator, requires_grad=True) for n in (3, 4))
    weights = torch.randn(5, 7, generator=generator)
    inputs = (x, a, b, bias_a, bias_b)
    ours = torch.autograd.grad((kernels.linears(x, (a, bias_a), (b, bias_b)) * weights).sum(), inputs)
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
    loss, right = kernels.word_losses(hidden, weight, bias, labels)
    logits = F.linear(hidden, weight, bias)
    labels[: count // 2] = logits[: count // 2].argmax(-1)
    loss, right = kernels.word_losses(hidden, weight, bias, labels)
    expected = F.cross_entropy(logits, labels, reduction="sum")
    torch.testing.assert_close(loss, expected)
    assert int(right) == int((logits.argmax(-1) == labels).sum()) >= count // 2
    inputs = (hidden, weight, bias)
    for mine, theirs in zip(
        torch.autograd.grad(loss * 0.3, inputs), torch.autograd.grad(expected * 0.3, inputs), strict=True
    ):
        torch.testing.assert_close(mine, theirs)
    with torch.no_grad():
        assert kernels.word_losses(hidden, weight, bias, labels)[0] == loss


def test_norm_has_float32_statistics_in_bfloat16() -> None:
    x = (torch.randn(64, 256, generator=torch.Generator().manual_seed(3)) + 30).bfloat16()
    weight, bias = torch.ones(256), torch.zeros(256)
    exact = F.layer_norm(x.double(), (256,), eps=1e-12)
    assert (kernels.norm(x, weight, bias, 1e-12).double() - exact).abs().max() < 0.02


@pytest.fixture(params=[True, False], ids=["onednn", "as torch does"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this torch has no such operator")
    monkeypatch.setattr(kernels, "prefers_onednn", lambda: request.param)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(0, 4, 3), (1, 1, 1), (7, 33, 5), (300, 64, 128)])
@pytest.mark.usefixtures("library")
def test_product(rows: int, inputs: int, outputs: int, bias: bool) -> None:
    # Small whole numbers, whose sums are exact in any order.
    x, weight = torch.randint(-8, 9, (rows, inputs)).float(), torch.randint(-8, 9, (outputs, inputs)).float()
    add = torch.randint(-8, 9, (outputs,)).float() if bias else None
    expected = x @ weight.t() + (0 if add is None else add)
    assert torch.equal(kernels.product(x, weight, add), expected)
    assert torch.equal(kernels.product(x, weight.t().contiguous().t(), add), expected)


@pytest.mark.parametrize("shape", [(0, 4, 9), (1, 9, 4), (64, 3, 16), (77, 40, 8), (77, 5, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.usefixtures("library")
def test_product_over_rows(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    rows, m, n = shape
    generator = torch.Generator().manual_seed(4)
    a, b = (torch.randint(-3, 4, (rows, width), generator=generator).to(dtype) for width in (m, n))
    assert torch.equal(kernels.product_over_rows(a, b).float(), a.float().t() @ b.float())  # small whole numbers
