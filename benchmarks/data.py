"""Text to pre-training data beside the original: megabytes of text per second of one core, and the most memory held.

    python -m benchmarks.data --corpus=TEXT.txt --vocab=vocab.txt [--original=FOLDER] [--rounds=3] [--output=TABLE.md]

Contenders take turns. Each run is a process of its own that reads the same files and is timed, after its imports, from
opening the vocabulary to the last file written (CPU seconds, so that what else the machine does counts little).
`--original` is a checkout of google-research/bert: its instance building runs with a stand-in for the tensorflow
module, and without writing, which flatters it. Without one the peer is the slow, plain implementation of the same rules
that our tests keep.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

ORIGINAL = "google-research/bert, instances (not written)"
SLOW = "our slow, plain rules, instances (not written)"
RECORDS = "bertworks, TFRecord instances"
SHARDS = "bertworks, shards"


def original(corpus: str, vocab: str, folder: str, _: Path) -> Callable[[], object]:
    """The original's own functions, from reading to the list of instances."""
    tensorflow = types.ModuleType("tensorflow")
    ignore = types.SimpleNamespace(FLAGS=types.SimpleNamespace(do_whole_word_mask=False))
    for kind in ("string", "bool", "integer", "float"):
        setattr(ignore, f"DEFINE_{kind}", lambda *_: None)
    tensorflow.flags = ignore  # type: ignore[attr-defined]
    tensorflow.gfile = types.SimpleNamespace(GFile=partial(open, encoding="utf-8"))  # type: ignore[attr-defined]
    six = types.ModuleType("six")
    six.PY3, six.PY2 = True, False  # type: ignore[attr-defined]
    sys.modules.update({"tensorflow": tensorflow, "six": six})
    sys.path.insert(0, folder)
    import create_pretraining_data as data  # type: ignore[import-not-found]
    import tokenization  # type: ignore[import-not-found]

    def run() -> object:
        tokenizer = tokenization.FullTokenizer(vocab_file=vocab, do_lower_case=True)
        return data.create_training_instances(corpus.split(","), tokenizer, 128, 1, 0.1, 0.15, 20, random.Random(12345))

    return run


def slow(corpus: str, vocab: str, _: str, __: Path) -> Callable[[], object]:
    """The plain rules of our tests."""
    from tests.data.slow_pretraining_data import Rules, create_instances
    from tests.text.slow_tokenizer import tokenize

    from bertworks.text.vocab_file import read_vocab

    def run() -> object:
        words = read_vocab(vocab)
        known = {word: i for i, word in enumerate(words)}
        documents: list[list[list[str]]] = [[]]
        for path in corpus.split(","):
            for line in Path(path).read_text(encoding="utf-8").split("\n"):
                if not line.strip():
                    documents.append([])
                elif pieces := tokenize(line.strip(), known, True):
                    documents[-1].append(pieces)
        filled = [document for document in documents if document]
        return create_instances(filled, words, Rules(), dupe_factor=1, seed=12345)

    return run


def ours(output: str) -> Callable[[str, str, str, Path], Callable[[], object]]:
    """`bert create_pretraining_data` in one process."""

    def prepare(corpus: str, vocab: str, _: str, folder: Path) -> Callable[[], object]:
        import bertworks.data.example_writer
        import bertworks.data.prepare
        import bertworks.data.stream  # noqa: F401  (imported by the command, and timed by nobody)
        from bertworks.commands import create_pretraining_data as command

        where: dict[str, Any] = {output: str(folder / "out")}
        flags = command.Flags(input_file=corpus, vocab_file=vocab, dupe_factor=1, num_workers=1, **where)
        return lambda: command.main(flags)

    return prepare


CONTENDERS = {ORIGINAL: original, SLOW: slow, RECORDS: ours("output_file"), SHARDS: ours("output_dir")}


def child(name: str, corpus: str, vocab: str, folder: str) -> None:
    """Run one contender once and print its seconds and its memory."""
    with tempfile.TemporaryDirectory() as temporary:
        run = CONTENDERS[name](corpus, vocab, folder, Path(temporary))
        begin, cpu = time.perf_counter(), time.process_time()
        with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            run()
        seconds = {"wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**seconds, "memory": memory}))


def main() -> None:
    """Measure in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, help="text files, comma-separated: one sentence a line")
    parser.add_argument("--vocab", required=True, help="an uncased vocab.txt")
    parser.add_argument("--original", default="", help="a checkout of google-research/bert")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="markdown file to write the table to")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.child:
        child(flags.child, flags.corpus, flags.vocab, flags.original)
        return
    names = [ORIGINAL if flags.original else SLOW, RECORDS, SHARDS]
    command = [sys.executable, "-m", "benchmarks.data", f"--corpus={flags.corpus}", f"--vocab={flags.vocab}"]
    command += [f"--original={flags.original}"]
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(flags.rounds):
        for name in names:
            ran = subprocess.run([*command, f"--child={name}"], check=True, capture_output=True, text=True)
            results[name].append(json.loads(ran.stdout))
    megabytes = sum(Path(path).stat().st_size for path in flags.corpus.split(",")) / 1e6
    text = table(results, megabytes, flags.rounds)
    print(text)
    if flags.output:
        flags.output.write_text(text)


def table(results: dict[str, list[dict[str, float]]], megabytes: float, rounds: int) -> str:
    """Medians over the rounds, the first contender being the peer."""
    middle = {
        name: {what: statistics.median(run[what] for run in runs) for what in runs[0]} for name, runs in results.items()
    }
    peer = next(iter(middle.values()))
    lines = [
        "# Text to pre-training data",
        "",
        f"{megabytes:.1f} MB of text, sequences of 128, dupe factor 1, one process each, in turns, "
        f"medians of {rounds} rounds.",
        "",
        "| what | MB/s per core | times the peer | wall seconds | peak memory |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {megabytes / of['cpu']:.2f} | {peer['cpu'] / of['cpu']:.1f} | {of['wall']:.2f} | "
            f"{of['memory'] / 1e6:,.0f} MB |"
            for name, of in middle.items()
        ),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
