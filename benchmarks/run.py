"""All tables of benchmarks/results, one script after the other: what `make bench` runs.

    python -m benchmarks.run --corpus=EN.txt --vocab=vocab.txt --test=OTHER.txt --chinese=ZH.txt --chinese_vocab=V.txt

Each table is measured beside its peer in one process and says which command made it. What lacks files is left out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run what the given files allow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="", help="English text, one sentence a line")
    parser.add_argument("--vocab", default="", help="its vocab.txt")
    parser.add_argument("--chinese", default="", help="Chinese text, one sentence a line")
    parser.add_argument("--chinese_vocab", default="", help="its vocab.txt")
    parser.add_argument("--test", default="", help="English text to test a learned vocabulary on")
    parser.add_argument("--original", default="", help="a checkout of google-research/bert to run as the data's peer")
    parser.add_argument("--glue", default="", help="a folder with MRPC and RTE as GLUE releases them")
    parser.add_argument("--squad", default="", help="the folder of train-v1.1.json and dev-v1.1.json")
    parser.add_argument("--infinity", default="", help="see benchmarks/serving.py")
    parser.add_argument("--fastapi", default="", help="see benchmarks/serving.py")
    flags = parser.parse_args()
    _run("training_step", {})
    _run("tokenizer", {"corpus": flags.corpus, "vocab": flags.vocab})
    _run("tokenizer", {"corpus": flags.chinese, "vocab": flags.chinese_vocab}, "tokenizer_chinese")
    _run("vocabulary", {"train": flags.corpus, "test": flags.test})
    _run("embedding", {"corpus": flags.corpus})
    for task in ("MRPC", "RTE"):
        data_dir = f"{flags.glue}/{task}" if flags.glue else ""
        _run("finetuning", {"task": task, "data_dir": data_dir, "precision": "bf16"}, f"finetuning_{task.lower()}")
    _run("squad", {"data_dir": flags.squad, "precision": "bf16"})
    _run("squad_parts", {"data_dir": flags.squad, "vocab": flags.vocab})
    peers = {"infinity": flags.infinity, "fastapi": flags.fastapi}
    _run("serving", {"corpus": flags.corpus, **{name: value for name, value in peers.items() if value}})
    original = {"original": flags.original} if flags.original else {}
    _run("data", {"corpus": flags.corpus, "vocab": flags.vocab, **original})


def _run(script: str, arguments: dict[str, str], table: str = "") -> None:
    """Run one script into its table; without all its files, say so."""
    if not all(arguments.values()):
        missing = [name for name, value in arguments.items() if not value]
        print(f"{table or script}: left out, no --{' --'.join(missing)}", flush=True)
        return
    words = [f"--{name}={value}" for name, value in arguments.items()]
    output = RESULTS / f"{table or script}.md"
    print(f"{table or script} -> {output}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{script}", *words, f"--output={output}"], check=True)


if __name__ == "__main__":
    main()
