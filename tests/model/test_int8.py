"""Products of 8-bit integers: close to float32, exact in their sums, alike alone and in a batch."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch, pack
from bertworks.errors import InputError
from bertworks.model import int8
from bertworks.model.bert import Bert
from bertworks.model.device import choose_precision, precision_name
from bertworks.model.heads import SequenceClassifier, initialise

CPU = torch.device("cpu")
SATURATING = """
import torch
from bertworks.model.int8 import int8_layer
rows, inputs, outputs = 300, 64, 32
for sign in (1, -1):
    x, weight = torch.ones(rows, inputs), torch.full((outputs, inputs), float(sign))
    for least in (None, 0.0, -1.0):
        found = int8_layer(weight, torch.zeros(outputs), least)(x)
        assert (found - sign * inputs).abs().max() < 0.01 * inputs, (sign, least, found[0, 0])
        found = int8_layer(weight, torch.zeros(outputs), None)(-x)
        assert (found + sign * inputs).abs().max() < 0.01 * inputs, (sign, least, found[0, 0])
print("exact")
"""


def network(layers: int = 3, activation: str = "gelu") -> SequenceClassifier:
    config = BertConfig(
        vocab_size=100,
        hidden_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=160,
        max_position_embeddings=64,
        hidden_act=activation,
    )
    made = SequenceClassifier(config, 3)
    initialise(made, 0.1, 0)
    return made.eval()


def batch(*lengths: int) -> PackedBatch:
    ids = np.concatenate([np.arange(1, 1 + n) % 97 + 1 for n in lengths])
    return pack(ids, np.zeros(sum(lengths), np.int64), np.array(lengths))


@pytest.mark.parametrize("least", [None, -0.1701])
@pytest.mark.parametrize("rows", [1, 255, 256, 700])
def test_a_layer_is_the_product_of_rounded_numbers(rows: int, least: float | None) -> None:
    torch.manual_seed(0)
    x = torch.randn(rows, 48) * torch.rand(rows, 1) * 10
    if least is not None:
        x = torch.nn.functional.gelu(x)
    weight, bias = torch.randn(20, 48), torch.randn(20)
    found = int8.int8_layer(weight, bias, least)(x)
    exact = x @ weight.T + bias
    # Each of the two factors is wrong by at most half a step.
    step_x = (x.abs().amax(1, keepdim=True) + 0.2) / (63 if least is None else 127)
    step_w = weight.abs().amax(1) / 127
    worst = step_x / 2 * weight.abs().sum(1) + (x.abs() + step_x).sum(1, keepdim=True) * step_w / 2
    assert bool(((found - exact).abs() <= worst + 1e-4).all())
    assert (found - exact).abs().mean() < 0.1 * worst.mean()


@pytest.mark.parametrize("value", [0.0, 1e-38])
def test_rows_of_zeros_are_the_integer_of_zero(value: float) -> None:
    integers, zero, _ = int8._rounded(torch.full((3, 48), value), None)
    assert (integers == zero).all()
    weight, bias = torch.ones(20, 48), torch.arange(20.0)
    assert torch.equal(int8.int8_layer(weight, bias)(torch.full((3, 48), value)), bias.expand(3, -1))


@pytest.mark.parametrize("limit", ["", "AVX2", "AVX512_CORE"])
def test_no_sum_saturates(limit: str) -> None:
    """AVX2, and AVX-512 without VNNI, add pairs of products in 16 bits; all inputs and weights at their largest."""
    environment = os.environ | ({"ONEDNN_MAX_CPU_ISA": limit} if limit else {})
    done = subprocess.run(
        [sys.executable, "-c", SATURATING], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout == "exact\n", done.stderr


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "tanh"])
def test_the_encoder_is_close_to_float32(activation: str) -> None:
    model, data = network(activation=activation), batch(5, 40, 17)
    with torch.inference_mode():
        exact = model.bert.hidden_states(data, [0, 1, 3])
        found = model.bert.hidden_states(data, [0, 1, 3], dtype=torch.int8)
    assert torch.equal(exact[0], found[0])
    for one, other in zip(exact[1:], found[1:], strict=True):
        assert other.dtype == torch.float32
        assert not torch.equal(one, other)
        assert (one - other).abs().max() < 0.12
        assert (one - other).abs().mean() < 0.03


def test_rows_that_a_head_reads_are_those_of_all_rows() -> None:
    model, data, read = network().bert, batch(5, 40, 17), torch.tensor([0, 5, 45, 50])
    with torch.inference_mode():
        whole = model.hidden_states(data, [3, 2], dtype=torch.int8)
        some = model.hidden_states(data, [3, 2], dtype=torch.int8, read=read)
        classes = network()(data, dtype=torch.int8)
    for one, other in zip(whole, some, strict=True):
        torch.testing.assert_close(one[read], other, rtol=0, atol=1e-5)
    assert classes.shape == (3, 3)


def test_a_text_does_not_depend_on_its_neighbours() -> None:
    model = network().bert
    with torch.inference_mode():
        together = model(batch(5, 40, 17), dtype=torch.int8)
        alone = model(batch(40), dtype=torch.int8)
    torch.testing.assert_close(together[5:45], alone, rtol=0, atol=1e-5)


def test_changed_weights_are_rounded_again() -> None:
    model, data = network(), batch(9, 30)
    with torch.inference_mode():
        before = model(data, dtype=torch.int8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(data).sum().backward()
    optimizer.step()
    with torch.inference_mode():
        after, exact = model(data, dtype=torch.int8), model(data)
    assert not torch.equal(before, after)
    assert (after - exact).abs().max() < 0.3 * (before - exact).abs().max()


def test_the_precision_is_for_inference_on_a_cpu() -> None:
    assert choose_precision("int8", CPU) == torch.int8
    assert precision_name(torch.int8) == "int8"
    with pytest.raises(InputError, match="--precision=int8: is for CPUs; give bf16 or fp32"):
        choose_precision("int8", torch.device("cuda"))


def test_encoders_hold_their_integers_outside_their_parameters() -> None:
    model: nn.Module = Bert(network().config)
    names = [name for name, _ in model.named_parameters()]
    assert not [name for name in names if "int8" in name or "integers" in name]
    assert list(model.state_dict()) == names
