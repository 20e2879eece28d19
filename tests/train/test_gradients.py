"""Gradients are summed while others are computed, and any process may have no share or run out of memory."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from torch import nn

from bertworks.train import distributed, gradients


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(*(nn.Linear(5, 5) for _ in range(4)))


def own_gradients(
    rank: int,
    net: nn.Module,
    micro_batches: int,
    sums: gradients.GradientSums | None = None,
    rows: int = 2,
    fails_in: int | None = None,
) -> None:
    """Compute a process's gradients, in micro-batches of some rows; in the last one memory may run out in a layer."""
    rows_of_all = [torch.arange(10.0).view(2, 5) * (rank + 1) / (number + 2) for number in range(micro_batches)]
    parts = [part for each in rows_of_all for part in each.split(rows)]
    for number, x in enumerate(parts):
        is_last = number == len(parts) - 1
        if sums is not None and is_last:
            sums.expect_last()
        with ExitStack() as stack:
            if fails_in is not None and is_last:
                stack.callback(net[fails_in].weight.register_hook(_fails).remove)
            net(x).square().sum().backward()


def _sum(rank: int, folder: Path, how: str, fails_in: int) -> None:
    gradients.BUCKET = 40  # one layer and a bit
    net = model()
    sent: list[int] = []
    with distributed.world("cpu") as world:
        sums = gradients.GradientSums(net, world)
        for _ in range(2):  # and again: a step leaves nothing behind
            net.zero_grad()
            shares, rows = 0 if how == "no share" and rank == 1 else 1 + rank, 2
            if how == "out of memory" and rank == 1:
                with pytest.raises(torch.OutOfMemoryError), sums.exchanging():
                    own_gradients(rank, net, shares, sums, fails_in=fails_in)
                net.zero_grad()
                rows = 1  # again, with twice as many micro-batches
            with sums.exchanging():
                own_gradients(rank, net, shares, sums, rows)
                if not shares:
                    sums.expect_last()
            sent.append(sums.sent)
            found = sums.finish()
        torch.save({"found": found, "sent": sent}, folder / f"{rank}.pt")


def _fails(gradient: torch.Tensor) -> None:
    raise torch.OutOfMemoryError


@pytest.mark.parametrize(
    ("how", "fails_in"), [("plain", 0), ("no share", 0), ("out of memory", 3), ("out of memory", 0)]
)
def test_sums_are_those_of_all_processes(tmp_path: Path, how: str, fails_in: int) -> None:
    """Where memory runs out in the last micro-batch, nothing is sent yet (layer 3), or all but one bucket (layer 0)."""
    from tests.together import spawned

    assert spawned(3, _sum, tmp_path, how, fails_in) == [0, 0, 0]
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
