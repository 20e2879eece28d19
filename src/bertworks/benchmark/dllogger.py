"""Lines as DLLogger prints them, which NVIDIA's programs use and Lambda's parser reads."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from bertworks.benchmark.results import Entry


def line(step: str | Sequence[int], values: Mapping[str, object], when: datetime.datetime) -> str:
    """Return one line: `DLL 2024-08-02 13:12:34.458872 - PARAMETER SEED : 1 `.

    Args:
        step: "PARAMETER", or (epoch, iteration), or nothing for the results.
        values: name -> value. Each is followed by its unit, which is empty, so there are two blanks between values.
    """
    words = ("Training Epoch: {} ", "Training Iteration: {} ")
    where = step if isinstance(step, str) else "".join(w.format(n) for w, n in zip(words, step, strict=False))
    told = " ".join(f"{name} : {value} " for name, value in values.items())
    return f"DLL {when:%Y-%m-%d %H:%M:%S.%f} - {where} {told}"


def training_log(entry: Entry, turn: int, when: datetime.datetime) -> list[str]:
    """Return the lines of one repeat of a training: its parameters, its steps and its result.

    The throughput is all sequences over the sum of the seconds of all steps, as `run_squad.py` computes it.
    """
    done = entry.turns[turn]
    seconds = sum(done.seconds)
    lines = [
        line("PARAMETER", values, when)
        for values in (
            {"Config": f"{entry.name} {entry.version}, {entry.model}, {entry.precision}, {entry.settings}"},
            {"SEED": 1},
            {"train_start": True},
            {"train_batch_size": entry.sequences},
            {"steps": len(done.seconds)},
        )
    ]
    final = {"step_loss": done.value, "learning_rate": 1e-5}
    lines.append(line((0, len(done.seconds)), final, when))
    results = {
        "e2e_train_time": seconds,
        "training_sequences_per_second": entry.sequences * len(done.seconds) / seconds,
        "final_loss": done.value,
    }
    return [*lines, line((), results, when)]
