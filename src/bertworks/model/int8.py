"""The linear layers of the encoder in 8-bit integers, for inference on CPU.

Weights are rounded to integers of -127 to 127 with a scale for each output (per channel). Activations are rounded when
they arrive (dynamic), with a scale for each token: so the result for a text does not depend on the texts beside it.
Products of the integers are exact, and sums are 32 bits wide. Everything between the layers stays float32, except
attention on processors that multiply bfloat16.

Some processors multiply pairs of integers, unsigned by signed, into sums of 16 bits, which saturate: AVX2, and AVX-512
without VNNI. There activations have 7 bits, so that no sum of a pair can be too large: 2 * 127 * 127 < 2^15.

Shapes: T packed tokens, I inputs, O outputs.
"""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from bertworks.errors import InputError
from bertworks.model import kernels

# The least value of GELU, in both forms, rounded down.
_LEAST_OF = {"gelu": -0.1701, "gelu_new": -0.1701, "relu": 0.0}

# Rows without larger values are zero; the inverse of such a step is still a number.
_TINY = 1e-30

# Rows of one product. What belongs to them stays in the cache between the product and the operations beside it.
ROWS = 256


class Int8Layer(NamedTuple):
    """A linear layer, or several that read the same rows, in integers.

    Attributes:
        weight: the integers [O, I], in the order in which oneDNN wants them.
        scales: float32 [O], the size of a step of each output's weights.
        bias: float32 [O].
        least: the smallest value that an input can have; None if inputs are of both signs alike.
        activation: of the outputs.
    """

    weight: Tensor
    scales: Tensor
    bias: Tensor
    least: float | None
    activation: str = "linear"

    def __call__(self, x: Tensor) -> Tensor:
        """Compute float32 x [T, I] -> [T, O]."""
        outputs = len(self.bias)
        result = x.new_empty(len(x), outputs)
        for rows, into in zip(x.split(ROWS), result.split(ROWS), strict=True):
            integers, zero, steps = _rounded(rows, self.least)
            products = torch.ops.onednn.qlinear_pointwise(
                *(integers, 1.0, zero, self.weight, self.scales, _zeros(outputs)),
                *(None, 1.0, 0, torch.float32, "none", [], ""),
            )
            torch.addcmul(self.bias, products, steps, out=into)
        return kernels.activate(result, self.activation)


def _rounded(x: Tensor, least: float | None) -> tuple[Tensor, int, Tensor]:
    """Round x [T, I] to unsigned integers [T, I]; return them, the integer of zero, and the steps [T, 1]."""
    top = 255 if _has_wide_sums() else 127
    if least is None:
        half = top // 2
        steps = x.abs().amax(1, keepdim=True).clamp_min_(_TINY).div_(half)
        return _nearest(x * steps.reciprocal(), half + 1), half + 1, steps
    steps = x.amax(1, keepdim=True).sub_(least).clamp_min_(_TINY).div_(top)
    return _nearest((x - least).mul_(steps.reciprocal()), 0), 0, steps


def _nearest(x: Tensor, zero: int) -> Tensor:
    """Round float32 x in place to the nearest integers, halves to even ones; add `zero`, and return them as bytes.

    Between 2^23 and 2^24 float32 has the integers only, so the sum rounds, and the last byte of a number is the
    integer's. That takes two thirds of the time of rounding and converting.
    """
    return x.add_(1.5 * 2**23 + zero).view(torch.int32).to(torch.uint8)


@cache
def _has_wide_sums() -> bool:
    """Tell whether this processor adds products of 8 bits in sums of 32 bits; oneDNN may be told not to use that."""
    limited = {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"} & os.environ.keys()
    supported: bool = getattr(torch.cpu, "_is_vnni_supported", lambda: False)()
    return supported and not limited


@cache
def _zeros(outputs: int) -> Tensor:
    """Return the integers of zero of the weights: 0 for every output."""
    return torch.zeros(outputs, dtype=torch.int32)


def rounded_layers(weight: Tensor, bias: Tensor, applies: str, reads: str) -> Int8Layer:
    """Round a linear layer that reads the outputs of the activation `reads`, and applies another to its own."""
    return int8_layer(weight, bias, _LEAST_OF.get(reads))._replace(activation=applies)


def int8_layer(weight: Tensor, bias: Tensor, least: float | None = None) -> Int8Layer:
    """Round a linear layer with weight [O, I] and bias [O].

    Args:
        least: the smallest value that an input can have, such as that of an activation. It gives positive inputs all
            integers. None if inputs are of both signs alike.
    """
    scales = weight.abs().amax(1).clamp_min(torch.finfo(weight.dtype).tiny) / 127
    integers = (weight / scales[:, None]).round().to(torch.int8)
    if least is not None:
        # The integers stand for x - least; the product of the weights with `least` is the same for all tokens.
        bias = bias + least * scales * integers.sum(1)
    packed = torch.ops.onednn.qlinear_prepack(integers, None)
    return Int8Layer(packed, scales, bias.clone(), least)


def check_available(device: torch.device) -> None:
    """Check that a device computes products of 8-bit integers.

    Raises:
        InputError: it does not.
    """
    if device.type != "cpu":
        raise InputError("--precision=int8: is for CPUs; give bf16 or fp32 for a GPU, or --device=cpu")
    if not hasattr(torch.ops.onednn, "qlinear_prepack") or not torch.backends.mkldnn.is_available():
        raise InputError("--precision=int8: this torch has no products of 8-bit integers (oneDNN); give fp32")
