"""LAMB against the published algorithm, written plainly."""

import pytest
import torch
from torch import nn

from bertworks.errors import InputError
from bertworks.train import optimizer as optimizers
from bertworks.train.rules import UpdateRules


class Small(nn.Module):
    """A weight that is scaled, one of length 0, and a bias that is neither scaled nor decayed."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.linspace(-1, 2, 12).view(3, 4))
        self.zero = nn.Parameter(torch.zeros(2, 2))
        self.bias = nn.Parameter(torch.tensor([0.5, -0.5]))


def gradient(p: torch.Tensor, step: int) -> torch.Tensor:
    return torch.sin(torch.arange(p.numel(), dtype=p.dtype) + step).view(p.shape) + 0.1


def test_published_algorithm() -> None:
    model = Small()
    optimizer = optimizers.build(model, "lamb", 0.01, rules=UpdateRules(beta1=0.8, beta2=0.95))
    weights = {name: p.detach().double().clone() for name, p in model.named_parameters()}
    means = {name: torch.zeros_like(w) for name, w in weights.items()}
    squares = {name: torch.zeros_like(w) for name, w in weights.items()}
    for step in range(1, 6):
        for name, w in weights.items():
            g = gradient(w, step)
            means[name] = 0.8 * means[name] + 0.2 * g
            squares[name] = 0.95 * squares[name] + 0.05 * g * g
            r = means[name] / (1 - 0.8**step) / ((squares[name] / (1 - 0.95**step)).sqrt() + 1e-6)
            r = r if name == "bias" else r + 0.01 * w
            ratio = 1.0 if name == "bias" or not w.norm() else w.norm() / r.norm()
            weights[name] = w - 0.02 * ratio * r
        for p in model.parameters():
            p.grad = gradient(p, step)
        optimizers.set_learning_rate(optimizer, 0.02)
        optimizer.step()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach().double(), weights[name], rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", ["lamb", "muon"])
def test_states_in_8_bits_are_for_adam(kind: str) -> None:
    with pytest.raises(InputError, match=f"--optimizer_bits=8: .*--optimizer={kind}"):
        optimizers.build(Small(), kind, bits=8)
