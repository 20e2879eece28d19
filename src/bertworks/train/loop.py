"""The training loop: take a step, report, evaluate, save. It knows no task.

A step is a function of its number, so a resumed run needs one integer.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from bertworks.model.device import training_token_budget
from bertworks.progress import progress
from bertworks.task import Task
from bertworks.train import lock, resume
from bertworks.train import optimizer as optimizers
from bertworks.train.distributed import World
from bertworks.train.report import MetricWindow, Report
from bertworks.train.signals import Listening, Stopped, exit_code
from bertworks.train.step import Stepper


@dataclass(frozen=True, kw_only=True)
class Run:
    """The settings of a run.

    Attributes:
        output_dir: the folder of checkpoints, metrics and the model.
        token_budget: the most tokens of a micro-batch; None is `training_token_budget`.
        log_every_steps, save_checkpoints_steps: 0 means only at the end.
        save_at_evaluations: whether every evaluation leaves a checkpoint.
        save_every_minutes: how long a kill may set a run back; 0 means any time.
        eval_every_steps: 0 means never; otherwise before the first step and at the end too.
        identity: flag -> value of all that must stay the same when the run is resumed.
        settings: flag -> value of what may change on a resume; changes are printed.
        rate_scale: name of a parameter -> factor of its learning rate.
        best: keeps the model of the best evaluation and decides when to stop; None keeps the last model only.
        write_model: writes a model folder into the empty folder that it gets.
        write_notes: writes a description of the run into the output folder, once no other run is found there.
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
    save_at_evaluations: bool = False
    save_every_minutes: float = 0.0
    keep_checkpoint_max: int = 5
    identity: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    rate_scale: Callable[[str], float] = lambda name: 1.0
    best: resume.Best | None = None
    write_model: Callable[[Path], None]
    write_notes: Callable[[], None] = lambda: None

    def rate(self, step: int) -> float:
        """Return the learning rate of the update after `step` finished steps."""
        return optimizers.learning_rate(step, self.learning_rate, self.num_train_steps, self.num_warmup_steps)


def train(model: nn.Module, task: Task, run: Run, world: World) -> Mapping[str, float] | None:
    """Train `model` in place to `run.num_train_steps`, continuing from the output folder's newest checkpoint.

    Returns:
        the results of the evaluation after the last step, if there was one.

    Raises:
        InputError: the folder holds another run or a damaged checkpoint; the loss or a gradient is not finite.
        Stopped: a signal came (`signals.py`); a checkpoint is written, and the same command continues from it.
    """
    with ExitStack() as stack:
        checkpoint = _begin(run, world, stack)
        optimizer = optimizers.build(model, run.optimizer, run.weight_decay, run.rate_scale)
        stepper = Stepper(
            model=model,
            task=task,
            optimizer=optimizer,
            world=world,
            window=MetricWindow(world.device),
            rate=run.rate,
            random_seed=run.random_seed,
            token_budget=run.token_budget or training_token_budget(model, world.device),
        )
        first_step, seconds = 0, 0.0
        if checkpoint is not None:
            resume.load(checkpoint, model, optimizer)
            first_step, seconds = checkpoint.step, checkpoint.state["seconds"]
            _continue(checkpoint, run, stepper)
        if world.size > 1:
            world.check_same({"the weights (a sum)": _sum_of_bytes(model)}, "they must begin with the same model")
        if run.best:
            run.best.begin(first_step)
        if first_step >= run.num_train_steps or (run.best and run.best.should_stop):
            if checkpoint is not None:
                resume.check_finished(checkpoint, run.output_dir, run.settings)
            world.say(f"Skipping training: {run.output_dir} already has {first_step} of {run.num_train_steps} steps.")
            return None
        report = None
        if world.is_main:
            run.write_notes()
            advance = stack.enter_context(progress("training", run.num_train_steps, "steps", first_step))
            report = Report(run.output_dir, first_step, advance, run.settings, seconds)
            stack.callback(report.close)
        loop = _Loop(run, stepper, report)
        with loop.signals.here():
            return loop.train(first_step)


def _begin(run: Run, world: World, stack: ExitStack) -> resume.TrainingCheckpoint | None:
    """Claim the folder in the main process; the others then read its newest checkpoint."""
    checkpoint = None
    if world.is_main:
        stack.enter_context(lock.claimed(run.output_dir))
        checkpoint = resume.begin(run.output_dir, run.identity)
    world.wait()
    if not world.is_main:
        checkpoint = resume.newest(run.output_dir)
    newest = {"the newest checkpoint": checkpoint.step if checkpoint else None}
    world.check_same(newest, f"--output_dir={run.output_dir} must be one folder for all of them")
    return checkpoint


def _sum_of_bytes(model: nn.Module) -> int:
    """Return a number that differs where weights differ, the same on every machine."""
    parameters = (p.detach().reshape(-1).view(torch.uint8) for p in model.parameters())
    return sum(int(p.sum(dtype=torch.int64)) for p in parameters)


def _continue(checkpoint: resume.TrainingCheckpoint, run: Run, stepper: Stepper) -> None:
    """Use the checkpoint's numerics, so that the bits are the same; print what differs."""
    then, world, notes = checkpoint.state["numerics"], stepper.world, []
    if then["threads"] != torch.get_num_threads():
        notes.append(f"threads {then['threads']}, as before (not {torch.get_num_threads()})")
        torch.set_num_threads(then["threads"])
    if then["processes"] != world.size:
        notes.append(f"processes {then['processes']} -> {world.size}")
    if run.token_budget is None:
        stepper.token_budget = then["token_budget"]
    elif run.token_budget != then["token_budget"]:
        notes.append(f"token_budget {then['token_budget']} -> {run.token_budget}")
    before = checkpoint.state["settings"]
    changed = {name: value for name, value in run.settings.items() if before.get(name) != value}
    notes += [f"{name} {before.get(name)} -> {value}" for name, value in changed.items()]
    world.say("; ".join([f"Continuing from {checkpoint.folder} (step {checkpoint.step})", *notes]))
    if world.is_main:
        stepper.window = MetricWindow(world.device, checkpoint.state["window"])
        resume.publish(checkpoint.folder, run.output_dir)


class _Loop:
    """Decides when a line, an evaluation and a checkpoint are due."""

    def __init__(self, run: Run, stepper: Stepper, report: Report | None) -> None:
        self.run, self.stepper, self.report = run, stepper, report
        self.signals = Listening()
        self.should_stop = False
        self.saved = time.monotonic()

    def waited_long(self) -> bool:
        """Return tell, in the main process, whether the last checkpoint is older than a kill may set the run back."""
        minutes = (time.monotonic() - self.saved) / 60
        return self.report is not None and 0 < self.run.save_every_minutes <= minutes

    def train(self, first_step: int) -> Mapping[str, float] | None:
        """Take the steps after `first_step`; return the results of the last evaluation."""
        run, stepper, results = self.run, self.stepper, None
        if run.eval_every_steps and first_step == 0:
            self.evaluate(0)
        with ThreadPoolExecutor(1, "next-batch") as ahead:
            coming = ahead.submit(stepper.micro_batches, first_step)
            for step in range(first_step, run.num_train_steps):
                micro_batches, done = coming.result(), step + 1
                last = done == run.num_train_steps
                if not last:
                    coming = ahead.submit(stepper.micro_batches, done)
                number = self.signals.number
                wishes = bool(number), number == signal.SIGUSR1, self.waited_long()
                stop, requeue, save = stepper.take(step, micro_batches, *wishes)
                if self.report is not None:
                    self.report.advance(1)
                if last or _due(done, run.log_every_steps):
                    self.log(done)
                if run.eval_every_steps and (last or _due(done, run.eval_every_steps)):
                    results = self.evaluate(done)
                    save = save or run.save_at_evaluations
                if last or stop or save or self.should_stop or _due(done, run.save_checkpoints_steps):
                    self.save(done)
                if self.should_stop and run.best and not last:
                    coming.cancel()
                    stepper.world.say(f"Stopped early after step {done}: nothing better since step {run.best.step}.")
                    break
                if stop and not last:
                    coming.cancel()
                    number = signal.SIGUSR1 if requeue else self.signals.number or signal.SIGTERM
                    name = signal.Signals(number).name
                    stepper.world.say(f"Stopped by {name} after step {done}; the same command continues.")
                    raise Stopped(exit_code(number))
        return results

    def log(self, step: int) -> None:
        """Write the line of the window that ends here."""
        self.stepper.check_finite(step)
        pairs = self._window()
        if self.report is not None:
            tokens = round(pairs.pop("tokens")[0])
            self.report.training(step, {name: total / max(count, 1) for name, (total, count) in pairs.items()}, tokens)
        self.stepper.window.clear()

    def evaluate(self, step: int) -> Mapping[str, float]:
        """Evaluate and report; keep the model if it is the best."""
        best = self.run.best
        with self.report.clock_stopped() if self.report else nullcontext():
            results = self.stepper.task.evaluate(self.stepper.model)
            if self.report is not None:
                self.report.evaluation(step, results)
            if best and step:
                best.add(step, results, writes=self.report is not None)
        self.should_stop = best is not None and best.should_stop
        return results

    def save(self, step: int) -> None:
        """Write a checkpoint of this step, after the report's lines up to it."""
        run, stepper = self.run, self.stepper
        stepper.check_finite(step)
        window, budget = self._window(), stepper.world.least(stepper.token_budget)
        if self.report is not None:
            self.report.flush()
            state = {
                "window": window,
                "numerics": {
                    "processes": stepper.world.size,
                    "threads": torch.get_num_threads(),
                    "token_budget": budget,
                },
                "settings": dict(run.settings),
                "seconds": self.report.seconds,
            }
            with self.report.clock_stopped():
                model, optimizer = stepper.model, stepper.optimizer
                resume.save(run.output_dir, step, state, model, optimizer, run.write_model, run.keep_checkpoint_max)
            self.saved = time.monotonic()
        stepper.world.wait()

    def _window(self) -> dict[str, list[float]]:
        """Name -> [sum, count] since the last line, over all processes."""
        window = self.stepper.window
        return window.pairs(self.stepper.world.sum_tensor(window.stacked()))


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
