"""`--plan`: what a training would take, said before it takes it. Nothing is written and no step is kept.

What is counted is exact for the first steps: their batches are made as in the training. The memory is the account of
`model/memory.py` for the largest of them. Speed is only told where steps were taken to measure it (`--plan_steps`).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from operator import mul
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor

from bertworks.model.device import training_bytes
from bertworks.model.memory import most
from bertworks.progress import clock
from bertworks.train import optimizer as optimizers
from bertworks.train.run import Run
from bertworks.train.step import Stepper

# Parts of the account that a person knows by another name.
_PARTS = {"weights": "copies of weights", "heads": "head", "fixed": "without a model"}

_MB = 1 << 20

# Steps whose batches are counted.
_COUNTED = 3


class Planned(SystemExit):
    """The plan is shown; there is nothing more to do."""


def show(run: Run, stepper: Stepper) -> NoReturn:
    """Show the plan, in the main process.

    Raises:
        Planned: always.
    """
    lines = [*_lines(run, stepper)]
    if stepper.world.is_main:
        print("***** Plan *****", *(f"  {name:<22} {text}" for name, text in lines), sep="\n")
    raise Planned(0)


def _lines(run: Run, stepper: Stepper) -> Iterator[tuple[str, str]]:
    world, model, budget = stepper.world, stepper.model, stepper.token_budget
    counted = _counted(run, stepper)
    sequences, tokens, micro_batches = counted.sequences, counted.tokens, counted.micro_batches
    parameters = list(model.parameters())
    trained = [p for p in parameters if p.requires_grad]
    weights, gradients = _bytes(parameters), _bytes(trained)
    moments = _bytes(optimizers.state_tensors(stepper.optimizer, model).values())
    account = partial(
        training_bytes,
        model,
        world.device,
        precision=run.precision,
        optimizer_bits=run.optimizer_bits,
        micro_batches=micro_batches,
        processes=world.size,
        fsdp=run.fsdp,
    )
    needed = account(*counted.largest)
    copied = weights + moments if run.save_in_background else 0
    copied_beside = copied if world.device.type == "cpu" else 0
    of_phases = " of each phase" if len(run.phase_starts) > 1 else ""
    frozen = sum(p.numel() for p in parameters) - sum(p.numel() for p in trained)
    yield "parameters", f"{sum(p.numel() for p in parameters):,}" + (f", {frozen:,} of them frozen" if frozen else "")
    yield "a step", f"{sequences:,.0f} sequences, {tokens:,.0f} tokens (the mean of the first steps{of_phases})"
    yield "micro-batches", f"{micro_batches} a step in each of {world.size} processes, at most {budget:,} tokens each"
    epochs = f", {run.num_train_steps * sequences / run.examples:.1f} epochs" if run.examples else ""
    yield "steps", f"{run.num_train_steps:,}{epochs}, {run.num_train_steps * tokens:,.0f} tokens"
    parts = ", ".join(f"{_size(count)} {_PARTS.get(name, name)}" for name, count in vars(needed).items() if count)
    unknown = ", as if nothing were frozen" if frozen else ""
    yield "memory of a process", f"{_size(needed.total)} at its height: {parts}{unknown}"
    device = _device_bytes(world.device)
    length = max(1, round(tokens / sequences))
    room = device - copied_beside
    fitting = most(lambda count: account(count, -(-count // length)).total <= room)
    yield "largest micro-batch", f"{fitting:,} tokens fit"
    checkpoint = weights + moments
    kept = checkpoint * run.keep_checkpoint_max + (weights if run.best else 0)
    yield "a checkpoint", f"{_size(checkpoint)}, {_size(kept)} for all that are kept; {_time_to_write(run, checkpoint)}"
    if copied:
        yield "copy for checkpoints", f"{_size(copied)} of host memory in the main process"
    yield "data", f"{_size(run.input_bytes)} of input files"
    traffic = 2 * gradients * (world.size - 1) / world.size
    yield "network", f"{_size(traffic)} a step, sent and received by each process" if world.size > 1 else "none"
    yield "speed", _speed(run, stepper, counted)
    yield "breaks first", _first_to_break(run, needed.total + copied_beside, device, kept)


class _Counted(NamedTuple):
    """What the first steps of each phase are, over all processes.

    Attributes:
        sequences, tokens: of a step, the mean over the training.
        first_tokens: of a step of the first phase.
        micro_batches: the most of a step in any process.
        largest: tokens and sequences of the micro-batch with the most tokens.
    """

    sequences: float
    tokens: float
    first_tokens: float
    micro_batches: int
    largest: tuple[int, int]


def _counted(run: Run, stepper: Stepper) -> _Counted:
    """Make the batches of the first steps of each phase, and count them."""
    edges = list(pairwise((*run.phase_starts, run.num_train_steps)))
    counts = [min(_COUNTED, last - first) for first, last in edges]
    steps = [first + i for (first, _), count in zip(edges, counts, strict=True) for i in range(count)]
    # How many steps of the training each of these stands for.
    weights = [(last - first) / n for (first, last), n in zip(edges, counts, strict=True) for _ in range(n)]
    own = [[(batch.tokens, len(batch)) for batch in stepper.micro_batches(step).batches] for step in steps]
    found = [json.loads(text) for text in stepper.world.gather(json.dumps(own).encode())]
    tokens, sequences = (
        [sum(b[k] for process in found for b in process[i]) for i in range(len(steps))] for k in (0, 1)
    )
    return _Counted(
        sequences=sum(map(mul, sequences, weights)) / run.num_train_steps,
        tokens=sum(map(mul, tokens, weights)) / run.num_train_steps,
        first_tokens=sum(tokens[: counts[0]]) / counts[0],
        micro_batches=max(len(step) for process in found for step in process),
        largest=max((tokens, sequences) for process in found for step in process for tokens, sequences in step),
    )


def _speed(run: Run, stepper: Stepper, counted: _Counted) -> str:
    """Take steps and measure them, the first of which does not count."""
    if not run.plan_steps:
        return "not measured; --plan_steps=5 takes so many steps to measure it"
    began = time.perf_counter()
    for step in range(run.plan_steps + 1):
        stepper.take(step, stepper.micro_batches(step))
        if step == 0:
            stepper.check_finite(1)
            began = time.perf_counter()
    stepper.check_finite(run.plan_steps + 1)  # waits for the device
    each = (time.perf_counter() - began) / run.plan_steps
    speed = counted.first_tokens / each
    left = clock(run.num_train_steps * counted.tokens / speed)
    return f"{speed:,.0f} tokens/s, measured over {run.plan_steps} steps here and now: {left} for all steps"


def _first_to_break(run: Run, memory: float, device: float, kept: float) -> str:
    """Say which of memory and disk is nearer to its end, and whether it is beyond."""
    free = shutil.disk_usage(_existing(run.output_dir)).free
    needs = {"memory": (memory, device), f"the disk of {run.output_dir}": (kept, free)}
    name, (need, there) = max(needs.items(), key=lambda item: item[1][0] / max(item[1][1], 1))
    verdict = "does not fit" if need > there else "fits"
    return f"{name}: needs {_size(need)} of {_size(there)}, which {verdict}"


def _existing(output_dir: Path) -> Path:
    """Return the output folder, or the nearest one above it that exists."""
    return next(path for path in (output_dir, *output_dir.absolute().parents) if path.exists())


def _time_to_write(run: Run, count: int) -> str:
    """Say how long a checkpoint takes to reach the disk, judged by a file of 64 MB at most."""
    block, blocks = os.urandom(_MB), min(64, -(-count // _MB))
    began = time.perf_counter()
    try:
        with tempfile.TemporaryFile(dir=_existing(run.output_dir)) as stream:
            for _ in range(blocks):
                stream.write(block)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        return "time not measured"
    seconds = (time.perf_counter() - began) * count / (blocks * _MB)
    return f"{max(seconds, 0.1):.1f} s to write, by a file of {blocks} MB that was written now"


def _device_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def _size(count: float) -> str:
    """Return bytes for a person: 1.3 GB."""
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= one:
            return f"{count / one:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
