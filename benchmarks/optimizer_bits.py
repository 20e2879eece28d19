"""Loss curves with the optimizer's moments in 32 and in 8 bits: the same pre-training twice.

    bert demo --num_train_steps=1                                       # makes demo/shards and demo/bert_config.json
    python -m benchmarks.optimizer_bits --shards=demo/shards --bert_config_file=demo/bert_config.json --steps=1000

Both runs see the same instances, masks and dropout. The table has the mean loss of each stretch of steps, the size of
the optimizer's file, and seconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from bertworks import cli


def main() -> None:
    """Train twice and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", required=True)
    parser.add_argument("--bert_config_file", required=True)
    parser.add_argument("--steps", type=int, default=1000)
    given, words = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        exact, rough = (train(given, words, bits, Path(folder) / bits) for bits in ("32", "8"))
    print("| steps to | loss, 32 bits | loss, 8 bits | difference |\n|---|---|---|---|")
    for first, second in zip(exact["lines"], rough["lines"], strict=True):
        losses = f"{first['loss']:.4f} | {second['loss']:.4f} | {second['loss'] - first['loss']:+.4f}"
        print(f"| {first['step']} | {losses} |")
    for name, run in (("32", exact), ("8", rough)):
        print(f"{name} bits: {run['bytes'] / 1e6:.1f} MB of optimizer state, {run['seconds']:.0f} s")


def train(given: argparse.Namespace, words: list[str], bits: str, folder: Path) -> dict[str, Any]:
    """The lines of a run, the size of its optimizer's file, and its seconds."""
    flags = [
        *(f"--input_file={given.shards}", f"--bert_config_file={given.bert_config_file}", f"--output_dir={folder}"),
        *(f"--num_train_steps={given.steps}", f"--num_warmup_steps={given.steps // 20}", "--learning_rate=1e-3"),
        *(f"--log_every_steps={max(1, given.steps // 10)}", "--do_train", f"--optimizer_bits={bits}"),
    ]
    cli.main(["run_pretraining", *flags, *words])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if "loss" in line]
    size = (folder / "checkpoints" / f"step-{given.steps}" / "optimizer.safetensors").stat().st_size
    return {"lines": lines, "bytes": size, "seconds": sum(line["seconds"] for line in lines)}


if __name__ == "__main__":
    main()
