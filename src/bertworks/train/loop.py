"""The training loop: accumulate, clip, step, report, evaluate, save. It knows no task.

Everything a step does is a function of its number, so a resumed run needs one integer. The counts of the whole step are
summed first, every micro-batch's loss is divided by them, and gradients are summed; so how a step is cut into
micro-batches and over processes changes nothing but speed.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from bertworks.data import draws
from bertworks.data.batch import PackedBatch
from bertworks.errors import InputError
from bertworks.progress import progress, say
from bertworks.task import Cut, Task
from bertworks.train import memory, resume
from bertworks.train import optimizer as optimizers
from bertworks.train.distributed import World
from bertworks.train.report import Report, Window


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the loop needs to know of a run.

    Attributes:
        output_dir: where checkpoints, metrics and the model go.
        token_budget: the most tokens of a micro-batch; None resolves it from the device.
        log_every_steps, save_checkpoints_steps: 0 means only at the end.
        eval_every_steps: 0 means never; otherwise before the first step and at the end too.
        identity: flag -> value of all that must stay the same when the run is resumed.
        settings: flag -> value of what may change on a resume; changes are said aloud.
        write_model: writes a model folder into the empty folder it is given.
    """

    output_dir: Path
    num_train_steps: int
    num_warmup_steps: int
    learning_rate: float
    optimizer: str = "adam"
    weight_decay: float = 0.01
    random_seed: int = 12345
    token_budget: int | None = None
    log_every_steps: int = 10
    eval_every_steps: int = 0
    save_checkpoints_steps: int = 1000
    keep_checkpoint_max: int = 5
    identity: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    write_model: Callable[[Path], None]


class Stopped(SystemExit):
    """A signal asked the run to stop; it saved a checkpoint and left."""


def train(model: nn.Module, task: Task, run: Run, world: World) -> Mapping[str, float] | None:
    """Train `model` in place to `run.num_train_steps`, continuing from the output folder's newest checkpoint.

    Returns:
        what the evaluation after the last step gave, if there was one.

    Raises:
        InputError: the folder holds another run or a damaged checkpoint; the loss or a gradient is not finite.
        Stopped: SIGTERM or SIGINT came; the checkpoint is written, the same command continues.
    """
    optimizer = optimizers.build(model, run.optimizer, run.weight_decay)
    checkpoint = resume.begin(run.output_dir, run.identity) if world.is_main else None
    world.wait()
    if not world.is_main:
        checkpoint = resume.newest(run.output_dir)
    numerics: dict[str, Any] = {
        "processes": world.size,
        "threads": torch.get_num_threads(),
        "token_budget": run.token_budget or memory.default_token_budget(model, world.device),
    }
    first_step, window = 0, Window(world.device)
    if checkpoint is not None:
        resume.load(checkpoint, model, optimizer)
        first_step = checkpoint.step
        numerics = _same_numerics(checkpoint, numerics, run, world)
        if world.is_main:
            window = Window(world.device, checkpoint.state["window"])
            resume.publish(checkpoint.folder, run.output_dir)
    if first_step >= run.num_train_steps:
        if world.is_main:
            say(f"Skipping training: {run.output_dir} already has {first_step} of {run.num_train_steps} steps.")
        return None
    with ExitStack() as stack:
        advance = stack.enter_context(progress("training", run.num_train_steps, "steps")) if world.is_main else None
        report = None
        if advance is not None:
            advance(first_step)
            report = Report(run.output_dir, first_step, advance, run.settings)
            stack.callback(report.close)
        trainer = _Trainer(model, task, run, world, optimizer, report, window, numerics)
        stack.enter_context(trainer.listening())
        return trainer.train(first_step, advance or (lambda amount: None))


def _same_numerics(checkpoint: resume.Checkpoint, now: dict[str, Any], run: Run, world: World) -> dict[str, Any]:
    """What a resume reuses of the checkpoint's numerics, so that its bits are the same; differences are said aloud."""
    then, notes = checkpoint.state["numerics"], []
    budget = run.token_budget or then["token_budget"]
    torch.set_num_threads(then["threads"])
    if world.size != then["processes"]:
        notes.append(f"processes {then['processes']} -> {world.size}")
    if budget != then["token_budget"]:
        notes.append(f"token_budget {then['token_budget']} -> {budget}")
    before = checkpoint.state["settings"]
    notes += [
        f"{name} {before.get(name)} -> {value}" for name, value in run.settings.items() if before.get(name) != value
    ]
    if world.is_main:
        say(f"Continuing from {checkpoint.folder} (step {checkpoint.step})" + "".join(f"; {note}" for note in notes))
    return {**now, "threads": then["threads"], "token_budget": budget}


class _Trainer:
    """The moving parts of one run."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        run: Run,
        world: World,
        optimizer: torch.optim.AdamW,
        report: Report | None,
        window: Window,
        numerics: dict[str, Any],
    ) -> None:
        self.model, self.task, self.run, self.world = model, task, run, world
        self.optimizer, self.report, self.window, self.numerics = optimizer, report, window, numerics
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.stop_signal = 0
        self.finite = torch.ones((), dtype=torch.bool, device=world.device)

    def train(self, first_step: int, advance: Callable[..., None]) -> Mapping[str, float] | None:
        """Steps first_step .. num_train_steps; one place each for what is due every so often and at the end."""
        run, results = self.run, None
        if run.eval_every_steps and first_step == 0:
            self.evaluate(0)
        with ThreadPoolExecutor(1, "next-batch") as ahead:
            coming = ahead.submit(self.batches, first_step)
            for step in range(first_step, run.num_train_steps):
                batches, done = coming.result(), step + 1
                if done < run.num_train_steps:
                    coming = ahead.submit(self.batches, done)
                stop = self.step(step, batches)
                advance(1)
                last = done == run.num_train_steps
                if last or _due(done, run.log_every_steps):
                    self.log(done)
                if run.eval_every_steps and (last or _due(done, run.eval_every_steps)):
                    results = self.evaluate(done)
                if last or stop or _due(done, run.save_checkpoints_steps):
                    self.save(done)
                if stop and not last:
                    coming.cancel()
                    say(f"Stopped by {signal.Signals(stop).name} after step {done}; the same command continues.")
                    raise Stopped(128 + stop)
        return results

    def batches(self, step: int) -> Sequence[PackedBatch]:
        """This process's micro-batches of a step."""
        cut = Cut(self.world.rank, self.world.size, self.numerics["token_budget"])
        return self.task.batches(step, cut)

    def step(self, step: int, batches: Sequence[PackedBatch]) -> int:
        """One optimizer step; returns the signal that asks us to stop, if any process has one."""
        names = [*self.task.counts(batches[0])]
        local = [sum(self.task.counts(batch)[name] for batch in batches) for name in names]
        *summed, tokens, stop = self.world.sum_numbers([*local, sum(b.tokens for b in batches), bool(self.stop_signal)])
        totals = dict(zip(names, summed, strict=True))
        try:
            loss = self.accumulate(step, batches, totals)
        except torch.OutOfMemoryError:
            loss = self.with_half_the_budget(step, totals)
        gradients = self.gradients()
        self.world.sum_gradients(gradients)
        norm = optimizers.clip_by_global_norm(gradients)
        rate = optimizers.learning_rate(
            step, self.run.learning_rate, self.run.num_train_steps, self.run.num_warmup_steps
        )
        optimizers.set_learning_rate(self.optimizer, rate)
        self.finite &= torch.isfinite(norm)
        # Reading a value back waits for a GPU, so there it is done only when a line or a checkpoint is due.
        if self.world.device.type == "cpu":
            self.check_finite(step + 1)
        self.optimizer.step()
        for p in self.parameters:
            p.grad = None
        self.window.add("loss", loss, 1)
        for name, value in (("learning_rate", rate), ("gradient_norm", norm), ("tokens", tokens)):
            # Every process knows these already; the window is summed over processes.
            self.window.add(name, torch.as_tensor(value) / self.world.size, 1)
        return (self.stop_signal or signal.SIGTERM) if stop else 0

    def gradients(self) -> list[Tensor]:
        """This process's gradients; among several processes none is left out, so that all sum the same tensors."""
        if self.world.size > 1:
            for p in self.parameters:
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        return [p.grad for p in self.parameters if p.grad is not None]

    def accumulate(self, step: int, batches: Sequence[PackedBatch], totals: Mapping[str, float]) -> Tensor:
        """Forward and backward of every micro-batch; gives this process's share of the step's loss."""
        losses = self.task.losses
        loss_of_step = torch.zeros((), device=self.world.device)
        collected: dict[str, Tensor] = {}
        for number, host_batch in enumerate(batches):
            batch = host_batch.to(self.world.device)
            if self.world.device.type == "cuda":
                torch.cuda.manual_seed(_seed(self.run.random_seed, step, 1 + self.world.rank, number))
            sums = self.task.sums(self.model, batch, _seed(self.run.random_seed, step))
            loss = torch.stack([sums[name] / (totals[name] + losses[name]) for name in losses]).sum()
            loss.backward()
            loss_of_step += loss.detach()
            for name, value in sums.items():
                collected[name] = collected[name] + value.detach() if name in collected else value.detach()
        for name, value in collected.items():
            self.window.add(name, value, totals[name])
        return loss_of_step

    def with_half_the_budget(self, step: int, totals: Mapping[str, float]) -> Tensor:
        """Out of memory: forget the step's gradients, halve the micro-batches for good, and do it again."""
        for p in self.parameters:
            p.grad = None
        torch.cuda.empty_cache()
        self.numerics["token_budget"] //= 2
        budget = self.numerics["token_budget"]
        say(f"Out of memory at step {step + 1}: micro-batches of at most {budget} tokens from here.")
        if budget < 16:
            raise InputError("--max_seq_length: not even one sequence fits this device's memory")
        try:
            return self.accumulate(step, self.batches(step), totals)
        except torch.OutOfMemoryError:
            return self.with_half_the_budget(step, totals)

    def check_finite(self, step: int) -> None:
        """Stop at a loss or gradient that is not a number; what is on disk stays as it was."""
        if bool(self.finite):
            return
        newest = resume.newest(self.run.output_dir)
        kept = f"{newest.folder} (step {newest.step}) is the last good checkpoint" if newest else "no checkpoint yet"
        when = f"step {step}" if self.world.device.type == "cpu" else f"step {step} or shortly before"
        raise InputError(f"{when}: the loss or a gradient is infinite or not a number; {kept}; lower --learning_rate")

    def log(self, step: int) -> None:
        """Write the line of the window that ends here."""
        self.check_finite(step)
        pairs = self.window.pairs(self.world.sum_tensor(self.window.stacked()))
        if self.report is not None:
            tokens = pairs.pop("tokens")[0]
            self.report.training(step, {name: total / max(count, 1) for name, (total, count) in pairs.items()}, tokens)
        self.window.clear()

    def evaluate(self, step: int) -> Mapping[str, float]:
        """Evaluate as the task does, and report it."""
        results = self.task.evaluate(self.model)
        if self.report is not None:
            self.report.evaluation(step, results)
            self.report.restart_clock()
        return results

    def save(self, step: int) -> None:
        """Write a checkpoint of this step."""
        self.check_finite(step)
        pairs = self.window.pairs(self.world.sum_tensor(self.window.stacked()))
        if self.report is not None:
            self.report.flush()
            state = {"window": pairs, "numerics": self.numerics, "settings": dict(self.run.settings)}
            run = self.run
            keep = run.keep_checkpoint_max
            resume.save(run.output_dir, step, state, self.model, self.optimizer, run.write_model, keep)
            self.report.restart_clock()
        self.world.wait()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note SIGTERM and the first SIGINT instead of dying of them; the loop saves and leaves after its step."""

        def note(number: int, frame: FrameType | None) -> None:
            if self.stop_signal:
                raise KeyboardInterrupt
            self.stop_signal = number

        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _seed(*parts: int) -> int:
    """A 63-bit number from integers."""
    return int(draws.key(*parts)[0] >> 1)
