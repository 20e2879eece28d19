"""The BERT part of Lambda Labs' benchmark: fine-tuning on SQuAD 1.1 at 384 tokens, and the files of its tools.

https://github.com/lambdal/deeplearning-benchmark: Base and Large, two precisions, three repeats of 100 steps with the
largest batch that fits. Its `compile_results_pytorch_v2.py` reads a log for each repeat in `results_v2/SYSTEM/TASK/`,
`check.py` looks for "DONE!", `benchmark.para` has the batch size, and the charts are drawn from its CSV files. There
FP16 is a mixed precision of 16 bits; ours is bf16. Its programs pad every sequence to 384 tokens; ours do not.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from bertworks.benchmark import choices, inputs
from bertworks.benchmark.contest import Absent, Contest, Contestant
from bertworks.benchmark.dllogger import training_log
from bertworks.benchmark.plans import Batch, make_model, step_contest
from bertworks.benchmark.processes import NoMemoryError, tells_no_memory
from bertworks.benchmark.results import BenchmarkReport, Entry
from bertworks.benchmark.surroundings import Surroundings
from bertworks.errors import InputError
from bertworks.progress import say

LENGTH = 384
_CPU_BATCH = 8  # on CPU no batch is too large, and larger ones are no faster
_NAMES = {"fp32": "FP32", "bf16": "FP16"}
# The columns of its tables, in its order; what we do not run is 0 there, as what it has no results of.
_COLUMNS = ("ssd", "bert_base_squad", "bert_large_squad", "gnmt", "resnet50", "tacotron2", "waveglow")


def plan(around: Surroundings) -> tuple[list[str], list[Contest]]:
    """Make the inputs, and on a GPU find the largest batches; return sentences, and the contests."""
    corpus, contests = inputs.read_corpus(around.flags.corpus, around.folder), []
    for size in around.sizes:
        model = make_model(around, "span", corpus, size)
        for precision in around.precisions():
            batch = _batch(around, model, precision, corpus)
            name = f"BERT-{size.capitalize()}, SQuAD at {LENGTH}, {precision}, batches of {batch.count}"
            contests.append(
                step_contest(
                    around, model, batch, corpus, name=name, options=_options(around), precisions=[precision], best=True
                )
            )
    source = "SQuAD's training windows" if around.flags.train_file else "drawn with the mean of SQuAD's, 172 tokens"
    largest = (
        "given" if around.flags.batch_size else "the largest that fits" if _has_gpu(around) else f"{_CPU_BATCH}, on CPU"
    )
    return [f"As Lambda Labs' benchmark: lengths {source}, cut at {LENGTH}; the batch size is {largest}."], contests


def _options(around: Surroundings) -> dict[str, str]:
    """Return the options of an order; the batch is computed at once, as there."""
    return {"token_budget": str(1 << 40), **choices.training_options(around.flags)}


def _has_gpu(around: Surroundings) -> bool:
    return around.device.type == "cuda"


def _batch(around: Surroundings, model: inputs.SharedModel, precision: str, corpus: inputs.SharedText) -> Batch:
    def batch(count: int) -> Batch:
        return Batch(work="span", mix="squad", count=count, longest=LENGTH)

    def fits(count: int) -> bool:
        contest = step_contest(
            around, model, batch(count), corpus, options=_options(around), precisions=[precision], best=True
        )
        return started_and_fits(contest.entrants[0])

    if around.flags.batch_size or not _has_gpu(around):
        return batch(around.flags.batch_size or _CPU_BATCH)
    count = largest(fits)
    say(f"{model.name}, {precision}: the largest batch is {count}")
    return batch(count)


def started_and_fits(ours: AbstractContextManager[Contestant | Absent]) -> bool:
    """Tell whether a pass over its work fits into memory.

    Raises:
        InputError: it failed for another reason.
    """
    try:
        with ours as started:
            if isinstance(started, Absent) and not tells_no_memory(started.reason):
                raise InputError(started.reason)
            if isinstance(started, Contestant):
                started.turn(1)
            return isinstance(started, Contestant)
    except NoMemoryError:
        return False


def largest(fits: Callable[[int], bool], first: int = 8) -> int:
    """Return the largest batch that fits, to a sixteenth: doubled until one does not fit, then halved in between."""
    low, high = 0, first
    while fits(high):
        low, high = high, 2 * high
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    if low == 0:
        raise InputError("--like=lambda: not even one sequence fits into this device's memory")
    return low


def pages(report: BenchmarkReport, system: str) -> dict[str, str]:
    """Return the files of its tools, by their paths.

    Args:
        system: what the machine is called there; a contestant's name is put before.
    """
    files: dict[str, str] = {}
    throughput: dict[str, dict[str, dict[str, int]]] = {"fp32": {}, "fp16": {}}
    batches: dict[str, dict[str, dict[str, int]]] = {"fp32": {}, "fp16": {}}
    for entry in (entry for entry in report.entries if entry.turns):
        name = _system(entry, system)
        model, precision = f"bert_{entry.model.replace('/', '_')}_squad", _NAMES[entry.precision]
        folder = f"results_v2/{name}/PyTorch_{model}_{precision}"
        rates = []
        for number, turn in enumerate(entry.turns):
            # A second apart, because the time is the file's name.
            when = datetime.datetime.fromisoformat(report.machine.date) + datetime.timedelta(seconds=number)
            log = [*training_log(entry, number, when), "DONE!"]
            files[f"{folder}/{when:%d-%m-%Y_%H-%M-%S}.txt"] = "\n".join(log) + "\n"
            rates.append(entry.sequences * len(turn.seconds) / sum(turn.seconds))
        files[f"{folder}/benchmark.para"] = f"GLOBAL_BATCH {entry.sequences}\nGPU 1\n"
        kind = precision.lower()
        throughput[kind].setdefault(name, {})[model] = int(round(sum(rates) / len(rates), 2))
        batches[kind].setdefault(name, {})[model] = entry.sequences
    for kind in ("fp32", "fp16"):
        files[f"pytorch-train-throughput-v2-{kind}.csv"] = _table("", throughput[kind])
        files[f"pytorch-train-bs-{kind}.csv"] = _table("name_gpu", batches[kind])
    return files


def _system(entry: Entry, system: str) -> str:
    setting = "" if entry.is_ours else f"-{entry.settings.partition(':')[0]}"
    return re.sub(r"[^A-Za-z0-9-]+", "-", f"{entry.name}{setting}") + f"_1x_{re.sub(r'[^A-Za-z0-9]+', '-', system)}_v2"


def _table(index: str, systems: Mapping[str, Mapping[str, int]]) -> str:
    """Return a table of its tools: a line for each system, a column for each model."""
    found: Sequence[str] = [column for values in systems.values() for column in values if column not in _COLUMNS]
    columns = [*_COLUMNS, *dict.fromkeys(found)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([index, *columns])
    for name, values in sorted(systems.items()):
        writer.writerow([name, *(values.get(column, 0) for column in columns)])
    return stream.getvalue()
