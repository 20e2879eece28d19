"""What can be measured against whom, and what is refused; known before anything heavy is imported."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bertworks.benchmark.flags import BenchmarkFlags
from bertworks.benchmark.known_peers import ANSWERS, PEERS, PRECISIONS, VECTORS, Peer
from bertworks.config import BertConfig
from bertworks.errors import InputError

# The tokens that a batch has sequences of, and the longest sequence that there may be, which some peers pad to.
MIXES = {"dense": 128, "mrpc": 128, "squad": 384, "natural": 256, "mixed": 256}


@dataclass(frozen=True, kw_only=True)
class BenchmarkKind:
    """A kind of benchmark. Its inputs are made in `plans.py`, and its columns are in `table.py`.

    Attributes:
        title: of the page.
        passes: of a turn, enough to see how times spread.
        mixes: the lengths that it takes; the first two are measured if none is given.
    """

    title: str
    passes: int = 1
    mixes: tuple[str, ...] = ()


# What opens no model, and what to give instead.
_WITHOUT_MODEL = {
    "tokenize": "bert benchmark tokenize opens no model; give its vocabulary as --vocab_file",
    "data": "bert benchmark data opens no model; give its vocabulary as --vocab_file",
    "memory": "bert benchmark memory opens no model; give a size as --size",
}

# A sequence of two parts with words in each.
_SHORTEST = 8

_OF_TEXTS = ("natural", "dense", "mixed")
KINDS = {
    "train": BenchmarkKind(title="A step of pre-training", passes=2, mixes=("dense", "mrpc", "squad")),
    "finetune": BenchmarkKind(title="A step of fine-tuning", passes=2, mixes=("mrpc", "squad")),
    "encode": BenchmarkKind(title="Texts to vectors", mixes=_OF_TEXTS),
    "latency": BenchmarkKind(title="One text at a time", passes=100, mixes=_OF_TEXTS),
    "serve": BenchmarkKind(title="Serving embeddings", mixes=_OF_TEXTS),
    "tokenize": BenchmarkKind(title="Text to ids"),
    "data": BenchmarkKind(title="Text to pre-training data"),
    "memory": BenchmarkKind(title="Largest batches"),
}


def contestants(flags: BenchmarkFlags) -> list[Peer]:
    """Return who takes part, ours first.

    Raises:
        InputError: `--against` names a library that we do not know, or that does not do this work.
    """
    kind = ANSWERS if flags.like == "nvidia" and flags.what == "latency" else flags.what
    known, against = [peer for peer in PEERS if kind in peer.kinds], flags.against
    if flags.what == "memory" and against not in (None, "none"):
        raise InputError(f"--against={against}: bert benchmark memory has no peers")
    if against is None:
        return known
    wanted = [] if against == "none" else names(against)
    by_name = {peer.name: peer for peer in known}
    for name in wanted:
        if name not in by_name:
            others = {peer.name: [kind for kind in peer.kinds if kind != ANSWERS] for peer in PEERS}
            does = f"takes part in {', '.join(others[name])}, not here" if name in others else "is not known"
            rest = ", ".join(one for one in by_name if one != "bertworks")
            raise InputError(f"--against={against}: {name} {does}; give none, or some of {rest}")
    return [peer for peer in known if peer.name == "bertworks" or peer.name in wanted]


def names(listed: str) -> list[str]:
    """Return the words of a list with commas, each once: two contests of one name would share a table."""
    return list(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))


def pythons(flags: BenchmarkFlags) -> dict[str, str]:
    """Return the Python program of each peer that has an environment of its own.

    Raises:
        InputError: not NAME=PATH, no peer of this name, or no such program.
    """
    found = {}
    for pair in names(flags.peer_python or ""):
        name, equals, path = pair.partition("=")
        if not equals or name not in {peer.name for peer in PEERS}:
            raise InputError(f"--peer_python={pair}: give NAME=PATH, a peer's name and the python of its environment")
        if shutil.which(path) is None:
            raise InputError(f"--peer_python={pair}: {path} is not a program")
        found[name] = str(Path(path).absolute()) if "/" in path else path
    return found


def mixes(flags: BenchmarkFlags) -> list[str]:
    """Return the mixes of lengths to measure: names, or files of lengths.

    Raises:
        InputError: neither a mix that this kind takes nor a file, or two files of one name.
    """
    known = KINDS[flags.what].mixes
    if flags.lengths is None:
        return list(known[:2])
    if not known:
        raise InputError(
            f"--lengths={flags.lengths}: bert benchmark {flags.what} has no mixes of lengths; leave it out"
        )
    found = names(flags.lengths) or [flags.lengths]
    for name in found:
        is_file = flags.what in ("train", "finetune") and Path(name).is_file()
        if name not in known and not is_file:
            file = ", or a file with a length on each line" if flags.what in ("train", "finetune") else ""
            raise InputError(f"--lengths={name}: bert benchmark {flags.what} takes {', '.join(known)}{file}")
    # The folder of a batch and the title of a table have the name.
    if len({Path(name).name for name in found}) < len(found):
        raise InputError(f"--lengths={flags.lengths}: two have one name, by which the tables call them; rename a file")
    return found


def precisions(flags: BenchmarkFlags) -> list[str]:
    """Return what `--precision` lists; "auto" alone stays as it is until the device is known.

    Raises:
        InputError: no such precision.
    """
    found = names(flags.precision)
    for name in found or [flags.precision]:
        if name not in (*PRECISIONS, "auto"):
            raise InputError(f"--precision={name}: give auto, {', '.join(PRECISIONS)}, or several with commas")
    if "int8" in found and flags.what not in (*VECTORS, "serve"):
        raise InputError(f"--precision=int8: only encode, latency and serve compute in int8, not {flags.what}")
    if "bf16" in found and flags.what == "serve":
        raise InputError("--precision=bf16: servers are compared in fp32 and int8")
    return found


def clients(flags: BenchmarkFlags) -> list[int]:
    """Return the numbers of clients that `--clients` lists.

    Raises:
        InputError: no numbers, or nothing is served.
    """
    if flags.what != "serve" and flags.was_given("clients"):
        raise InputError(f"--clients={flags.clients}: is for bert benchmark serve, not for {flags.what}")
    found = names(flags.clients)
    if not found or not all(number.isdecimal() and int(number) for number in found):
        raise InputError(f"--clients={flags.clients}: give numbers with commas between, such as 1,8,64")
    return list(dict.fromkeys(map(int, found)))


def check(flags: BenchmarkFlags) -> None:
    """Refuse what cannot be measured, before anything is imported or made.

    Raises:
        InputError: flags that are wrong, or that contradict each other.
    """
    contestants(flags)
    pythons(flags)
    mixes(flags)
    precisions(flags)
    clients(flags)
    sizes = names(flags.size)
    for size in sizes:
        BertConfig.from_size(size, 100)
    if not sizes or ("," in flags.size and not flags.like and flags.what != "memory"):
        raise InputError(f"--size={flags.size}: give one size; several only with --like and for memory")
    if flags.model and flags.what in _WITHOUT_MODEL:
        raise InputError(f"--model={flags.model}: {_WITHOUT_MODEL[flags.what]}")
    if flags.gb is not None and flags.what != "memory":
        raise InputError(f"--gb={flags.gb:g}: is for bert benchmark memory, not for {flags.what}")
    if 0 < flags.max_seq_length < _SHORTEST:
        raise InputError(f"--max_seq_length={flags.max_seq_length}: must be at least {_SHORTEST}, or 0")
    _check_files(flags)
    options = training_options(flags)
    if options and flags.what not in ("train", "finetune"):
        raise InputError(f"--{next(iter(options))}: is for train and finetune, not for {flags.what}")
    if flags.like == "lambda" and flags.what != "finetune":
        raise InputError("--like=lambda: Lambda's benchmark is fine-tuning; run bert benchmark finetune --like=lambda")
    if flags.like == "nvidia" and flags.what not in ("train", "finetune", "latency"):
        raise InputError(f"--like=nvidia: has tables for train, finetune and latency, not for {flags.what}")
    fixed = {"lengths": flags.lengths, "model": flags.model}
    if flags.like == "lambda":
        fixed["max_seq_length"] = str(flags.max_seq_length or "")
    if flags.like and (given := next((name for name, value in fixed.items() if value), "")):
        raise InputError(f"--{given}: --like={flags.like} says what is measured; leave one of them out")


def training_options(flags: BenchmarkFlags) -> dict[str, str]:
    """Return how ours trains where that is not as the commands do by default, as options of an order."""
    given = {
        "compile": flags.compile,
        "gradient_checkpointing": flags.gradient_checkpointing,
        "optimizer_bits": flags.optimizer_bits if flags.optimizer_bits != "32" else "",
    }
    return {name: str(value) for name, value in given.items() if value}


def _check_files(flags: BenchmarkFlags) -> None:
    needed: Sequence[tuple[str, str | None]] = (("vocab_file", flags.vocab_file), ("train_file", flags.train_file))
    for name, path in needed:
        if path is not None and not Path(path).is_file():
            raise InputError(f"--{name}={path}: no such file")
    if flags.original is not None and not (Path(flags.original) / "create_pretraining_data.py").is_file():
        raise InputError(
            f"--original={flags.original}: has no create_pretraining_data.py; give a checkout of the original"
        )
