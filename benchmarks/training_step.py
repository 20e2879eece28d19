"""One training step of BERT-Base beside `transformers`: real tokens per second, in turns, in one process.

A step is forward, backward, clipping to a global norm of 1 and a fused AdamW step, with dropout 0.1, masked words (15 %
of the tokens) and next sentence, in bf16. Two shapes of batch: 32 sequences of 128 tokens, and 32 sequences with the
lengths of a paraphrase corpus (mean 53). `transformers` gets its best setting: SDPA, bf16 autocast, fused AdamW, padded
to the longest sequence of the batch. Beside every figure stands the share of the matrix-product peak, measured in the
same process right before.

    python -m benchmarks.training_step [--device=cuda] [--rounds=5] [--output=benchmarks/results/training_step.md]
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import importlib.metadata
import itertools
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch, pack
from bertworks.model.device import keep_freed_memory
from bertworks.model.heads import PretrainingModel

SEQUENCES = 32
VOCAB_SIZE = 30522
MASKED = 0.15


def lengths_of(shape: str, file: Path | None) -> NDArray[np.int64]:
    """Sequence lengths of a batch: all 128; from a file, one a line; or drawn like MRPC's pairs (mean 53)."""
    if shape == "dense":
        return np.full(SEQUENCES, 128, np.int64)
    if file is not None:
        return np.array(file.read_text().split(), np.int64)[:SEQUENCES]
    drawn = np.clip(np.random.default_rng(0).normal(53, 13, SEQUENCES).round(), 20, 100).astype(np.int64)
    drawn[: abs(53 * SEQUENCES - drawn.sum())] += np.sign(53 * SEQUENCES - drawn.sum())
    return drawn


def batch_of(lengths: NDArray[np.int64]) -> PackedBatch:
    """Random words in two halves of each sequence, 15 % of them masked."""
    rng = np.random.default_rng(1)
    tokens = int(lengths.sum())
    starts = np.cumsum(lengths) - lengths
    place = np.arange(tokens) - np.repeat(starts, lengths)
    rows = [
        s + 1 + np.sort(rng.choice(n - 1, max(1, round(MASKED * n)), replace=False))
        for s, n in zip(starts, lengths, strict=True)
    ]
    masked = np.concatenate(rows)
    return pack(
        rng.integers(1000, VOCAB_SIZE, tokens),
        (place >= np.repeat(lengths // 2, lengths)).astype(np.int64),
        lengths,
        rows=masked,
        labels=rng.integers(1000, VOCAB_SIZE, len(masked)),
        sequence_labels=rng.integers(0, 2, len(lengths)),
    )


def useful_operations(config: BertConfig, batch: PackedBatch) -> float:
    """Floating-point operations of a step: products of the layers on real tokens, of attention, of masked words; x 3.

    The last block counts in full, recomputation and padding not at all.
    """
    h, i, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    linear = 2 * layers * (4 * h * h + 2 * h * i) * batch.tokens
    attention = 4 * layers * h * float((batch.lengths**2).sum())
    head = 2 * len(batch.rows) * (h * h + h * config.vocab_size)
    return 3 * (linear + attention + head)


def peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of the best of many matrix products of the network's shapes."""
    rows, best = (65536 if device.type == "cuda" else 4096), 0.0
    x, w = torch.randn(rows, 768, device=device, dtype=dtype), torch.randn(3072, 768, device=device, dtype=dtype)
    for _ in range(20):
        seconds = timed(lambda: nn.functional.linear(x, w), device)
        best = max(best, 2 * rows * 768 * 3072 / seconds)
    return best


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that `work` takes."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def stepper(model: nn.Module, loss: Callable[[int], Tensor]) -> Callable[[], None]:
    """A function that does one whole training step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    step = 0

    def run() -> None:
        nonlocal step
        step += 1
        loss(step).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return run


def ours(config: BertConfig, batch: PackedBatch, device: torch.device) -> Callable[[], None]:
    """A step of this package."""
    model = PretrainingModel(config)
    model.initialise(0)
    model.to(device)
    batch = batch.to(device)

    def loss(step: int) -> Tensor:
        sums = model(batch, dropout=step, dtype=torch.bfloat16)
        return sums["masked_lm_loss"] / (len(batch.rows) + 1e-5) + sums["next_sentence_loss"] / len(batch)

    return stepper(model, loss)


def theirs(config: BertConfig, batch: PackedBatch, device: torch.device, attention: str) -> Callable[[], None]:
    """The same step of `transformers`."""
    import transformers

    torch.manual_seed(0)
    model = transformers.BertForPreTraining(
        transformers.BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            intermediate_size=config.intermediate_size,
            # Of its two names for the tanh form this is the one computed by a single operator.
            hidden_act="gelu_pytorch_tanh" if config.hidden_act == "gelu_new" else config.hidden_act,
            attn_implementation=attention,
        )
    )
    model.train().to(device)
    inputs = {name: value.to(device) for name, value in padded(batch).items()}

    def loss(step: int) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return model(**inputs).loss

    return stepper(model, loss)


def padded(batch: PackedBatch) -> dict[str, Tensor]:
    """The batch as `transformers` takes it, padded to its longest sequence; without a mask where nothing is padded."""
    shape = (len(batch), int(batch.lengths.max()))
    real = torch.arange(shape[1]) < torch.from_numpy(batch.lengths)[:, None]
    labels = torch.full((batch.tokens,), -100)
    labels[batch.rows] = batch.labels

    def spread(values: Tensor, fill: int) -> Tensor:
        return torch.full(shape, fill).masked_scatter(real, values)

    inputs = {
        "input_ids": spread(batch.input_ids, 0),
        "token_type_ids": spread(batch.segment_ids, 0),
        "labels": spread(labels, -100),
        "next_sentence_label": batch.sequence_labels,
    }
    return inputs if bool(real.all()) else {**inputs, "attention_mask": real.long()}


def measure(
    name: str, config: BertConfig, batch: PackedBatch, device: torch.device, flags: argparse.Namespace
) -> list[str]:
    """One row of the table: both in turns, `flags.rounds` times after two rounds of warming up."""
    mine, other = ours(config, batch, device), theirs(config, batch, device, flags.attention)
    operations, rows = useful_operations(config, batch), []
    for number in range(-2, flags.rounds):
        top = peak(device, torch.bfloat16)
        seconds = (min(timed(mine, device) for _ in range(2)), min(timed(other, device) for _ in range(2)))
        if number >= 0:
            rows.append((seconds[0], seconds[1], top))
            print(f"{name}: {seconds[0]:.3f} s, {seconds[1]:.3f} s, x{seconds[1] / seconds[0]:.2f}", file=sys.stderr)
    middle = [statistics.median(column) for column in zip(*rows, strict=True)]
    ratios = sorted(row[1] / row[0] for row in rows)
    return [
        name,
        f"{batch.tokens:,}",
        f"{batch.tokens / middle[0]:,.0f}",
        f"{batch.tokens / middle[1]:,.0f}",
        f"**{statistics.median(ratios):.2f}** ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        f"{middle[2] / 1e12:.2f}",
        f"{operations / middle[0] / middle[2]:.0%}",
        f"{operations / middle[1] / middle[2]:.0%}",
    ]


def main() -> None:
    """Measure every shape and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="base")
    parser.add_argument("--shapes", default="dense,short")
    parser.add_argument("--hidden_act", default="gelu,gelu_new", help="gelu (erf), gelu_new (tanh, as the original)")
    parser.add_argument("--lengths", type=Path, help="file of sequence lengths, one a line, instead of drawn ones")
    parser.add_argument("--attention", default="sdpa", help="of transformers: sdpa or eager")
    parser.add_argument("--default_malloc", action="store_true", help="leave the allocator's settings, for both")
    parser.add_argument("--output", type=Path, help="markdown file to write the table to")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    device = torch.device(flags.device)
    kept = not flags.default_malloc and keep_freed_memory()
    titles = ("batch", "real tokens", "tokens/s", "transformers", "ratio", "peak TFLOP/s", "share of peak", "theirs")
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    names = {"dense": "32 x 128 dense", "short": "32 sequences, mean 53"}
    for shape, activation in itertools.product(flags.shapes.split(","), flags.hidden_act.split(",")):
        batch = batch_of(lengths_of(shape, flags.lengths))
        config = dataclasses.replace(BertConfig.from_size(flags.size, VOCAB_SIZE), hidden_act=activation)
        name = f"{names[shape]}, {activation}"
        lines.append("| " + " | ".join(measure(name, config, batch, device, flags)) + " |")
        gc.collect()
    text = "\n".join(["# One training step", "", setting(flags, device, kept), "", *lines, ""])
    print(text)
    if flags.output:
        flags.output.parent.mkdir(parents=True, exist_ok=True)
        flags.output.write_text(text)


def setting(flags: argparse.Namespace, device: torch.device, kept: bool) -> str:
    """What was measured, on what, and the command that does it again."""
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{processor()}, {flags.threads} threads"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers"))
    heap = "Freed memory is kept in the heap for both." if kept else "The allocator has its default settings."
    return (
        f"BERT-{flags.size.capitalize()}, bf16, dropout 0.1, masked words and next sentence, fused AdamW; {where}; "
        f"{versions} ({flags.attention}, autocast, padded to the longest). {heap} Ratios: median (least to greatest) "
        f"of {flags.rounds} rounds, in turns. Shares count useful operations only. "
        f"`python -m benchmarks.training_step {' '.join(sys.argv[1:])}`"
    )


def processor() -> str:
    """The processor's name, and whether it multiplies bf16 matrices natively."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", info)
    native = " with AMX" if "amx_bf16" in info else " with AVX512_BF16" if "avx512_bf16" in info else ""
    return (model[1] if model else platform.machine()) + native


if __name__ == "__main__":
    main()
