"""Training on a GPU: values against the CPU, equal bits, resuming, memory. `benchmarks/gpu.sh` runs them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bertworks.config import BertConfig
from bertworks.model.compiling import compile_blocks
from bertworks.model.device import use_deterministic_kernels
from bertworks.model.heads import PretrainingModel
from bertworks.model.memory import step_bytes
from bertworks.task import Partition, Task
from bertworks.tasks import pretraining
from bertworks.train import loop, resume
from bertworks.train import optimizer as optimizers
from bertworks.train.distributed import World
from bertworks.train.results import write_model
from bertworks.train.run import Run
from tests.commands.runs import metrics as lines
from tests.gpu_without_gpu.programs import LENGTHS, Source, config
from tests.on_gpu import DEVICE, needs_cuda, needs_device

pytestmark = [pytest.mark.gpu, needs_device]
CPU = torch.device("cpu")
PLAIN = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture
def deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    use_deterministic_kernels()
    yield
    torch.use_deterministic_algorithms(False)


def model_of(of: BertConfig, device: torch.device) -> PretrainingModel:
    model = PretrainingModel(of)
    model.initialise(1)
    return model.to(device)


def task_of(precision: torch.dtype, batch: int = 8) -> Task:
    settings = pretraining.Pretraining(
        phases=[pretraining.InstancePhase(Source(), batch)],
        eval_source=Source(),
        vocab_size=30522,
        eval_batch_size=8,
        max_eval_steps=1,
        precision=precision,
    )
    return pretraining.task(settings)


def gradients(of: BertConfig, device: torch.device, precision: torch.dtype, *, compiled: bool = False) -> Tensor:
    """All gradients of a batch, one after the other."""
    model, task = model_of(of, device), task_of(precision)
    if compiled:
        compile_blocks(model.bert, device)
    (batch,) = task.batches(0, Partition())
    sums = task.sums(model, batch.to(device), 1)
    torch.stack([sums[name] for name in task.losses]).sum().backward()
    return torch.cat([p.grad.reshape(-1).cpu() for p in model.parameters() if p.grad is not None])


def test_gradients_in_float32_are_those_of_the_cpu() -> None:
    of = config(**PLAIN)
    expected = gradients(of, CPU, torch.float32)
    found = gradients(of, DEVICE, torch.float32)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(("precision", "cosine"), [(torch.bfloat16, 0.999), (torch.float16, 0.9999)])
def test_gradients_in_16_bits_have_the_direction_of_float32(precision: torch.dtype, cosine: float) -> None:
    of = config(**PLAIN)
    exact, rough = gradients(of, CPU, torch.float32), gradients(of, DEVICE, precision)
    assert torch.nn.functional.cosine_similarity(exact, rough, dim=0) > cosine


@needs_cuda
def test_compiled_blocks_give_the_same() -> None:
    of = config(**PLAIN)
    plain = gradients(of, DEVICE, torch.bfloat16)
    compiled = gradients(of, DEVICE, torch.bfloat16, compiled=True)
    assert torch.nn.functional.cosine_similarity(plain, compiled, dim=0) > 0.999


def trained(folder: Path, precision: torch.dtype = torch.bfloat16, steps: int = 6, **more: Any) -> Tensor:
    of = config(num_hidden_layers=1)
    model = model_of(of, DEVICE)
    settings: dict[str, Any] = {
        "output_dir": folder,
        "num_train_steps": steps,
        "num_warmup_steps": 0,
        "learning_rate": 1e-3,
        "log_every_steps": 1,
        "save_checkpoints_steps": 2,
        "precision": precision,
        "token_budget": 300,
        "write_model": partial(write_model, of, None, "BertForPreTraining"),
    }
    loop.train(model, task_of(precision), Run(**{**settings, **more}), World(0, 1, DEVICE))
    return torch.cat([p.detach().reshape(-1).cpu() for p in model.parameters()])


@pytest.mark.usefixtures("deterministic")
def test_a_run_and_a_resumed_run_have_equal_bits(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    assert torch.equal(whole, trained(tmp_path / "again"))
    cut = tmp_path / "cut"
    trained(cut)
    for step, folder in resume.steps(cut):
        if step > 2:
            folder.rename(cut / f"later-{step}")
    assert torch.equal(whole, trained(cut))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bits", [32, 8])
def test_losses_fall(tmp_path: Path, precision: torch.dtype, bits: int) -> None:
    trained(tmp_path, precision, 10, optimizer_bits=bits)
    losses = [line["loss"] for line in lines(tmp_path)[1:]]
    assert losses[-1] < losses[0]


def test_an_update_in_8_bits_is_that_of_the_cpu() -> None:
    found = []
    for device in (CPU, DEVICE):
        model = model_of(config(num_hidden_layers=1), device)
        optimizer = optimizers.build(model, "adamw", bits=8)
        optimizers.set_learning_rate(optimizer, 1e-3)
        for step in range(3):
            for number, p in enumerate(model.parameters()):
                drawn = torch.randn(p.shape, generator=torch.Generator().manual_seed(100 * step + number))
                p.grad = drawn.to(device)
            optimizer.step()
        found.append(torch.cat([p.detach().reshape(-1).cpu() for p in model.parameters()]))
    # A moment at the border of two codes may take the other one.
    assert ((found[0] - found[1]).abs() > 1e-5).float().mean() < 1e-3


@needs_cuda
@pytest.mark.parametrize("again", [False, True], ids=["kept", "checkpointing"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_memory_is_what_the_account_says(precision: str, again: bool) -> None:
    of, sequences = config(num_hidden_layers=6, hidden_size=512, intermediate_size=2048, num_attention_heads=8), 256
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    model = model_of(of, DEVICE)
    model.bert.gradient_checkpointing = again
    task = task_of(torch.float32 if precision == "fp32" else torch.bfloat16, sequences)
    optimizer = optimizers.build(model, "adam")
    (batch,) = task.batches(0, Partition())
    sums = task.sums(model, batch.to(DEVICE), 1)
    torch.stack([sums[name] for name in task.losses]).sum().backward()
    optimizers.set_learning_rate(optimizer, 1e-4)
    optimizer.step()
    account = step_bytes(
        of,
        batch.tokens,
        sequences,
        head="pretraining",
        rows=len(batch.rows),
        precision=precision,
        gradient_checkpointing=again,
        device="cuda",
    )
    assert account.total - account.fixed == pytest.approx(torch.cuda.max_memory_allocated() - before, rel=0.15)


@needs_cuda
def test_memory_that_runs_out_halves_the_micro_batches(tmp_path: Path) -> None:
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + 1.5e9) / total))
        trained_in_little(tmp_path)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert resume.newest(tmp_path).state["numerics"]["token_budget"] < 1 << 20


def trained_in_little(folder: Path) -> None:
    of = config(num_hidden_layers=12, hidden_size=512, intermediate_size=2048, num_attention_heads=8)
    model = model_of(of, DEVICE)
    run = Run(
        output_dir=folder,
        num_train_steps=1,
        num_warmup_steps=0,
        learning_rate=1e-3,
        token_budget=1 << 20,
        write_model=partial(write_model, of, None, "BertForPreTraining"),
    )
    loop.train(model, task_of(torch.bfloat16, 100 * len(LENGTHS)), run, World(0, 1, DEVICE))
