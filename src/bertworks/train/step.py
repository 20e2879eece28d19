"""One optimizer step: forward and backward of every micro-batch, sums over processes, clipping, the update.

The counts of the whole step are summed before the first forward pass, every micro-batch's loss is divided by them, and
gradients are summed. So the partition of a step into micro-batches and over processes changes only its speed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from bertworks import draws
from bertworks.data.batch import PackedBatch
from bertworks.errors import InputError
from bertworks.progress import say
from bertworks.task import Partition, Task
from bertworks.train import optimizer as optimizers
from bertworks.train.budget import ran_out
from bertworks.train.distributed import World
from bertworks.train.gradients import GradientSums
from bertworks.train.loss_scale import LossScale
from bertworks.train.report import MetricWindow

if TYPE_CHECKING:
    from bertworks.train.sharding import ShardedGradients


class MicroBatches(NamedTuple):
    """This process's micro-batches of a step, and the partition that they follow."""

    partition: Partition
    batches: Sequence[PackedBatch]


@dataclass
class Stepper:
    """Takes the steps of a run.

    Attributes:
        window: adds up losses and metrics until they are reported.
        rate: finished steps -> the learning rate of the next update.
        random_seed: with the number of the step, the seed of dropout.
        token_budget: the most tokens of a micro-batch; halved when the device runs out of memory.
        precision: what the model computes in. In float16 the loss is scaled, and steps with gradients beyond it are
            skipped: by all processes, because they decide by the summed gradients.
        finite: whether all gradients so far were finite numbers (in float16 for some scale), a bool on the device.
        own_finite: whether all losses of this process were.
        gradient_sums: of all processes.
    """

    model: nn.Module
    task: Task
    optimizer: torch.optim.Optimizer
    world: World
    window: MetricWindow
    rate: Callable[[int], float]
    random_seed: int
    token_budget: int
    gradient_sums: GradientSums | ShardedGradients
    precision: torch.dtype = torch.float32
    loss_scale: LossScale | None = field(init=False)
    finite: Tensor = field(init=False)
    own_finite: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.loss_scale = LossScale(self.world.device) if self.precision == torch.float16 else None
        self.finite = torch.ones((), dtype=torch.bool, device=self.world.device)
        self.own_finite = self.finite.clone()

    def micro_batches(self, step: int) -> MicroBatches:
        """Return this process's share of a step, on the host."""
        partition = Partition(self.world.rank, self.world.size, self.token_budget)
        return MicroBatches(partition, self.task.batches(step, partition))

    def take(self, step: int, micro_batches: MicroBatches, *wishes: bool) -> list[bool]:
        """Take the step after `step` finished steps; return of each wish whether any process has it."""
        batches = micro_batches.batches
        names = [*self.task.counts(batches[0])]
        counts = [sum(self.task.counts(batch)[name] for batch in batches) for name in names]
        tokens = sum(batch.tokens for batch in batches)
        summed = self.world.sum_numbers([*counts, tokens, *wishes])
        all_tokens, totals = summed[len(names)], dict(zip(names, summed, strict=False))
        loss = self._compute_gradients(step, micro_batches, totals)
        gradients = self.gradient_sums.finish()
        if self.loss_scale is not None:
            self.loss_scale.divide(gradients)
        norm = self.gradient_sums.clip(gradients)
        is_finite = torch.isfinite(norm)
        if self.loss_scale is not None:
            norm = self._decide(self.loss_scale, is_finite, norm)
        else:
            self.finite &= is_finite
        self.own_finite &= torch.isfinite(loss)
        if self.world.device.type == "cpu":
            self.check_finite(step + 1)
        rate = self.rate(step)
        optimizers.set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.window.add("loss", loss, 1)
        # Every process has the same values here, and the window is summed over processes: only one may add them.
        share = 1.0 if self.world.is_main else 0.0
        for name, value in (("learning_rate", rate), ("gradient_norm", norm), ("tokens", all_tokens)):
            self.window.add(name, value * share, 1)
        return [wish > 0 for wish in summed[len(names) + 1 :]]

    def _decide(self, loss_scale: LossScale, is_finite: Tensor, norm: Tensor) -> Tensor:
        """Let the optimizer skip the step if its gradients are not finite; return the norm, 0 if it is skipped."""
        share = 1.0 if self.world.is_main else 0.0
        self.window.add("loss_scale", loss_scale.scale * share, 1)
        self.window.add("skipped_steps", ~is_finite * share, 0)  # a number of steps, not a mean
        optimizers.skip_unless(self.optimizer, is_finite)
        self.finite &= loss_scale.update(is_finite)
        return torch.where(is_finite, norm, 0.0)

    def continue_scale(self, state: Mapping[str, Any]) -> None:
        """Take the scale of the loss from the state of a checkpoint, if it has one."""
        if self.loss_scale is not None and "loss_scale" in state:
            self.loss_scale = LossScale(self.world.device, state["loss_scale"])

    def scale_to_keep(self) -> dict[str, Any]:
        """Return what `continue_scale` takes; say how many steps were skipped. Waits for the device."""
        if self.loss_scale is None:
            return {}
        kept = self.loss_scale.state()
        if kept["skipped"]:
            self.world.say(
                f"Skipped in float16 so far: {kept['skipped']:.0f} steps; the loss scale is {kept['scale']:g}."
            )
        return {"loss_scale": kept}

    def check_finite(self, step: int) -> None:
        """Stop if a gradient was infinite or not a number.

        Reading `finite` waits for the GPU, so on a GPU this is called only when a line or a checkpoint is due.

        Raises:
            InputError: there was such a gradient, in this step or (on a GPU) shortly before.
        """
        if not bool(self.finite):
            when = f"step {step}" if self.world.device.type == "cpu" else f"step {step} or shortly before"
            of_process = self.world.gather(b"finite" if bool(self.own_finite) else b"not")
            not_finite = [str(rank) for rank, found in enumerate(of_process) if found == b"not"]
            if self.world.size > 1 and not_finite:
                when += f", process {' and '.join(not_finite)}"
            raise InputError(
                f"{when}: the loss or its gradient is infinite or not a number; the newest checkpoint in --output_dir "
                "is from before; lower --learning_rate"
            )

    def _compute_gradients(self, step: int, micro_batches: MicroBatches, totals: Mapping[str, float]) -> Tensor:
        """Compute the gradients of this process's share and return its loss; halve micro-batches that do not fit."""
        while True:
            if micro_batches.partition.token_budget != self.token_budget:  # prepared before memory ran out
                micro_batches = self.micro_batches(step)
            try:
                with self.gradient_sums.exchanging():
                    return self._accumulate(step, micro_batches.batches, totals)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
                # Handled below: inside this block the error still keeps the tensors that fill the memory.
            self.optimizer.zero_grad()
            if self.world.device.type == "cuda":
                torch.cuda.empty_cache()
            if not self.gradient_sums.can_repeat:
                raise InputError("--fsdp: out of memory, and a step is not begun again; give a lower --token_budget")
            if max(map(len, micro_batches.batches)) <= 1:
                raise InputError("--max_seq_length: not even one sequence fits into this device's memory")
            self.token_budget //= 2
            say(f"Out of memory in step {step + 1}: micro-batches of at most {self.token_budget} tokens from here.")

    def _accumulate(self, step: int, batches: Sequence[PackedBatch], totals: Mapping[str, float]) -> Tensor:
        losses, weights = self.task.losses, self.task.weights
        loss_of_step = torch.zeros((), device=self.world.device)
        collected: dict[str, Tensor] = {}
        for number, host_batch in enumerate(batches):
            batch = host_batch.to(self.world.device)
            if self.world.device.type == "cuda":
                torch.cuda.manual_seed(_key(self.random_seed, step, 1 + self.world.rank, number))
            sums = self.task.sums(self.model, batch, _key(self.random_seed, step))
            # A total of 0, as of examples whose classes all have the weight 0, has a sum of 0, and a loss of 0.
            divisors = {name: totals[name] + losses[name] or 1.0 for name in losses if name in sums}
            loss = torch.stack([sums[name] / (of / weights.get(name, 1.0)) for name, of in divisors.items()]).sum()
            if number == len(batches) - 1:
                self.gradient_sums.expect_last()
            (loss if self.loss_scale is None else loss * self.loss_scale.scale).backward()
            loss_of_step += loss.detach()
            for name, value in sums.items():
                collected[name] = collected[name] + value.detach() if name in collected else value.detach()
        for name, value in collected.items():
            self.window.add(name, value, totals[name])
        return loss_of_step


def _key(*parts: int) -> int:
    """Return a 63-bit number from integers."""
    return int(draws.key(*parts)[0] >> 1)
