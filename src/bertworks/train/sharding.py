"""Training with torch's FSDP2 (`--fsdp`): each process keeps a part of the optimizer's states and of the weights.

All weights are gathered once a step, before its first forward pass, and the gradients are summed and cut up in its last
backward pass. In between nothing is exchanged. So processes may run different numbers of micro-batches, as without
FSDP2, and the loop, the tasks and the checkpoints stay as they are: a checkpoint has all tensors in full.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from bertworks.train import optimizer as optimizers
from bertworks.train.contact import LostContactError, exchange
from bertworks.train.distributed import World
from bertworks.train.parts import full

# What torch says when another process is no longer there.
_LOST = re.compile(r"gloo|NCCL|connection|timed out|socket", re.IGNORECASE)


@contextmanager
def sharded(model: nn.Module, world: World) -> Iterator[nn.Module]:
    """Give a sharded copy of a model to train. Meanwhile the model itself has no weights; it gets them at the end."""
    network = copy.deepcopy(model)
    plain = dict(model.named_parameters())
    for parameter in plain.values():
        parameter.data = parameter.data.new_empty(0)
    fully_shard(network, mesh=init_device_mesh(world.device.type, (world.size,)), reshard_after_forward=False)
    assert isinstance(network, FSDPModule)
    network.set_gradient_divide_factor(1.0)  # sums, not means
    network.set_force_sum_reduction_for_comms(True)
    yield network  # after an error the command ends, and there is nobody to gather from
    for name, parameter in network.named_parameters():
        plain[name].data = full(parameter.detach())


class ShardedGradients:
    """The sums of gradients of a sharded model, each process its part; used as GradientSums."""

    # A step that ran out of memory is not begun again, because the other processes may wait in its exchange.
    can_repeat = False

    def __init__(self, model: nn.Module, world: World) -> None:
        assert isinstance(model, FSDPModule)
        self._model, self._world = model, world
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._expect(False)

    def _expect(self, is_last: bool) -> None:
        self._model.set_requires_gradient_sync(is_last)
        self._model.set_reshard_after_backward(is_last)

    def expect_last(self) -> None:
        """Sum gradients in the next backward pass, the last one of the step."""
        self._expect(True)

    def finish(self) -> list[Tensor]:
        """Return the summed gradients of this process's part."""
        self._expect(False)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        return [g.to_local() if isinstance(g, DTensor) else g for g in gradients]

    def clip(self, gradients: list[Tensor]) -> Tensor:
        """Clip them by their norm over all parts; see `optimizer.clip_by_global_norm`."""
        return optimizers.clip_by_global_norm(gradients, self._norm_of_all)

    @contextmanager
    def exchanging(self) -> Iterator[None]:
        """Surround forward and backward passes, in which torch exchanges parts by itself."""
        began = time.monotonic()
        try:
            yield
        except RuntimeError as error:
            if _LOST.search(str(error)):
                raise LostContactError(str(error).partition("\n")[0], time.monotonic() - began) from None
            raise

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Let each process use the model alone while the block runs, as often as it likes."""
        with exchange():
            self._model.unshard()
        yield
        self._model.reshard()

    def _norm_of_all(self, own: Tensor) -> Tensor:
        """Return the norm of all parts from that of this one."""
        return self._world.sum_tensor(own.square()).sqrt()
