"""The tables and lines of NVIDIA's DeepLearningExamples: training, and inference by model, length and batch.

https://github.com/NVIDIA/DeepLearningExamples, PyTorch and TensorFlow2, LanguageModeling/BERT: pre-training at 128 and
512 tokens and fine-tuning on SQuAD at 384, in two precisions; for inference a grid with the mean and the percentiles of
the latency of a batch. All sequences have the full length, as there.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from bertworks.benchmark import choices, inputs
from bertworks.benchmark.contest import Contest
from bertworks.benchmark.dllogger import training_log
from bertworks.benchmark.plans import DEFAULT_BATCH_SIZE, Batch, longest_of, make_model, step_contest
from bertworks.benchmark.results import BenchmarkReport, Entry
from bertworks.benchmark.surroundings import Surroundings

_LENGTHS = {"train": (128, 512), "finetune": (384,), "latency": (128, 384)}
_WORKS = {"train": "pretrain", "finetune": "span", "latency": "predict"}
_BATCHES = (1, 2, 4, 8)


def plan(around: Surroundings) -> tuple[list[str], list[Contest]]:
    """Make the inputs of all cells of the tables; return sentences about them, and the contests."""
    flags, contests = around.flags, []
    corpus = inputs.read_corpus(flags.corpus, around.folder)
    work = _WORKS[flags.what]
    counts = _BATCHES if flags.what == "latency" and not flags.batch_size else (flags.batch_size or DEFAULT_BATCH_SIZE,)
    options = choices.training_options(flags)
    for size in around.sizes:
        model = make_model(around, work, corpus, size)
        lengths = (longest_of(around, "dense", model),) if flags.max_seq_length else _LENGTHS[flags.what]
        for length in lengths:
            for count in counts:
                name = f"BERT-{size.capitalize()}, {length} tokens, batches of {count}"
                batch = Batch(work=work, mix="dense", count=count, longest=length)
                contests.append(step_contest(around, model, batch, corpus, name=name, options=options))
    return ["As NVIDIA's DeepLearningExamples: all sequences have the full length."], contests


def pages(report: BenchmarkReport) -> dict[str, str]:
    """Return its lines and its tables, by the names of their files."""
    when = datetime.datetime.fromisoformat(report.machine.date)
    measured = [entry for entry in report.entries if entry.turns]
    if report.kind == "latency":
        lines = [line for entry in measured for line in _latency_log(entry)]
        tables = [table for name in _contestants(measured) for table in _grid(name, measured)]
    else:
        lines = [line for e in measured for n in range(len(e.turns)) for line in training_log(e, n, when)]
        tables = [_training_table(name, measured) for name in _contestants(measured)]
    return {"nvidia.log": "\n".join(lines) + "\n", "nvidia.md": "\n\n".join(tables) + "\n"}


def _contestants(entries: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(_who(entry) for entry in entries))


def _who(entry: Entry) -> str:
    """Return a contestant and its setting, without what depends on the precision."""
    return entry.name if entry.is_ours else f"{entry.name} ({entry.settings.partition(':')[0]})"


def _latency_log(entry: Entry) -> list[str]:
    """Return the lines of an inference, as `run_squad.py` of the TensorFlow versions prints them."""
    lines = [f"# {_who(entry)}, {entry.contest}, {entry.precision}"]
    levels = (50, 90, 95, 99, 100)
    lines += [f"Latency Confidence Level {n} (ms) = {1000 * entry.percentile(n):0.2f}" for n in levels]
    mean = sum(entry.passes) / len(entry.passes)
    lines.append(f"Latency Average (ms) = {1000 * mean:0.2f}")
    lines.append(f"Throughput Average (sentences/sec) = {entry.sequences / mean:0.2f}")
    return lines


def _grid(who: str, entries: Sequence[Entry]) -> list[str]:
    """Return a table for each model and precision; bf16 has the speed-up over fp32 too."""
    tables = []
    own = [entry for entry in entries if _who(entry) == who]
    for model, precision in dict.fromkeys((entry.model, entry.precision) for entry in own):
        cells = [entry for entry in own if (entry.model, entry.precision) == (model, precision)]
        exact = {e.contest: _mean(e) for e in own if e.precision == "fp32" and precision != "fp32"}
        speedup = ["Throughput speedup (FP32 to mixed precision)"] if exact else []
        titles = ["Sequence Length", "Batch Size", "Throughput-Average(seq/sec)", *speedup]
        titles += ["Latency-Average(ms)", *(f"Latency-{n}%(ms)" for n in (50, 90, 95, 99))]
        rows = [
            [
                str(entry.longest),
                str(entry.sequences),
                f"{entry.sequences / _mean(entry):.2f}",
                # In fp32 it may not have been measured, for want of memory.
                *([f"{exact[entry.contest] / _mean(entry):.2f}" if entry.contest in exact else ""] if exact else []),
                f"{1000 * _mean(entry):.2f}",
                *(f"{1000 * entry.percentile(n):.2f}" for n in (50, 90, 95, 99)),
            ]
            for entry in cells
        ]
        tables.append(_markdown(f"{who}: BERT-{model.upper()} {precision.upper()}", titles, rows))
    return tables


def _mean(entry: Entry) -> float:
    return sum(entry.passes) / len(entry.passes)


def _training_table(who: str, entries: Sequence[Entry]) -> str:
    """Return the table of training: a line for each model and length, both precisions beside each other."""
    titles = ["GPUs", "Model", "Batch size / GPU", "Sequence length", "Throughput - FP32(sequences/sec)"]
    titles += ["Throughput - mixed precision(sequences/sec)", "Throughput speedup (FP32 to mixed precision)"]
    own = [entry for entry in entries if _who(entry) == who]
    rows = []
    for contest in dict.fromkeys(entry.contest for entry in own):
        by_precision = {entry.precision: entry for entry in own if entry.contest == contest}
        first = next(iter(by_precision.values()))
        speeds = {name: entry.sequences / _mean(entry) for name, entry in by_precision.items()}
        told = [f"{speeds[name]:.1f}" if name in speeds else "" for name in ("fp32", "bf16")]
        both = f"{speeds['bf16'] / speeds['fp32']:.2f}" if len(speeds) > 1 else ""
        rows.append(["1", first.model, str(first.sequences), str(first.longest), *told, both])
    return _markdown(who, titles, rows)


def _markdown(title: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles), *rows)]
    return "\n".join([f"{title}\n", *lines])
