"""The training loop: take a step, report, evaluate, save. It knows no task.

A step is a function of its number, so a resumed run needs one integer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bertworks.errors import InputError
from bertworks.progress import progress
from bertworks.task import Task
from bertworks.train import lock, plan, resume
from bertworks.train import optimizer as optimizers
from bertworks.train.background import BackgroundWriter
from bertworks.train.budget import measured
from bertworks.train.distributed import World
from bertworks.train.gradients import GradientSums
from bertworks.train.parts import all_full, full
from bertworks.train.report import MetricWindow, Report
from bertworks.train.run import Run
from bertworks.train.signals import HANDLED, Listening, Stopped, exit_code
from bertworks.train.step import Stepper

if TYPE_CHECKING:
    from bertworks.train.sharding import ShardedGradients


def train(model: nn.Module, task: Task, run: Run, world: World) -> Mapping[str, float] | None:
    """Train `model` in place to `run.num_train_steps`, continuing from the output folder's newest checkpoint.

    Returns:
        the results of the evaluation after the last step, if there was one.

    Raises:
        InputError: the folder holds another run or a damaged checkpoint; the loss or a gradient is not finite.
        Planned: the plan was asked for, and is shown.
        Stopped: a signal came (`signals.py`); a checkpoint is written, and the same command continues from it.
    """
    budget = run.token_budget or measured(model, world, run.precision, run.optimizer_bits, run.max_seq_length)
    if not run.fsdp or world.size == 1:
        return _train(model, task, run, world, budget, GradientSums(model, world))
    from bertworks.train.sharding import ShardedGradients, sharded  # noqa: PLC0415  (takes seconds)

    with sharded(model, world) as network:
        return _train(network, task, run, world, budget, ShardedGradients(network, world))


def _train(
    model: nn.Module,
    task: Task,
    run: Run,
    world: World,
    budget: int,
    gradient_sums: GradientSums | ShardedGradients,
) -> Mapping[str, float] | None:
    rules = run.weight_decay, run.rate_scale, run.optimizer_bits, run.rules
    optimizer = optimizers.build(model, run.optimizer, *rules)
    stepper = Stepper(
        model=model,
        task=task,
        optimizer=optimizer,
        world=world,
        window=MetricWindow(world.device),
        rate=run.rate,
        random_seed=run.random_seed,
        token_budget=budget,
        gradient_sums=gradient_sums,
        precision=run.precision,
    )
    if run.plan:
        plan.show(run, stepper)
    with ExitStack() as stack:
        checkpoint = _begin(run, world, stack)
        first_step, seconds = 0, 0.0
        if checkpoint is not None:
            first_step, seconds = checkpoint.step, checkpoint.state["seconds"]
            if not checkpoint.is_finished:
                resume.load(checkpoint, model, optimizer)
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
        if checkpoint is not None and checkpoint.is_finished:
            raise InputError(
                f"--output_dir={run.output_dir}: the training there has ended, and its optimizer was not kept; give "
                f"another --output_dir, and --model={run.output_dir} to begin with its model"
            )
        report = None
        if world.is_main:
            run.write_notes()
            advance = stack.enter_context(progress("training", run.num_train_steps, "steps", first_step))
            report = Report(run.output_dir, first_step, advance, run.settings, seconds)
            stack.callback(report.close)
        signals = Listening()
        stack.enter_context(signals.here())
        writer = stack.enter_context(BackgroundWriter(behind=run.save_in_background))
        return _Loop(run, stepper, report, signals, writer).train(first_step)


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
    parameters = (full(p.detach()).reshape(-1).view(torch.uint8) for p in model.parameters())
    return sum(int(p.sum(dtype=torch.int64)) for p in parameters)


def _continue(checkpoint: resume.TrainingCheckpoint, run: Run, stepper: Stepper) -> None:
    """Use the checkpoint's numerics, so that the bits are the same; print what differs."""
    then, world, notes = checkpoint.state["numerics"], stepper.world, []
    if then["threads"] != torch.get_num_threads():
        notes.append(f"threads {then['threads']}, as before (not {torch.get_num_threads()})")
        torch.set_num_threads(then["threads"])
    if then["processes"] != world.size:
        notes.append(f"processes {then['processes']} -> {world.size}")
    if then.get("fsdp", False) != run.fsdp:
        notes.append(f"fsdp {then.get('fsdp', False)} -> {run.fsdp}")
    if run.token_budget is None:
        stepper.token_budget = then["token_budget"]
    elif run.token_budget != then["token_budget"]:
        notes.append(f"token_budget {then['token_budget']} -> {run.token_budget}")
    before, now = checkpoint.state["settings"], run.settings
    changed = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    notes += [f"{name} {before.get(name, 'the default')} -> {now.get(name, 'the default')}" for name in changed]
    stepper.continue_scale(checkpoint.state)
    world.say("; ".join([f"Continuing from {checkpoint.folder} (step {checkpoint.step})", *notes]))
    # The sums are of all processes, so only one may add them. All need the names, because they are summed in order.
    saved = checkpoint.state["window"].items()
    window = {name: [total if world.is_main else 0.0, count] for name, (total, count) in saved}
    stepper.window = MetricWindow(world.device, window)
    if world.is_main:
        resume.publish(checkpoint.folder, run.output_dir)


class _Loop:
    """Decides when a line, an evaluation and a checkpoint are due.

    Attributes:
        should_stop: whether training stops early.
        evaluated: whether there is an evaluation that no checkpoint has yet.
        saved: when the last checkpoint was taken, by the monotonic clock.
    """

    def __init__(
        self, run: Run, stepper: Stepper, report: Report | None, signals: Listening, writer: BackgroundWriter
    ) -> None:
        self.run, self.stepper, self.report, self.signals, self.writer = run, stepper, report, signals, writer
        self.should_stop = False
        self.evaluated = False
        self.saved = time.monotonic()

    def waited_long(self) -> bool:
        """Tell, in the main process, whether the last checkpoint is older than a kill may set the run back."""
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
                self.writer.check()
                came = [self.signals.number == number for number in HANDLED]
                save, *came = stepper.take(step, micro_batches, self.waited_long(), *came)
                stop = next((number for number, has_come in zip(HANDLED, came, strict=True) if has_come), None)
                if self.report is not None:
                    self.report.advance(1)
                if last or _due(done, run.log_every_steps):
                    self.log(done)
                if run.eval_every_steps and (last or _due(done, run.eval_every_steps)):
                    results = self.evaluate(done)
                    save = save or run.save_at_evaluations
                if last or stop or save or self.should_stop or _due(done, run.save_checkpoints_steps):
                    self.save(done)
                if last or stop or self.should_stop:
                    self.writer.finish()
                    stepper.world.wait()  # nobody leaves before the main process has written
                if self.should_stop and run.best and not last:
                    coming.cancel()
                    stepper.world.say(f"Stopped early after step {done}: nothing better since step {run.best.step}.")
                    break
                if stop and not last:
                    coming.cancel()
                    stepper.world.say(f"Stopped by {stop.name} after step {done}; the same command continues.")
                    raise Stopped(exit_code(stop))
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
        """Evaluate and report."""
        best = self.run.best
        with self.report.clock_stopped() if self.report else nullcontext(), self.stepper.gradient_sums.apart():
            results = self.stepper.task.evaluate(self.stepper.model)
            if self.report is not None:
                self.report.evaluation(step, results)
            if best and step:
                best.add(step, results)
                self.evaluated = True
        self.should_stop = best is not None and best.should_stop
        return results

    def save(self, step: int) -> None:
        """Write a checkpoint of this step, after the report's lines up to it."""
        run, stepper = self.run, self.stepper
        stepper.check_finite(step)
        window, budget = self._window(), stepper.world.least(stepper.token_budget)
        weights = all_full(stepper.model.state_dict(), self.report is not None)
        optimizer_state = all_full(optimizers.state_tensors(stepper.optimizer, stepper.model), self.report is not None)
        if self.report is not None:
            self.report.flush()
            state = {
                "window": window,
                "numerics": {
                    "processes": stepper.world.size,
                    "threads": torch.get_num_threads(),
                    "token_budget": budget,
                    **({"fsdp": True} if run.fsdp else {}),
                },
                "settings": dict(run.settings),
                "seconds": self.report.seconds,
                **stepper.scale_to_keep(),
            }
            with self.report.clock_stopped():
                self.write(step, state, weights, optimizer_state)
            self.saved = time.monotonic()

    def write(
        self, step: int, state: Mapping[str, Any], weights: Mapping[str, Tensor], optimizer_state: Mapping[str, Tensor]
    ) -> None:
        """Write the checkpoint, after the best model if there is a new one, as soon as the write before has ended."""
        run, writer = self.run, self.writer
        writer.finish()
        weights, optimizer_state = writer.copy(weights), writer.copy(optimizer_state)
        write_best = run.best.writing(weights) if run.best and self.evaluated else lambda: None
        self.evaluated = False

        def write() -> None:
            write_best()
            arguments = weights, optimizer_state, run.write_model, run.keep_checkpoint_max
            resume.save(run.output_dir, step, state, *arguments)

        writer.submit(write)

    def _window(self) -> dict[str, list[float]]:
        """Name -> [sum, count] since the last line, over all processes."""
        window = self.stepper.window
        return window.pairs(self.stepper.world.sum_tensor(window.stacked()))


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
