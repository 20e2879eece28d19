"""Gradients are summed while others are computed, and any process may have no share or run out of memory."""

from pathlib import Path

import pytest
import torch
from torch import nn

from bertworks.train import distributed, gradients


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(*(nn.Linear(5, 5) for _ in range(4)))


def own_gradients(rank: int, net: nn.Module, micro_batches: int, sums: gradients.GradientSums | None = None) -> None:
    for number in range(micro_batches):
        if sums is not None and number == micro_batches - 1:
            sums.expect_last()
        x = torch.arange(10.0).view(2, 5) * (rank + 1) / (number + 2)
        net(x).square().sum().backward()


def _sum(rank: int, folder: Path, how: str) -> None:
    gradients.BUCKET = 40  # one layer and a bit
    net = model()
    sent: list[int] = []
    with distributed.world("cpu") as world:
        sums = gradients.GradientSums(net, world)
        for _ in range(2):  # and again: a step leaves nothing behind
            net.zero_grad()
            shares = 0 if how == "no share" and rank == 1 else 1 + rank
            if how == "out of memory" and rank == 1:
                hook = net[0].weight.register_hook(_fails)
                with pytest.raises(torch.OutOfMemoryError):
                    own_gradients(rank, net, shares, sums)
                hook.remove()
                net.zero_grad()
            own_gradients(rank, net, shares, sums)
            if not shares:
                sums.expect_last()
            sent.append(sums.sent)
            found = sums.finish()
        torch.save({"found": found, "sent": sent}, folder / f"{rank}.pt")


def _fails(gradient: torch.Tensor) -> None:
    raise torch.OutOfMemoryError


@pytest.mark.parametrize("how", ["plain", "no share", "out of memory"])
def test_sums_are_those_of_all_processes(tmp_path: Path, how: str) -> None:
    from tests.together import spawned

    assert spawned(3, _sum, tmp_path, how) == [0, 0, 0]
    expected = [torch.zeros_like(p) for p in model().parameters()]
    for rank in range(3):
        net = model()
        own_gradients(rank, net, 0 if how == "no share" and rank == 1 else 1 + rank)
        for total, p in zip(expected, net.parameters(), strict=True):
            total.add_(0 if p.grad is None else p.grad)
    first = torch.load(tmp_path / "0.pt")
    for rank in range(3):
        found = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(found["found"], expected, rtol=1e-5, atol=1e-5)
        assert all(torch.equal(mine, other) for mine, other in zip(found["found"], first["found"], strict=True))
        # All buckets but the last were sent before the end, where anything was computed.
        assert found["sent"] == ([0, 0] if how == "no share" and rank == 1 else [4, 4])
