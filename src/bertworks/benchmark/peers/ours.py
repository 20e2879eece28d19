"""Our own side of what needs torch: the steps of training that the commands take, prediction, encoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from bertworks import __version__
from bertworks.benchmark.peers.inputs import read_batch, unit_vectors
from bertworks.benchmark.peers.order import Order, Prepared
from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.config import BertConfig
from bertworks.data.batch import PackedBatch, cut_by_tokens, pack
from bertworks.data.sequences import Sequences
from bertworks.model.compiling import compile_blocks
from bertworks.model.device import choose_precision, keep_freed_memory, training_token_budget
from bertworks.model.heads import PretrainingModel, SequenceClassifier, SpanClassifier
from bertworks.task import Partition, Task
from bertworks.tasks import pretraining
from bertworks.tasks.classification import task as classification
from bertworks.tasks.squad import task as squad
from bertworks.train import optimizer
from bertworks.train.distributed import World
from bertworks.train.gradients import GradientSums
from bertworks.train.report import MetricWindow
from bertworks.train.step import MicroBatches, Stepper

_RATE = 1e-5
_CLASSES = 2


def prepare(order: Order) -> Prepared:
    """Prepare what the order asks for."""
    torch.set_num_threads(order.threads)
    return _WORKS[order.work](order)


def _training(order: Order) -> Prepared:
    """One optimizer step, as `train.step` takes it."""
    keep_freed_memory()
    device = torch.device(order.device)
    dtype = choose_precision(order.precision, device)
    config = BertConfig.from_huggingface_file(order.model / "config.json")
    model, task = _network(order, config, dtype)
    load_into(model, open_checkpoint(order.model), config)
    model.to(device)
    ways = _ways(order, model, device)
    bits = int(order.options.get("optimizer_bits", 32))
    window = MetricWindow(device)
    budget = int(order.options.get("token_budget", 0)) or training_token_budget(
        model, device, precision=dtype, optimizer_bits=bits, max_seq_length=order.max_seq_length
    )
    alone = World(rank=0, size=1, device=device)
    stepper = Stepper(
        model=model,
        task=task,
        optimizer=optimizer.build(model, "adamw", bits=bits),
        world=alone,
        window=window,
        rate=lambda step: _RATE,
        random_seed=0,
        token_budget=budget,
        gradient_sums=GradientSums(model, alone),
    )
    batches = _micro_batches(order, budget)
    tokens = sum(batch.tokens + batch.filler for batch in batches)

    def one_pass(number: int) -> None:
        stepper.take(number, MicroBatches(Partition(token_budget=budget), batches))

    def loss() -> float:
        total, count = window.pairs(window.stacked())["loss"]
        window.clear()
        return total / count

    def answers() -> Any:
        with torch.no_grad():
            if order.work == "pretrain":
                found = [task.sums(model, batch.to(device), None) for batch in batches]
                counts = [task.counts(batch) for batch in batches]
                return [float(sum(f[name] for f in found)) / sum(c[name] for c in counts) for name in task.losses]
            logits = [model(batch.to(device), dtype=dtype).cpu() for batch in batches]
        kept = [
            one[: batch.tokens, 0] if order.work == "span" else one for one, batch in zip(logits, batches, strict=True)
        ]
        return torch.cat(kept).numpy()

    parts = f" in {len(batches)} micro-batches" if len(batches) > 1 else ""
    filler = tokens / _tokens(batches) - 1
    return Prepared(
        version=__version__,
        settings=f"as its commands train: packed tokens{parts}, {filler:.0%} filler{ways}",
        one_pass=one_pass,
        answers=answers,
        padded_tokens=tokens,
        value=loss,
    )


def _ways(order: Order, model: Any, device: torch.device) -> str:
    """Set how the network trains, as the options say; return it for the table."""
    ways = []
    if "compile" in order.options:
        compile_blocks(model.bert, device)
        ways.append("blocks compiled" if model.bert.compiled else "blocks not compiled, there is no compiler")
    if "gradient_checkpointing" in order.options:
        model.bert.gradient_checkpointing = True
        ways.append("gradient checkpointing")
    if "optimizer_bits" in order.options:
        ways.append(f"moments in {order.options['optimizer_bits']} bits")
    return "".join(f", {way}" for way in ways)


def _network(order: Order, config: BertConfig, dtype: torch.dtype) -> tuple[nn.Module, Task]:
    """Return the model with its head, and its task; the batches are made here, so `Task.batches` is never called."""
    terms: tuple[Callable[..., Any], Callable[..., Any]]
    if order.work == "pretrain":
        terms = pretraining.counts, partial(pretraining.sums, dtype)
        return PretrainingModel(config), _task(*terms, {"masked_lm_loss": 1e-5, "next_sentence_loss": 0.0})
    if order.work == "span":
        terms = squad.counts, partial(squad.sums, squad.QuestionAnswering(precision=dtype))
        return SpanClassifier(config), _task(*terms, {"loss": 0.0})
    settings = classification.Classification(kind="single", classes=_CLASSES, precision=dtype)
    terms = partial(classification.counts, settings), partial(classification.sums, settings)
    return SequenceClassifier(config, _CLASSES), _task(*terms, {"loss": 0.0})


def _task(counts: Callable[..., Any], sums: Callable[..., Any], losses: Mapping[str, float]) -> Task:
    def none(*_: object) -> Any:
        raise NotImplementedError

    return Task(batches=none, counts=counts, sums=sums, evaluate=none, losses=losses)


def _micro_batches(order: Order, budget: int) -> list[PackedBatch]:
    """Return the shared batch, cut as training cuts it."""
    arrays = read_batch(order.folder)
    lengths = arrays["lengths"]
    starts = np.append(0, np.cumsum(lengths))
    labels = arrays["positions"] if order.work == "span" else arrays["sequence_labels"]
    batches = []
    for part in cut_by_tokens(lengths, budget):
        first, last = starts[part.start], starts[part.stop]
        inside = (arrays["rows"] >= first) & (arrays["rows"] < last) & (order.work == "pretrain")
        batches.append(
            pack(
                arrays["input_ids"][first:last],
                arrays["segment_ids"][first:last],
                lengths[part],
                rows=arrays["rows"][inside] - first,
                labels=arrays["labels"][inside],
                sequence_labels=labels[part],
                dropout_keys=np.arange(part.start, part.stop),
                filled=True,
            )
        )
    return batches


def _tokens(batches: Sequence[PackedBatch]) -> int:
    return sum(batch.tokens for batch in batches)


def _prediction(order: Order) -> Prepared:
    """The logits of answers for a batch, as `bert run_squad --do_predict --predict_padding=False` computes them."""
    device = torch.device(order.device)
    dtype = choose_precision(order.precision, device)
    config = BertConfig.from_huggingface_file(order.model / "config.json")
    model = SpanClassifier(config)
    load_into(model, open_checkpoint(order.model), config)
    model.to(device).eval()
    arrays = read_batch(order.folder)
    first = np.add.reduceat(1 - arrays["segment_ids"], np.append(0, np.cumsum(arrays["lengths"])[:-1]))
    sequences = Sequences(arrays["input_ids"], np.append(0, np.cumsum(arrays["lengths"])), first)

    def logits(_: int = 0) -> list[Any]:
        return [start + 0.0 for start, _ in squad.logits_of(model, sequences, dtype=dtype)]

    return Prepared(
        version=__version__,
        settings="packed tokens",
        one_pass=lambda number: logits(),
        answers=lambda: np.concatenate(logits()),
        padded_tokens=int(arrays["lengths"].sum()),
    )


def _encoding(order: Order) -> Prepared:
    """Vectors of texts: `load().embed()`."""
    import bertworks  # noqa: PLC0415  (its public names are imported on use)

    loaded = bertworks.load(order.model, device=order.device, precision=order.precision)
    texts = order.texts()
    one_by_one = order.work == "latency"

    def encode(some: Sequence[str]) -> Any:
        return loaded.embed(some, pooling="mean", max_seq_length=order.max_seq_length)

    return Prepared(
        version=__version__,
        settings="load().embed()",
        one_pass=lambda number: encode([texts[number % len(texts)]] if one_by_one else texts),
        answers=lambda: unit_vectors(encode(texts)),
        padded_tokens=0 if one_by_one else _encoded_tokens(loaded.tokenizer, texts, order.max_seq_length),
    )


def _encoded_tokens(tokenizer: Any, texts: Sequence[str], longest: int) -> int:
    _, starts = tokenizer.encode_batch(texts)
    return int(np.minimum(np.diff(starts) + 2, longest).sum())


_WORKS: Mapping[str, Callable[[Order], Prepared]] = {
    "pretrain": _training,
    "classify": _training,
    "span": _training,
    "predict": _prediction,
    "encode": _encoding,
    "latency": _encoding,
}
