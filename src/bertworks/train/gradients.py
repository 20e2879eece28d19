"""The sums of gradients over processes, begun while the backward pass still computes other gradients.

Gradients lie in flat buckets, in the order in which a backward pass finishes them. In the last micro-batch of a step a
bucket is sent as soon as its last gradient is there, after all buckets before it. So every process sends the same
buckets in the same order, whatever it computes, and also one without a share of the step. The rest is sent at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bertworks.train.contact import exchange
from bertworks.train.distributed import World
from bertworks.train.optimizer import clip_by_global_norm

# Gradients in a bucket: 32 MB of float32, enough to use a network well and few enough to begin early.
BUCKET = 1 << 23


class _Bucket:
    """Parameters whose gradients are summed together.

    Attributes:
        missing: how many gradients of this backward pass are not there yet.
        flat: the gradients, end to end, once they are sent; `work` ends with their sums in it.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = parameters
        self.missing = len(parameters)
        self.flat: Tensor | None = None
        self.work: dist.Work | None = None

    def send(self) -> None:
        """Begin the sum. A parameter without a gradient adds zeros."""
        self.flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in self.parameters]
        )
        with exchange():
            self.work = dist.all_reduce(self.flat, async_op=True)

    def receive(self) -> None:
        """Wait for the sums (on a GPU its stream does, not the host), and make them the gradients."""
        assert self.flat is not None
        assert self.work is not None
        with exchange():
            self.work.wait()
        for p in self.parameters:
            p.grad = torch.empty_like(p) if p.grad is None else p.grad
        parts = torch.split(self.flat, [p.numel() for p in self.parameters])
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])
        self.flat, self.work, self.missing = None, None, len(self.parameters)


class GradientSums:
    """Sums the gradients of a model over all processes. One process has nothing to sum.

    Attributes:
        sent: how many buckets of this step are sent.
        can_repeat: whether a process may begin a step again by itself.
    """

    can_repeat = True

    def __init__(self, model: nn.Module, world: World) -> None:
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._buckets: list[_Bucket] = []
        self.sent = 0
        self._is_last = False
        if world.size > 1:
            self._buckets = [_Bucket(part) for part in _parts(self._parameters[::-1])]
            for bucket in self._buckets:
                for p in bucket.parameters:
                    p.register_post_accumulate_grad_hook(lambda _, bucket=bucket: self._arrived(bucket))

    def expect_last(self) -> None:
        """Send buckets during the next backward pass, the last one of the step."""
        self._is_last = True
        for bucket in self._buckets[self.sent :]:
            bucket.missing = len(bucket.parameters)

    def _arrived(self, bucket: _Bucket) -> None:
        """Note that one gradient of a bucket is there; send what can be sent."""
        if not self._is_last:
            return
        bucket.missing -= 1
        while self.sent < len(self._buckets) and self._buckets[self.sent].missing == 0:
            self._buckets[self.sent].send()
            self.sent += 1

    def finish(self) -> list[Tensor]:
        """Send the rest, wait for all sums, and return the gradients, the same tensors in all processes."""
        for bucket in self._buckets[self.sent :]:
            bucket.send()
        for bucket in self._buckets:
            bucket.receive()
        self.sent, self._is_last = 0, False
        return [p.grad for p in self._parameters if p.grad is not None]

    def exchanging(self) -> AbstractContextManager[None]:
        """Surround the forward and backward passes of a step, which exchange nothing that is not in `exchange` already.

        Call it anew when a step is begun again, after a pass that ran out of memory. Then no pass is the last one until
        `expect_last`, because a bucket sent before would lack what later passes add. What the failed pass sent stays:
        it was whole, because a bucket is only sent when nothing more is added to it. The other processes receive it as
        it is, so each process sends every bucket once a step, in the same order.
        """
        self._is_last = False
        return nullcontext()

    def apart(self) -> AbstractContextManager[None]:
        """Let each process use the model alone while the block runs."""
        return nullcontext()

    def clip(self, gradients: list[Tensor]) -> Tensor:
        """Clip them by their norm; see `optimizer.clip_by_global_norm`."""
        return clip_by_global_norm(gradients)


def _parts(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Cut parameters into buckets of neighbours of one type."""
    parts: list[list[nn.Parameter]] = []
    count = 0
    for p in parameters:
        if not parts or count + p.numel() > BUCKET or parts[-1][-1].dtype != p.dtype:
            parts.append([])
            count = 0
        parts[-1].append(p)
        count += p.numel()
    return parts
