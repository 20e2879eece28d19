"""Matrix products, each by the faster of the libraries that torch carries.

On CPU torch gives float32 to MKL, which runs at half the speed on processors that are not its maker's; oneDNN, which
torch uses for bfloat16, computes the same float32 products there at twice the speed (202 to 245 against 102 to 111
GFLOP/s a core of an AMD EPYC). The way to it has no public name, so there is another where it is missing.

Shapes: T rows.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The product x [T, in] @ weight [out, in].T + bias [out] -> [T, out]; nothing is recorded for gradients."""
    if x.dtype == torch.float32 and x.device.type == "cpu" and x.numel() and _prefers_onednn():
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return result
    return F.linear(x, weight, bias)


def product_over_rows(a: Tensor, b: Tensor) -> Tensor:
    """The sum over rows a.T @ b, for a [T, m] and b [T, n] -> [m, n]: the gradient of a weight.

    In bf16 on CPU the library multiplies at half its speed when the left side has to be read across its rows, so the
    narrower side is turned round first, and for a narrow right side the result.
    """
    if a.device.type != "cpu" or a.element_size() != 2 or min(a.shape[1], b.shape[1]) * 2 > max(a.shape[1], b.shape[1]):
        return product(a.t(), b.t())
    return turned(a) @ b if a.shape[1] < b.shape[1] else turned(turned(b) @ a)


def turned(x: Tensor) -> Tensor:
    """The transpose of x [T, m], of 16-bit values, laid out [m, T]; through tiles of 32 rows, twice as fast."""
    rows, width = x.shape
    tiles = F.pad(x, (0, 0, 0, -rows % 32)).view(torch.int16).view(-1, 32, width).transpose(1, 2).contiguous()
    return tiles.transpose(0, 1).reshape(width, -1).view(x.dtype)[:, :rows]


@cache
def _prefers_onednn() -> bool:
    """Whether float32 products are faster in oneDNN here, and it can be reached."""
    try:
        maker = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return False
    reached = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return reached and "AuthenticAMD" in maker
