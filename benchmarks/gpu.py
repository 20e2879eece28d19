"""Every GPU row in one call: steps of pre-training and fine-tuning, encoding, memory, and a peer.

    python -m benchmarks.gpu [--device=cuda] [--toy] [--seconds=300] [--output=TABLE.md]

Each row is warmed up, then measured for some seconds: the median step, its spread, real tokens and sequences a second,
the share of the matrix-product peak that was measured in the same process, and the most memory beside the account of
`model/memory.py`. Rows that the time does not reach are "not measured"; a row that fails says why and the others go
on. --toy takes a tiny model and short times, to try the script where there is no GPU. `benchmarks/gpu.sh` runs the GPU
tests before it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import gc
import math
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bertworks.config import NAMED_SIZES, BertConfig
from bertworks.data.batch import PackedBatch, pack
from bertworks.files import write_text
from bertworks.model.compiling import compile_blocks
from bertworks.model.heads import PretrainingModel, SpanClassifier
from bertworks.model.memory import step_bytes
from bertworks.train import optimizer as optimizers

VOCAB_SIZE, MASKED = 30522, 0.15
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Row(NamedTuple):
    """What is measured: a job on sequences of a length, or of natural lengths up to it."""

    job: str
    size: str
    sequences: int
    length: int
    natural: bool = False
    precision: str = "bf16"
    compiled: bool = False
    again: bool = False
    bits: int = 32

    @property
    def name(self) -> str:
        """What the table calls it."""
        how = [self.precision]
        how += ["compiled"] * self.compiled + ["checkpointing"] * self.again + ["moments in 8 bits"] * (self.bits == 8)
        lengths = f"natural lengths to {self.length}" if self.natural else f"{self.length}"
        return f"{self.job}, {self.size}, {self.sequences} x {lengths}, {', '.join(how)}"


ROWS = [
    Row("pretrain", "base", 128, 128),
    Row("pretrain", "base", 128, 128, compiled=True),
    Row("transformers pretrain", "base", 128, 128),
    Row("pretrain", "large", 128, 128),
    Row("pretrain", "large", 64, 512, natural=True),
    Row("answer", "base", 64, 384, natural=True),
    Row("answer", "large", 64, 384, natural=True),
    Row("encode", "base", 256, 128, natural=True),
    Row("encode", "base", 256, 128, natural=True, precision="fp32"),
    Row("transformers pretrain", "large", 128, 128),
    Row("pretrain", "large", 128, 128, again=True),
    Row("pretrain", "base", 128, 128, bits=8),
    Row("pretrain", "base", 128, 128, precision="fp32"),
    Row("pretrain", "base", 128, 128, precision="fp16"),
]


class Measured(NamedTuple):
    """Seconds of each step, the operations that count, and the bytes at the peak (0 on CPU)."""

    seconds: list[float]
    operations: float
    peak: int


def main() -> None:
    """Measure the rows that the time allows; print the table last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", type=torch.device)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    end, found, best = time.monotonic() + given.seconds, [], dict.fromkeys(DTYPES, math.inf)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the table is printed even if the last row took too long
    with contextlib.suppress(SystemExit):
        best = products(given.device, 0.2 if given.toy else 2.0)
        for row in ROWS:
            left = end - time.monotonic()
            if left > 1:
                used = row._replace(size="tiny", sequences=4, length=min(row.length, 64)) if given.toy else row
                result = attempt(used, given.device, min(left / 2, 0.3 if given.toy else 8.0))
                found.append(line(used, result, given.device, best))
                print(found[-1], file=sys.stderr, flush=True)
    found += [line(row, "not measured", given.device, best) for row in ROWS[len(found) :]]
    text = table(found, given.device, best)
    if given.output:
        write_text(given.output, text)
    print(text)


def attempt(row: Row, device: torch.device, seconds: float) -> Measured | str:
    """Measure a row, or say why it cannot be measured."""
    try:
        return measure(row, device, seconds)
    except Exception as error:
        return f"failed: {type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"
    finally:
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def config_of(size: str) -> BertConfig:
    """The released sizes."""
    layers, hidden = NAMED_SIZES[size]
    return BertConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        hidden_act="gelu_new",
    )


def batch_of(row: Row) -> PackedBatch:
    """Random words; natural lengths are spread evenly from a tenth of the longest to the longest."""
    lengths = np.full(row.sequences, row.length)
    if row.natural:
        lengths = np.linspace(row.length // 10, row.length, row.sequences).astype(np.int64)
    rng, starts = np.random.default_rng(1), np.cumsum(lengths) - lengths
    ids = rng.integers(1000, VOCAB_SIZE, int(lengths.sum()))
    rows = np.concatenate([s + 1 + np.arange(max(1, round(MASKED * n))) for s, n in zip(starts, lengths, strict=True)])
    return pack(ids, 0 * ids, lengths, rows=rows, labels=ids[rows], sequence_labels=np.arange(row.sequences) % 2)


def operations(config: BertConfig, lengths: NDArray[np.int64], masked: int, passes: int) -> float:
    """Floating-point operations on real tokens: layers, attention, masked words."""
    h, i, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    linear = 2 * layers * (4 * h * h + 2 * h * i) * float(lengths.sum())
    attention = 4 * layers * h * float((lengths**2).sum())
    return passes * (linear + attention + 2 * masked * (h * h + h * config.vocab_size))


def measure(row: Row, device: torch.device, seconds: float) -> Measured:
    """Warm up, then take steps for so many seconds."""
    if row.compiled and device.type != "cuda":
        raise ValueError("blocks are compiled on CUDA only")
    config, host = config_of(row.size), batch_of(row)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step = (peer if row.job.startswith("transformers") else ours)(row, config, host, device)
    for _ in range(3 if device.type == "cuda" else 1):
        step()
    times, end = [], time.monotonic() + seconds
    while not times or (time.monotonic() < end and len(times) < 200):
        times.append(timed(step, device))
    masked = len(host.rows) if "pretrain" in row.job else 0
    count = operations(config, host.lengths, masked, 1 if row.job == "encode" else 3)
    return Measured(times, count, torch.cuda.max_memory_allocated() if device.type == "cuda" else 0)


def ours(row: Row, config: BertConfig, host: PackedBatch, device: torch.device) -> Callable[[], object]:
    """One step of ours."""
    dtype, number, batch = DTYPES[row.precision], 0, host.to(device)
    model: nn.Module = SpanClassifier(config) if row.job == "answer" else PretrainingModel(config)
    for name, parameter in model.named_parameters():
        nn.init.constant_(parameter, float(name.endswith("Norm.weight"))) if parameter.dim() == 1 else nn.init.normal_(
            parameter, std=0.02
        )
    model.to(device)
    bert = model.bert
    bert.gradient_checkpointing = row.again
    if row.compiled:
        compile_blocks(bert, device)
    if row.job == "encode":

        @torch.inference_mode()
        def encode() -> Tensor:
            found: Tensor = bert(batch, dtype=dtype)
            return found

        return encode
    optimizer = optimizers.build(model, "adam", bits=row.bits)
    optimizers.set_learning_rate(optimizer, 1e-5)
    places = batch.starts[: len(batch)].long()

    def train() -> None:
        nonlocal number
        number += 1
        found = model(batch, dropout=number, dtype=dtype)
        if row.job == "answer":
            loss = F.cross_entropy(found.T, places[:2] + 1)
        else:
            loss = found["masked_lm_loss"] / len(batch.rows) + found["next_sentence_loss"] / len(batch)
        loss.backward()
        optimizers.clip_by_global_norm([p.grad for p in model.parameters() if p.grad is not None])
        optimizer.step()
        optimizer.zero_grad()

    return train


def peer(row: Row, config: BertConfig, host: PackedBatch, device: torch.device) -> Callable[[], object]:
    """One step of transformers: SDPA, autocast, fused AdamW, padded to the longest sequence."""
    import transformers

    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act")
    theirs = transformers.BertConfig(**{name: getattr(config, name) for name in names})
    model = transformers.BertForPreTraining._from_config(theirs, attn_implementation="sdpa").to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    shape = (len(host), int(host.lengths.max()))
    ids, mask, labels = (
        torch.zeros(shape, dtype=torch.long),
        torch.zeros(shape, dtype=torch.long),
        torch.full(shape, -100),
    )
    for number, (start, length) in enumerate(zip(host.starts.tolist(), host.lengths.tolist(), strict=False)):
        ids[number, :length], mask[number, :length] = host.input_ids[start : start + length], 1
        inside = host.rows[(host.rows >= start) & (host.rows < start + length)] - start
        labels[number, inside] = ids[number, inside]
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels, "next_sentence_label": host.sequence_labels}
    moved = {name: value.to(device) for name, value in inputs.items()}

    def train() -> None:
        with torch.autocast(device.type, DTYPES[row.precision], enabled=row.precision != "fp32"):
            loss = model(**moved).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return train


def timed(step: Callable[[], object], device: torch.device) -> float:
    """Seconds of a step."""
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def products(device: torch.device, seconds: float) -> dict[str, float]:
    """Operations a second of the best matrix product, by precision."""
    rows, best = (16384 if device.type == "cuda" else 1024), {}
    for name, dtype in DTYPES.items():
        x, w = torch.randn(rows, 1024, device=device, dtype=dtype), torch.randn(4096, 1024, device=device, dtype=dtype)
        times, end = [timed(lambda x=x, w=w: F.linear(x, w), device)], time.monotonic() + seconds
        while time.monotonic() < end:
            times.append(timed(lambda x=x, w=w: F.linear(x, w), device))
        best[name] = 2 * rows * 1024 * 4096 / min(times)
    return best


def line(row: Row, result: Measured | str, device: torch.device, best: dict[str, float]) -> str:
    """A row of the table."""
    if isinstance(result, str):
        return f"| {row.name} | {result} | | | | | |"
    lengths = batch_of(row).lengths
    step, spread = statistics.median(result.seconds), np.subtract(*np.percentile(result.seconds, [75, 25]))
    share = result.operations / step / best[row.precision]
    memory = ""
    if row.job != "encode" and not row.job.startswith("transformers"):
        account = step_bytes(
            config_of(row.size),
            int(lengths.sum()),
            row.sequences,
            head="span" if row.job == "answer" else "pretraining",
            precision=row.precision,
            gradient_checkpointing=row.again,
            optimizer_bits=row.bits,
            device=device.type,
        )
        memory = f"{(account.total - account.fixed) / 1e9:.2f}"
    peak = f"{result.peak / 1e9:.2f}" if result.peak else "not measured"
    speeds = f"{len(lengths) / step:,.0f} | {lengths.sum() / step:,.0f}"
    return f"| {row.name} | {1e3 * step:.1f} ({1e3 * spread:.1f}) | {speeds} | {share:.0%} | {peak} | {memory} |"


def table(rows: list[str], device: torch.device, best: dict[str, float]) -> str:
    """The whole table, with what it was measured on."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    peaks = ", ".join(f"{value / 1e12:.1f} in {name}" for name, value in best.items())
    head = "| row | ms a step (spread) | sequences/s | real tokens/s | of the peak | GB at the peak | GB by account |"
    told = f"{datetime.date.today()}, {where}, torch {torch.__version__}; matrix products, TFLOP/s: {peaks}."
    return "\n".join(
        [told, f"`python -m benchmarks.gpu {' '.join(sys.argv[1:])}`", "", head, "|---" * 7 + "|", *rows, ""]
    )


if __name__ == "__main__":
    main()
