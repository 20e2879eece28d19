"""What we do on a GPU, as small programs on a device that is not there.

    python -m tests.gpu_without_gpu.programs FOLDER     # of each program: what failed, or where the host waits; JSON

FOLDER keeps the library that `fake_cuda.install` builds.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch

from bertworks import ragged
from bertworks.config import BertConfig
from bertworks.data.instances import Instances
from bertworks.data.sequences import Sequences
from bertworks.model.heads import PretrainingModel, SequenceClassifier, SpanClassifier, TokenClassifier
from bertworks.model.predict import ModelInput, predict
from bertworks.task import Task
from bertworks.tasks import pretraining
from bertworks.tasks.classification import task as classification
from bertworks.tasks.embed import features
from bertworks.tasks.ner import task as tagging
from bertworks.tasks.ner.alignment import AlignedWords
from bertworks.tasks.squad import task as squad
from bertworks.tasks.squad.windows import Windows
from bertworks.train import optimizer
from bertworks.train.distributed import World
from bertworks.train.gradients import GradientSums
from bertworks.train.report import MetricWindow
from bertworks.train.step import Stepper
from tests.gpu_without_gpu.fake_cuda import CUDA, fake_cuda, install
from tests.gpu_without_gpu.recorder import Recorder, no_modes

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32
LENGTHS = [64, 20, 128, 37, 90, 128, 11, 50]
LABELS = ["O", "B-A", "I-A", "B-B", "I-B"]


def config(**more: Any) -> BertConfig:
    sizes = {"vocab_size": 30522, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertConfig(**{**sizes, "intermediate_size": 512, "hidden_act": "gelu_new", **more})


def on_cuda(kind: Callable[..., Any], *arguments: Any, of: BertConfig | None = None, **options: Any) -> Any:
    """A model of this kind on the device."""
    with torch.device("cuda"):
        return kind(of or config(), *arguments, **options)


def sequences() -> Sequences:
    starts = ragged.starts(LENGTHS)
    ids = np.random.default_rng(0).integers(1000, 30000, starts[-1]).astype(np.uint16)
    return Sequences(ids, starts, np.array(LENGTHS) // 2)


class Source:
    """Instances of the same lengths over and over."""

    def instances(self, first: int, last: int) -> Instances:
        rng = np.random.default_rng(first)
        lengths = np.resize(np.array(LENGTHS), max(0, last - first))
        shifts = ragged.starts(lengths)
        masked = [shift + np.arange(1, n, 7) for n, shift in zip(lengths, shifts, strict=False)]
        rows = np.concatenate([*masked, np.zeros(0, np.int64)]).astype(np.int64)
        ids, labels = (rng.integers(1000, 30000, count) for count in (int(lengths.sum()), len(rows)))
        return Instances(ids, np.zeros_like(ids), lengths, rows, labels, rng.integers(0, 2, len(lengths)))

    def identity(self) -> dict[str, object]:
        return {}


def take_steps(
    gpu: Recorder,
    model: Any,
    task: Task,
    *,
    budget: int = 1 << 14,
    world: World | None = None,
    again: bool = False,
    bits: int = 32,
    precision: torch.dtype = FP32,
    kind: str = "adam",
) -> None:
    """Two steps as the loop takes them, and a line of the report."""
    model.gradient_checkpointing = again
    world = world or World(0, 1, CUDA)
    stepper = Stepper(
        model=model,
        task=task,
        optimizer=optimizer.build(model, kind, bits=bits),
        world=world,
        window=MetricWindow(CUDA),
        rate=lambda _: 1e-4,
        random_seed=1,
        token_budget=budget,
        gradient_sums=GradientSums(model, world),
        precision=precision,
    )
    for step, phase in enumerate(("first step", "step")):
        gpu.phase = "host"
        with no_modes(), torch.enable_grad():
            micro_batches = stepper.micro_batches(step)
        gpu.phase = phase
        stepper.take(step, micro_batches, False)
    gpu.phase = "report"
    stepper.check_finite(2)
    stepper.window.pairs(world.sum_tensor(stepper.window.stacked()))


def pretrain(
    gpu: Recorder,
    precision: torch.dtype,
    *,
    dropout: float = 0.1,
    batch: int = 8,
    of: Any = None,
    causal: bool = False,
    bag_of_words: float = 0.0,
    **how: Any,
) -> None:
    settings = pretraining.Pretraining(
        phases=[pretraining.InstancePhase(Source(), batch, causal=causal)],
        eval_source=Source(),
        vocab_size=30522,
        eval_batch_size=8,
        max_eval_steps=1,
        precision=precision,
        next_sentence=not causal,
        bag_of_words=bag_of_words,
    )
    shape = of or config(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    take_steps(gpu, on_cuda(PretrainingModel, of=shape), pretraining.task(settings), precision=precision, **how)


def pretrain_on_old_gpu(gpu: Recorder) -> None:
    """In float16 on a GPU that has no bfloat16."""
    with mock.patch.object(torch.cuda, "get_device_capability", return_value=(7, 5)):
        pretrain(gpu, FP16)


@contextmanager
def other_processes() -> Iterator[None]:
    """Sums over processes, of which there is only this one."""

    def all_reduce(tensor: torch.Tensor, *_: Any, **__: Any) -> Any:
        tensor.add_(0)
        return SimpleNamespace(wait=lambda: None)

    with mock.patch("torch.distributed.all_reduce", all_reduce):
        yield


def pretrain_as_one_of_many(gpu: Recorder, batch: int) -> None:
    """Process 0 of 16; with a batch of 8 instances it has none of them."""
    with other_processes():
        pretrain(gpu, BF16, batch=batch, world=World(0, 16, CUDA))


def evaluate_pretraining(gpu: Recorder, precision: torch.dtype) -> None:
    settings = pretraining.Pretraining(
        phases=[pretraining.InstancePhase(Source(), 8)],
        eval_source=Source(),
        vocab_size=30522,
        eval_batch_size=8,
        max_eval_steps=1,
        eval_precision=precision,
    )
    gpu.phase = "predict"
    pretraining.evaluate(settings, on_cuda(PretrainingModel))


def labelled(kind: str, choices: int = 1) -> classification.LabelledSequences:
    n = len(LENGTHS) // choices
    labels = {"single": np.arange(n) % 3, "choice": np.arange(n) % choices, "regression": np.ones(n, np.float32)}
    counts = np.full(n, choices) if choices > 1 else None
    values = labels.get(kind, np.ones((n, 3), np.float32))
    return classification.LabelledSequences([str(i) for i in range(n)], sequences(), values, counts)


def classify(gpu: Recorder, kind: Any = "single", choices: int = 1, weights: Any = None) -> None:
    data = labelled(kind, choices)
    settings = classification.Classification(
        kind=kind,
        classes=1 if kind in ("choice", "regression") else 3,
        train=data,
        train_batch_size=len(data),
        precision=BF16,
        class_weights=weights,
    )
    take_steps(gpu, on_cuda(SequenceClassifier, settings.classes), classification.task(settings))


def predict_classes(gpu: Recorder, precision: torch.dtype) -> None:
    settings = classification.Classification(kind="single", classes=3, eval_precision=precision)
    gpu.phase = "predict"
    classification.predict_logits(settings, on_cuda(SequenceClassifier, 3), labelled("single"))


def tagged() -> tagging.TaggedSequences:
    words = np.array(LENGTHS) - 2
    starts, row_starts = ragged.starts(LENGTHS), ragged.starts(words)
    rows, numbers = np.concatenate([np.arange(1, n - 1) for n in LENGTHS]), np.arange(row_starts[-1])
    seen, ids = np.stack([row_starts[:-1], row_starts[1:]], 1), np.full(starts[-1], 2000, np.uint16)
    aligned = AlignedWords(ids, starts, rows, row_starts, numbers, row_starts, seen, np.ones_like(numbers))
    sentences: Any = [SimpleNamespace(words=("x",) * int(n), tags=("O",) * int(n)) for n in words]
    return tagging.TaggedSequences(sentences, aligned, numbers % 5)


def tag(gpu: Recorder, crf: bool) -> None:
    settings = tagging.Tagging(labels=LABELS, train=tagged(), train_batch_size=8, precision=BF16)
    take_steps(gpu, on_cuda(TokenClassifier, 5, crf=crf), tagging.task(settings))


def predict_tags(gpu: Recorder, crf: bool, precision: torch.dtype) -> None:
    settings = tagging.Tagging(labels=LABELS, eval_precision=precision)
    gpu.phase = "predict"
    tagging.predict_tags(settings, on_cuda(TokenClassifier, 5, crf=crf), tagged())


def find_spans(gpu: Recorder, precision: torch.dtype) -> None:
    numbers = np.arange(len(LENGTHS))
    windows = Windows(sequences(), numbers, numbers, 0 * numbers, 0, positions=np.tile([1, 3], (len(LENGTHS), 1)))
    settings = squad.QuestionAnswering(train=windows, train_batch_size=8, precision=precision)
    take_steps(gpu, on_cuda(SpanClassifier), squad.task(settings))


def predict_spans(gpu: Recorder, precision: torch.dtype, padded_to: int | None = None) -> None:
    gpu.phase = "predict"
    for _ in squad.logits_of(on_cuda(SpanClassifier), sequences(), padded_to=padded_to, dtype=precision):
        pass


def extract(gpu: Recorder, pooling: Any, precision: torch.dtype) -> None:
    tokenizer: Any = SimpleNamespace(cls_id=101, sep_id=102)
    gpu.phase = "predict"
    texts = ["x" * n for n in LENGTHS]
    with mock.patch.object(features, "_ids", lambda _, some: (np.full(len(text), 2000).tolist() for text in some)):
        list(features.extract(on_cuda(PretrainingModel).bert, tokenizer, texts, pooling=pooling, dtype=precision))


def fill_masks(gpu: Recorder, precision: torch.dtype) -> None:
    model = on_cuda(PretrainingModel)

    def compute(batch: Any) -> torch.Tensor:  # as tasks/fill_mask.py
        hidden = model.bert(batch, dtype=precision, read=batch.rows)
        found = torch.softmax(model.masked_lm_logits(hidden).float(), -1).topk(5)
        return torch.stack([found.indices.float(), found.values], -1)

    gpu.phase = "predict"
    inputs = [ModelInput(np.full(n, 2000), np.zeros(n, np.int64), (1, 3)) for n in LENGTHS]
    for _ in predict(compute, inputs, "row", device=CUDA):
        pass


PROGRAMS: dict[str, Callable[[Recorder], None]] = {
    **{f"pretrain {name}": partial(pretrain, precision=kind) for name, kind in (("bf16", BF16), ("fp32", FP32))},
    "pretrain bf16, no dropout": partial(pretrain, precision=BF16, dropout=0.0),
    "pretrain fp32, no dropout": partial(pretrain, precision=FP32, dropout=0.0),
    "pretrain bf16, checkpointing": partial(pretrain, precision=BF16, again=True),
    "pretrain fp32, checkpointing": partial(pretrain, precision=FP32, again=True),
    "pretrain bf16, micro-batches": partial(pretrain, precision=BF16, budget=200),
    "pretrain bf16, heads of 26": partial(
        pretrain, precision=BF16, of=config(hidden_size=312, num_attention_heads=12, intermediate_size=1200)
    ),
    "pretrain bf16, bag of words": partial(pretrain, precision=BF16, bag_of_words=1.0),
    "pretrain bf16, moments in 8 bits": partial(pretrain, precision=BF16, bits=8),
    **{f"pretrain bf16, {kind}": partial(pretrain, precision=BF16, kind=kind) for kind in ("adamw", "lamb", "muon")},
    **{
        f"pretrain {name}, causal, dropout {dropout}": partial(pretrain, precision=kind, causal=True, dropout=dropout)
        for name, kind in (("bf16", BF16), ("fp32", FP32))
        for dropout in (0.0, 0.1)
    },
    "pretrain fp16": partial(pretrain, precision=FP16),
    "pretrain fp16, moments in 8 bits": partial(pretrain, precision=FP16, bits=8),
    "pretrain fp16, old GPU": pretrain_on_old_gpu,
    "pretrain bf16, 16 processes": partial(pretrain_as_one_of_many, batch=32),
    "pretrain bf16, no share": partial(pretrain_as_one_of_many, batch=8),
    "evaluate pre-training fp32": partial(evaluate_pretraining, precision=FP32),
    "classify": classify,
    "classify, class weights": partial(classify, weights=np.ones(3, np.float32)),
    "classify, several classes": partial(classify, kind="multi"),
    "classify, numbers": partial(classify, kind="regression"),
    "classify, choices": partial(classify, kind="choice", choices=4),
    "tag": partial(tag, crf=False),
    "tag, CRF": partial(tag, crf=True),
    "answer": partial(find_spans, precision=BF16),
    "answer fp32": partial(find_spans, precision=FP32),
    "predict classes fp32": partial(predict_classes, precision=FP32),
    "predict classes bf16": partial(predict_classes, precision=BF16),
    "predict tags fp32": partial(predict_tags, crf=False, precision=FP32),
    "predict tags bf16, CRF": partial(predict_tags, crf=True, precision=BF16),
    "predict spans fp32": partial(predict_spans, precision=FP32),
    "predict spans fp32, padded": partial(predict_spans, precision=FP32, padded_to=160),
    "predict spans bf16, padded": partial(predict_spans, precision=BF16, padded_to=160),
    **{f"features {pooling}": partial(extract, pooling=pooling, precision=FP32) for pooling in ("none", "cls", "mean")},
    "fill masks fp32": partial(fill_masks, precision=FP32),
}


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    install(folder)
    found: dict[str, Any] = {}
    for name, program in PROGRAMS.items():
        with fake_cuda() as gpu:
            try:
                program(gpu)
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"
                continue
        found[name] = Counter(f"{w.where}: {w.what}" for w in gpu.waits if w.phase in ("step", "predict"))
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
