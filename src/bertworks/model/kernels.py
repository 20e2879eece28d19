"""The network's elementary operations, with backward passes of their own where autograd's are slower.

Weights are float32. An operation computes in the type of its input, casts its weights at use, and returns gradients in
float32.

Shapes: T packed tokens, M rows, H hidden, I intermediate, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from bertworks.model.dropout import Dropped, Keep, masked
from bertworks.model.kept_weights import joined, ready
from bertworks.model.processor import prefers_onednn, takes_packed

# The forms of GELU by their names in oneDNN.
_FORMS_OF_GELU = {"gelu": "none", "gelu_new": "tanh"}

# Values of the narrower of two float32 matrices from which oneDNN sums over rows sooner if it need not read across
# them, even with the copy: 3 % of a step of BERT-Base with 4,096 tokens. With fewer tokens the copy costs more.
_LARGE = 4096 * 768


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute x [T, in] @ weight [out, in].T + bias [out] -> [T, out], without recording gradients."""
    if x.dtype == torch.float32 and x.device.type == "cpu" and x.numel() and prefers_onednn():
        return _in_onednn(x, weight, bias)
    return F.linear(x, weight, bias)


def _in_onednn(x: Tensor, weight: Tensor, bias: Tensor | None, operation: str = "none", form: str = "") -> Tensor:
    """Compute `product` and an operation on its result. The weight may be packed (`kept_weights.py`)."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, operation, [], form)
    return result


def product_over_rows(a: Tensor, b: Tensor) -> Tensor:
    """Compute a.T @ b, a sum over rows, for a [T, m] and b [T, n] -> [m, n]: the gradient of a weight.

    On CUDA the result of 16-bit matrices is float32, as it was summed, and is not rounded to 16 bits first. In bf16 on
    CPU the library is half as fast when it has to read the left matrix across its rows. So the narrower matrix is
    transposed first; where that is the right one, the result is transposed again.
    """
    if a.device.type != "cpu" and a.element_size() == 2:
        return torch.mm(a.t(), b, out_dtype=torch.float32)
    if a.element_size() != 2 or min(a.shape[1], b.shape[1]) * 2 > max(a.shape[1], b.shape[1]):
        copied = len(a) * min(a.shape[1], b.shape[1]) >= _LARGE and prefers_onednn()
        return product(a.t(), b.t().contiguous() if copied else b.t())
    return transposed(a) @ b if a.shape[1] < b.shape[1] else transposed(transposed(b) @ a)


def sum_over_rows(x: Tensor) -> Tensor:
    """Return the sum of x [T, m] over rows, [m] float32: the gradient of a bias. On CPU it is rounded to x's type."""
    return x.sum(0).float() if x.device.type == "cpu" else x.sum(0, dtype=torch.float32)


def transposed(x: Tensor) -> Tensor:
    """Copy the transpose of x [T, m], 16-bit values, to [m, T]; through tiles of 32 rows that is twice as fast."""
    rows, width = x.shape
    tiles = F.pad(x, (0, 0, 0, -rows % 32)).view(torch.int16).view(-1, 32, width).transpose(1, 2).contiguous()
    return tiles.transpose(0, 1).reshape(width, -1).view(x.dtype)[:, :rows]


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute x [T, in] @ weight [out, in].T + bias [out] -> [T, out], in the type of x."""
    return linears(x, (weight, bias))


def linears(x: Tensor, *layers: tuple[Tensor, Tensor]) -> Tensor:
    """Apply several linear layers (weight, bias) to the same rows in one product -> [T, sum of their outs]."""
    weights, biases = zip(*layers, strict=True)
    if torch.is_grad_enabled():
        return _Linear.apply(x, len(layers), *weights, *biases)  # type: ignore[no-any-return, no-untyped-call]
    packed = takes_packed(x.dtype, x.device)
    return (_in_onednn if packed else product)(x, *ready(x.dtype, weights, biases, packed=packed))


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, n: int, *parameters: Tensor) -> Tensor:
        weight, bias = joined(x.dtype, parameters[:n]), joined(x.dtype, parameters[n:])
        ctx.save_for_backward(x, weight)
        ctx.sizes = [len(w) for w in parameters[:n]]
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x = product(gradient, weight.t()) if ctx.needs_input_grad[0] else None
        to_weights = (part.float() for part in product_over_rows(gradient, x).split(ctx.sizes))
        to_biases = sum_over_rows(gradient).split(ctx.sizes)
        return to_x, None, *to_weights, *to_biases


def activated_linear(x: Tensor, weight: Tensor, bias: Tensor, name: str) -> Tensor:
    """Apply `linear` and then `activate`. Without gradients oneDNN computes both forms of GELU with the product."""
    if torch.is_grad_enabled() or not takes_packed(x.dtype, x.device):
        return activate(linear(x, weight, bias), name)
    return activated_product(x, *ready(x.dtype, (weight,), (bias,), packed=True), name)


def activated_product(x: Tensor, weight: Tensor, bias: Tensor, name: str) -> Tensor:
    """Compute `activated_linear` in oneDNN, without gradients. The weight may be packed (`kept_weights.py`)."""
    form = _FORMS_OF_GELU.get(name)
    return activate(_in_onednn(x, weight, bias), name) if form is None else _in_onednn(x, weight, bias, "gelu", form)


def activate(x: Tensor, name: str) -> Tensor:
    """Return the activation `name` of `config.ACTIVATIONS`."""
    if name == "gelu_new":
        return gelu_tanh(x)
    if name == "gelu":
        return F.gelu(x)
    return x if name == "linear" else {"relu": torch.relu, "tanh": torch.tanh}[name](x)


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU as the original release computes it: x / 2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))."""
    if x.device.type == "cpu" and torch.is_grad_enabled() and x.requires_grad:
        return _GeluTanh.apply(x)  # type: ignore[no-any-return, no-untyped-call]
    return F.gelu(x, approximate="tanh")


class _GeluTanh(Function):
    """The same function as x sigmoid(u) with u = x (a + b x^2). It saves the derivative instead of the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        result, slope = torch.empty_like(x), torch.empty_like(x)
        rows = max(1, (1 << 17) // max(1, x.shape[-1]))  # so many that float32 intermediates stay in the cache
        a = 2 * math.sqrt(2 / math.pi)
        for y, d, part in zip(result.split(rows), slope.split(rows), x.split(rows), strict=True):
            v = part.float()
            u = torch.addcmul(v.new_tensor(a), v, v, value=a * 0.044715).mul_(v)
            s = torch.sigmoid(u)
            y.copy_(v * s)
            # The derivative is s + s (1 - s) x u', and x u' = 3 u - 2 a x.
            third = u.sub_(v, alpha=2 * a / 3)
            d.copy_(torch.addcmul(s, torch.addcmul(s, s, s, value=-1), third, value=3))
        ctx.save_for_backward(slope)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return gradient * slope  # type: ignore[no-any-return]


def norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """LayerNorm over the last dimension, in the type of x, with means and variances in float32."""
    if x.device.type == "cpu":
        return _normed(x, None, weight, bias, eps, None)
    return F.layer_norm(x, weight.shape, weight.to(x.dtype), bias.to(x.dtype), eps)


def add_norm(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, eps: float, dropped: Dropped | None) -> Tensor:
    """LayerNorm(residual + dropout(x))."""
    if x.device.type == "cpu":
        return _normed(x, residual, weight, bias, eps, None if dropped is None else dropped.keep(x.shape[1]))
    return norm(residual + dropout(x, dropped), weight, bias, eps)


def _normed(x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, eps: float, keep: Keep | None) -> Tensor:
    """Compute `add_norm` on CPU."""
    if torch.is_grad_enabled():
        return _AddNorm.apply(x, residual, weight, bias, eps, keep)  # type: ignore[no-any-return, no-untyped-call]
    return torch.native_layer_norm(_total(x, residual, keep), weight.shape, weight, bias, eps)[0]


def _total(x: Tensor, residual: Tensor | None, keep: Keep | None) -> Tensor:
    """Return residual + dropout(x)."""
    total = x if keep is None else masked(x, keep.mask())
    return total if residual is None else torch.add(residual, total, alpha=1.0 if keep is None else keep.scale)


class _AddNorm(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, residual: Tensor | None, weight: Tensor, bias: Tensor, eps: float, keep: Keep | None
    ) -> Tensor:
        total = _total(x, residual, keep)
        result, mean, rstd = torch.native_layer_norm(total, weight.shape, weight, bias, eps)
        ctx.save_for_backward(total, mean, rstd, weight, bias)
        ctx.keep = keep
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        total, mean, rstd, weight, bias = ctx.saved_tensors
        to_total, to_weight, to_bias = torch.ops.aten.native_layer_norm_backward(
            gradient.contiguous(), total, weight.shape, mean, rstd, weight, bias, (True, True, True)
        )
        to_x = to_total if ctx.keep is None else masked(to_total, ctx.keep.mask()).mul_(ctx.keep.scale)
        to_residual = to_total if ctx.needs_input_grad[1] else None
        return to_x, to_residual, to_weight, to_bias, None, None


def dropout(x: Tensor, dropped: Dropped | None) -> Tensor:
    """Apply dropout to x [T, H]."""
    if dropped is None:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, dropped.rate)
    keep = dropped.keep(x.shape[1])
    return x if keep is None else _Dropout.apply(x, keep)  # type: ignore[no-untyped-call]


class _Dropout(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Keep) -> Tensor:
        ctx.keep = keep
        return masked(x, keep.mask()).mul_(keep.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return masked(gradient, ctx.keep.mask()).mul_(ctx.keep.scale), None


def word_losses(hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross entropy of softmax(hidden [M, H] @ weight [V, H].T + bias [V]) with labels [M].

    Logits and their float32 softmax are computed for a chunk of rows at a time. For the backward pass only the gradient
    of the logits is saved, in the type of `hidden`. Rows of `hidden` beyond the labels are filler and have no loss.

    Returns:
        the sum of the losses, float32, and the number of rows whose largest logit is the label's.
    """
    return _WordLosses.apply(hidden, weight, bias, labels)  # type: ignore[no-any-return, no-untyped-call]


class _WordLosses(Function):
    # Rows of logits of one product, and of one softmax on CPU, which stays in the cache.
    PRODUCT, SOFTMAX = 1024, 16

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        training = any(ctx.needs_input_grad)
        weight, low_bias = weight.to(hidden.dtype), bias.to(hidden.dtype)
        slopes, losses, right = [], [hidden.new_zeros(1, dtype=torch.float32)], [labels.new_zeros(1)]
        softmax_rows = _WordLosses.SOFTMAX if hidden.device.type == "cpu" else _WordLosses.PRODUCT
        for first in range(0, max(1, len(hidden)), _WordLosses.PRODUCT):
            logits = product(hidden[first : first + _WordLosses.PRODUCT], weight, low_bias)
            targets = labels[first : first + len(logits)]
            logits[len(targets) :] = 0
            real = logits[: len(targets)].split(softmax_rows)
            for part, target in zip(real, targets.split(softmax_rows), strict=True):
                log_probabilities = torch.log_softmax(part, -1, dtype=torch.float32)
                losses.append(F.nll_loss(log_probabilities, target, reduction="sum")[None])
                right.append((_largest(log_probabilities) == target).sum()[None])
                if training:
                    slope = log_probabilities.exp_()
                    part.copy_(slope.scatter_add_(1, target[:, None], slope.new_full((len(target), 1), -1.0)))
            slopes.append(logits)
        loss, counted = torch.cat(losses).sum(), torch.cat(right).sum().float()
        slope = torch.cat(slopes) if len(slopes) != 1 else slopes[0]
        ctx.save_for_backward(hidden, weight, slope)
        ctx.mark_non_differentiable(counted)
        return loss, counted

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, slope = ctx.saved_tensors
        scaled = hidden * gradient
        on_cpu = slope.device.type == "cpu"
        to_weight = product(slope.t(), scaled.t()).float() if on_cpu else product_over_rows(slope, scaled).float()
        to_bias = sum_over_rows(slope) * gradient
        return product(slope, weight.t()).mul_(gradient), to_weight, to_bias, None


def _largest(x: Tensor) -> Tensor:
    """Return the first largest column of each row, [M, V] -> [M]. On CPU numpy is 20 times as fast as torch."""
    return torch.from_numpy(x.numpy().argmax(-1)) if x.device.type == "cpu" else x.argmax(-1)
