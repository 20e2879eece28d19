"""Products by whichever library: the same numbers."""

from __future__ import annotations

import pytest
import torch

from bertworks.model import products


@pytest.fixture(params=[True, False], ids=["onednn", "as torch does"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this torch has no such operator")
    monkeypatch.setattr(products, "_prefers_onednn", lambda: request.param)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(0, 4, 3), (1, 1, 1), (7, 33, 5), (300, 64, 128)])
@pytest.mark.usefixtures("library")
def test_product(rows: int, inputs: int, outputs: int, bias: bool) -> None:
    # Small whole numbers, whose sums are exact in any order.
    x, weight = torch.randint(-8, 9, (rows, inputs)).float(), torch.randint(-8, 9, (outputs, inputs)).float()
    add = torch.randint(-8, 9, (outputs,)).float() if bias else None
    expected = x @ weight.t() + (0 if add is None else add)
    assert torch.equal(products.product(x, weight, add), expected)
    assert torch.equal(products.product(x, weight.t().contiguous().t(), add), expected)


@pytest.mark.parametrize("shape", [(0, 4, 9), (1, 9, 4), (64, 3, 16), (77, 40, 8), (77, 5, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.usefixtures("library")
def test_product_over_rows(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    rows, m, n = shape
    generator = torch.Generator().manual_seed(4)
    a, b = (torch.randint(-3, 4, (rows, width), generator=generator).to(dtype) for width in (m, n))
    assert torch.equal(products.product_over_rows(a, b).float(), a.float().t() @ b.float())  # small whole numbers
