"""How many bytes a training step takes, tensor by tensor, and the largest batch that fits a memory.

A step is a list of stages. Each says what it keeps for the backward pass and what it needs while it runs. The account
goes through them forward and back, and remembers the moment with the most bytes. It is arithmetic on sizes: nothing is
allocated. Tests compare it with the living tensors of real steps on CPU, and of steps on a GPU that is not there.

Shapes: T packed tokens, B sequences, R rows that a head reads, H hidden, I intermediate, A heads, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bertworks.config import BertConfig
from bertworks.model.stages import FLOAT, Head, Sizes, Stage

# What a process takes before its first tensor: Python, torch and its libraries; on CUDA what the driver, cuBLAS and the
# allocator's unused blocks take on the device.
FIXED = {"cpu": 350_000_000, "cuda": 600_000_000}

# The original's share of masked words.
_MASKED = 0.15
# Optimizer states in 8 bits: a scale for each block of so many values, and 32 bits for smaller parameters.
BLOCK, SMALLEST_IN_8_BITS = 256, 4096


@dataclass(frozen=True, kw_only=True)
class StepBytes:
    """The bytes of a training step at the moment when it has the most.

    Attributes:
        parameters, gradients, optimizer: float32 weights, the gradients so far, and the optimizer's moments.
        weights: weights that were cast or joined for products, kept for the backward pass.
        activations: what embeddings and blocks keep for the backward pass, without `attention`.
        attention: what only attention keeps: the probabilities on CPU, a number for each row and head on CUDA.
        heads: what the head keeps, such as the gradients of the masked words' logits.
        working: what the operation of this moment needs in addition.
        fixed: what a process takes without a model.
    """

    parameters: int = 0
    gradients: int = 0
    optimizer: int = 0
    weights: int = 0
    activations: int = 0
    attention: int = 0
    heads: int = 0
    working: int = 0
    fixed: int = 0

    @property
    def total(self) -> int:
        """All parts."""
        return sum(vars(self).values())


@dataclass
class _Account:
    """The bytes that are held, by part, and as they were when they were the most."""

    held: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)

    def need(self, count: int) -> None:
        """Need bytes for a moment."""
        if self.held.total() + count > self.most.total():
            self.most = Counter(self.held)
            self.most["working"] += count

    def run_forward(self, stages: Sequence[Stage]) -> None:
        """Run stages and keep what they keep."""
        for stage in stages:
            self.need(stage.forward)
            self.held.update(stage.keeps)

    def run_backward(self, stages: Sequence[Stage]) -> None:
        """Run stages backward, the last one first, and free what they kept."""
        for stage in reversed(stages):
            self.need(stage.backward)
            self.held.subtract(stage.keeps)
            self.held["gradients"] += stage.gradients
            self.need(0)


def optimizer_bytes(count: int, bits: int) -> int:
    """Return the bytes of AdamW's two moments of a parameter of `count` values."""
    if bits == 32 or count < SMALLEST_IN_8_BITS:
        return 2 * count * FLOAT
    return 2 * (count + -(-count // BLOCK) * FLOAT)


def table_counts(config: BertConfig) -> list[int]:
    """Return the number of values of each embedding table."""
    sizes = (config.vocab_size, config.max_position_embeddings, config.type_vocab_size)
    return [size * config.hidden_size for size in sizes]


def parameter_counts(config: BertConfig, head: Head, outputs: int) -> list[int]:
    """Return the number of values of each parameter but the embedding tables."""
    h, i = config.hidden_size, config.intermediate_size
    block = [*[h * h, h] * 4, h, h, h * i, i, i * h, h, h, h]
    pooler, classifier = [h * h, h], [outputs * h, outputs]
    ends = {
        "pretraining": [*pooler, h * h, h, h, h, config.vocab_size, 2 * h, 2],
        "sequence": [*pooler, *classifier],
        "token": classifier,
        "span": [2 * h, 2],
    }
    return [h, h, *block * config.num_hidden_layers, *ends[head]]


def step_bytes(
    config: BertConfig,
    tokens: int,
    sequences: int,
    *,
    head: Head = "sequence",
    outputs: int = 2,
    rows: int | None = None,
    precision: str = "fp32",
    gradient_checkpointing: bool = False,
    optimizer_bits: int = 32,
    device: str = "cpu",
    micro_batches: int = 1,
    processes: int = 1,
    fsdp: bool = False,
) -> StepBytes:
    """Count the bytes of a training step on sequences of equal length.

    Args:
        tokens, sequences: of a micro-batch, T and B.
        head: what is trained.
        outputs: the classes of a classifier.
        rows: the rows that a head of tokens reads, or the masked words; None is every row, or 15 % of them.
        precision: what it computes in: fp32, bf16 or fp16.
        optimizer_bits: of the optimizer's states, 32 or 8.
        device: cpu or cuda.
        micro_batches: of a step; with several, gradients are there while the next one runs.
        processes: that train together; the gradients are copied to be summed.
        fsdp: whether they share out the weights and the optimizer's states. All weights are gathered for a step, beside
            this process's part.
    """
    asked = round(tokens * _MASKED) if head == "pretraining" else tokens
    asked = asked if rows is None else rows
    read = {"pretraining": sequences + asked, "sequence": sequences, "token": asked, "span": tokens}[head]
    parameters, tables = parameter_counts(config, head, outputs), table_counts(config)
    sizes = Sizes(
        config=config,
        tokens=tokens,
        sequences=sequences,
        rows=read,
        size=FLOAT if precision == "fp32" else 2,
        is_cuda=device != "cpu",
        accumulates=micro_batches > 1,
        shares_table=head == "pretraining",
    )
    total = sum(parameters) + sum(tables)
    shared = total * FLOAT // processes if fsdp and processes > 1 else 0
    account = _Account()
    account.held.update(
        parameters=total * FLOAT + shared,
        optimizer=(
            sum(optimizer_bytes(count, optimizer_bits) for count in parameters)
            + sum(optimizer_bytes(count, 32) for count in tables)
        )
        // (processes if fsdp else 1),
        gradients=total * FLOAT if micro_batches > 1 else 0,
        fixed=FIXED["cpu" if device == "cpu" else "cuda"],
    )
    _walk(account, sizes, head, outputs, gradient_checkpointing)
    account.held["gradients"] = total * FLOAT
    account.need(total * FLOAT + shared if processes > 1 else 0)  # the sum over the processes, or the optimizer's step
    return StepBytes(**account.most)


def _walk(account: _Account, sizes: Sizes, head: Head, outputs: int, gradient_checkpointing: bool) -> None:
    """Take all stages forward and back."""
    config = sizes.config
    blocks = [sizes.block(sizes.tokens)] * (config.num_hidden_layers - 1) + [sizes.block(sizes.rows)]
    ends = [sizes.embeddings()], [*blocks[-1], *sizes.head(head, outputs)]
    # A block that is computed again stops before its output, which is as large as the input that was kept.
    inner = [Counter(activations=sizes.tokens * config.hidden_size * sizes.size)] if gradient_checkpointing else []
    account.run_forward(ends[0])
    for block in blocks[:-1]:
        account.run_forward(block)
        for stage in block if gradient_checkpointing else ():
            account.held.subtract(stage.keeps)
        account.held.update(*inner)
    account.run_forward(ends[1])
    account.run_backward(ends[1])
    for block in reversed(blocks[:-1]):
        for kept in inner:
            account.held.subtract(kept)
            account.run_forward(block)
        account.run_backward(block)
    account.run_backward(ends[0])


def largest_batch(config: BertConfig, max_seq_length: int, memory: int, **options: Any) -> int:
    """Return the most sequences of `max_seq_length` tokens whose training step takes at most `memory` bytes.

    Args:
        options: those of `step_bytes`.

    Returns:
        0 if not even one fits.
    """
    return most(lambda batch: step_bytes(config, batch * max_seq_length, batch, **options).total <= memory)


def most(fits: Callable[[int], bool]) -> int:
    """Return the largest number that fits, where all below it fit too; 0 if 1 does not."""
    too_many = 1
    while fits(too_many):
        too_many *= 2
    low, high = too_many // 2, too_many
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
