"""Learning a vocabulary beside `tokenizers`: time, memory, and how well the result fits other text.

    python -m benchmarks.vocabulary --train=TEXT.txt --test=OTHER.txt [--rounds=3] [--output=TABLE.md]

Contenders take turns. Each run is a process of its own, timed after its imports from opening the file to having the
vocabulary. All learn as many pieces beside the special tokens, at least two occurrences to a merge, lower-cased.
Tokens per word are those of greedy longest match over the words of the test file, for every vocabulary alike.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bertworks.files import write_text
from bertworks.text.vocab_file import read_vocab, write_vocab
from bertworks.text.vocabulary import ALPHABET, learn_vocabulary, special_tokens, tokens_per_word
from bertworks.text.word_counts import count_words

# The special tokens that `tokenizers` puts into a vocabulary; ours has [unusedN] beside them.
_THEIR_SPECIALS = 5


def bertworks(train: Path, vocab_size: int, workers: int) -> Callable[[], list[str]]:
    """Ours."""
    return lambda: learn_vocabulary(
        count_words([train], num_workers=workers).counts, vocab_size, alphabet_limit=ALPHABET
    )


def hugging_face(train: Path, vocab_size: int) -> Callable[[], list[str]]:
    """The trainer of `tokenizers`, without what we spend on [unusedN]."""
    from tokenizers import BertWordPieceTokenizer

    pieces = vocab_size - len(special_tokens()) + _THEIR_SPECIALS

    def learn() -> list[str]:
        tokenizer = BertWordPieceTokenizer(lowercase=True)
        tokenizer.train(str(train), vocab_size=pieces, min_frequency=2, limit_alphabet=ALPHABET, show_progress=False)
        vocab = tokenizer.get_vocab()
        return sorted(vocab, key=lambda piece: vocab[piece])

    return learn


CONTENDERS: dict[str, tuple[Callable[[Path, int], Callable[[], list[str]]], dict[str, str]]] = {
    "`tokenizers`, 1 thread": (hugging_face, {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}),
    "`tokenizers`, all threads": (hugging_face, {"TOKENIZERS_PARALLELISM": "true"}),
    "**bertworks**, 1 worker": (lambda train, size: bertworks(train, size, 1), {}),
    "**bertworks**, 2 workers": (lambda train, size: bertworks(train, size, 2), {}),
}


def main() -> None:
    """Measure, print, and write the table where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="text to learn from")
    parser.add_argument("--test", type=Path, required=True, help="text to count tokens per word on")
    parser.add_argument("--vocab_size", type=int, default=30522)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="where the table goes too")
    parser.add_argument("--run", choices=CONTENDERS, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.run:
        _run(flags.run, flags.train, flags.vocab_size, flags.output)
        return
    table = _table(flags.train, flags.test, flags.vocab_size, flags.rounds)
    print(table)
    if flags.output:
        write_text(flags.output, table)


def _run(name: str, train: Path, vocab_size: int, output: Path) -> None:
    """One run in this process: the vocabulary to a file, what it took to standard output."""
    learn = CONTENDERS[name][0](train, vocab_size)
    begin, begin_processor = time.perf_counter(), _processor_seconds()
    vocabulary = learn()
    seconds, processor = time.perf_counter() - begin, _processor_seconds() - begin_processor
    write_vocab(output, vocabulary)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "processor": processor, "megabytes": megabytes}))


def _processor_seconds() -> float:
    """Processor time of this process and of those it has waited for."""
    return sum(os.times()[:4])


def _table(train: Path, test: Path, vocab_size: int, rounds: int) -> str:
    """All contenders in turns, and what their vocabularies do."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:
        vocabularies = {name: Path(folder, str(number)) for number, name in enumerate(CONTENDERS)}
        for _ in range(rounds):
            for name, (_, environment) in CONTENDERS.items():
                words = [
                    sys.executable,
                    "-m",
                    "benchmarks.vocabulary",
                    f"--run={name}",
                    f"--train={train}",
                    f"--test={test}",
                ]
                words += [f"--vocab_size={vocab_size}", f"--output={vocabularies[name]}"]
                done = subprocess.run(words, env=os.environ | environment, check=True, stdout=subprocess.PIPE)
                runs[name].append(json.loads(done.stdout))
        learned = {name: read_vocab(path) for name, path in vocabularies.items()}
    test_words, train_words = count_words([test]).counts, count_words([train]).counts
    reference = next(iter(CONTENDERS))
    base_fit = tokens_per_word(test_words, learned[reference])
    base_seconds = statistics.median(run["seconds"] for run in runs[reference])
    rows = []
    for name, vocabulary in learned.items():
        seconds, processor, megabytes = (
            statistics.median(run[key] for run in runs[name]) for key in ("seconds", "processor", "megabytes")
        )
        on_train, on_test = tokens_per_word(train_words, vocabulary), tokens_per_word(test_words, vocabulary)
        rows.append(
            f"| {name} | {len(vocabulary):,} | {seconds:.2f} | {seconds / base_seconds:.2f} | {processor:.2f} "
            f"| {megabytes:.0f} | {on_train:.4f} | {on_test:.4f} | {on_test / base_fit - 1:+.2%} |"
        )
    return _heading(train, test, vocab_size, rounds) + "\n".join(rows) + "\n"


def _heading(train: Path, test: Path, vocab_size: int, rounds: int) -> str:
    """What was measured, where and with which versions."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "tokenizers"))
    return (
        "# Learning a vocabulary\n\n"
        f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}.\n"
        f"{vocab_size:,} pieces ([unusedN] among ours) from {train.name} ({train.stat().st_size / 1e6:.1f} MB), tested "
        f"on {test.name}. Medians of {rounds} rounds in turns. Made by `benchmarks/vocabulary.py`.\n\n"
        "| learner | pieces | seconds | ratio | processor seconds | peak MB of the process "
        "| tokens per word, training text | test text | test text, against the first |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )


def _processor() -> str:
    """The processor's name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


if __name__ == "__main__":
    main()
