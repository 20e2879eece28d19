"""The optimizer against the original's frozen values."""

import re

import pytest
import torch
from torch import nn

from bertworks.errors import InputError
from bertworks.train import optimizer as optimizers
from bertworks.train.rules import Schedule

# step, rate, gradient norm before clipping, kernel, bias[0], gamma: the original AdamWeightDecayOptimizer with a fed
# rate of 0.01 * (t/2 if t < 2 else 1 - t/10), clip 1.0, on the loss of `test_the_originals_adam`.
TRAJECTORY = """
1 0    6.727555 1.0       -2.0      3.0      0.5       1.0
2 .005 6.727555 0.9787028 -1.978653 2.978603 0.4787536 0.978784
3 .008 6.694261 0.9390244 -1.938898 2.938766 0.4391473 0.9392238
4 .007 6.632356 0.9008702 -1.900683 2.900476 0.4010345 0.9011493
5 .006 6.572974 0.8660377 -1.865807 2.865531 0.3662099 0.8663559
6 .005 6.518888 0.835717  -1.83546  2.83512  0.3358671 0.8360379
7 .004 6.471908 0.8107105 -1.810442 2.810046 0.3108171 0.8110067
8 .003 6.433234 0.7915565 -1.791287 2.790845 0.2916101 0.7918131
9 .002 6.403658 0.778606  -1.77834  2.777864 0.2786107 0.7788222
10 .001 6.383685 0.7720736 -1.771811 2.771318 0.2720477 0.7722633
"""


class Toy(nn.Module):
    """Three variables, of which one is decayed."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
        self.bias = nn.Parameter(torch.tensor([0.5, -0.5]))
        self.LayerNorm = nn.LayerNorm(1, bias=False)

    def loss(self) -> torch.Tensor:
        return (
            self.kernel @ torch.tensor([3.0, -1.0, 0.5])
            + self.bias @ torch.tensor([2.0, -2.0])
            + 0.1 * self.LayerNorm.weight.sum()
            + 0.5 * self.kernel.square().sum()
        )


def test_the_originals_adam() -> None:
    model = Toy()
    optimizer = optimizers.build(model, "adam", 0.01)
    for line in TRAJECTORY.strip().splitlines():
        step, rate, norm, *expected = map(float, line.split())
        assert Schedule().rate(int(step) - 1, 0.01, 10, 2) == pytest.approx(rate)
        model.loss().backward()
        found = optimizers.clip_by_global_norm([p.grad for p in model.parameters()])
        assert found.item() == pytest.approx(norm, rel=1e-6)
        optimizers.set_learning_rate(optimizer, rate)
        optimizer.step()
        optimizer.zero_grad()
        now = [*model.kernel.tolist(), model.bias[0].item(), model.LayerNorm.weight.item()]
        assert now == pytest.approx(expected, abs=1e-6)


def test_adamw_corrects_its_bias() -> None:
    model = Toy()
    optimizer = optimizers.build(model, "adamw", 0.0)
    optimizers.set_learning_rate(optimizer, 0.01)
    model.loss().backward()
    optimizer.step()
    assert model.bias.tolist() == pytest.approx([0.49, -0.49], abs=1e-5)  # the first corrected step is lr * sign


def test_learning_rate_drops_a_notch_after_warm_up() -> None:
    rates = [Schedule().rate(t, 2e-5, 20, 10) for t in (0, 1, 9, 10, 11, 19, 20)]
    assert rates == pytest.approx([0, 2e-6, 1.8e-5, 1e-5, 9e-6, 1e-6, 0])
    assert Schedule().rate(0, 2e-5, 20, 0) == 2e-5


def test_state_survives_by_name() -> None:
    model, other = Toy(), Toy()
    optimizer, fresh = optimizers.build(model, "adam"), optimizers.build(other, "adam")
    optimizers.set_learning_rate(optimizer, 0.01)
    model.loss().backward()
    optimizer.step()
    saved = {name: tensor.clone() for name, tensor in optimizers.state_tensors(optimizer, model).items()}
    assert set(saved) == {
        f"{kind}.{name}" for kind in ("step", "exp_avg", "exp_avg_sq") for name, _ in model.named_parameters()
    }
    optimizers.load_state_tensors(fresh, other, saved)
    again = optimizers.state_tensors(fresh, other)
    assert all(torch.equal(again[name], saved[name]) for name in saved)
    with pytest.raises(InputError, match=re.escape("exp_avg.kernel")):
        optimizers.load_state_tensors(fresh, other, {**saved, "exp_avg.kernel": torch.zeros(7)})


def test_unknown_kind() -> None:
    with pytest.raises(InputError, match="--optimizer=sgd"):
        optimizers.build(Toy(), "sgd")
