"""What runs left in their output folders, side by side: flags, results, and the predictions for the same dev rows."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from bertworks.errors import InputError, damage_named

# Files of results, in the order in which they are shown.
_RESULTS = ("eval_results.json", "test_scores.json")
_PREDICTIONS = "dev_predictions.tsv"

# Flags that differ in every run and say nothing.
_OF_THE_FOLDER = ("output_dir",)


def compared(folders: Sequence[Path]) -> dict[str, Any]:
    """Return what differs between runs.

    Returns:
        runs: the folders; flags: flag -> its value in each run, of those that differ; results: name -> likewise, all of
        them; predictions: for each two runs with predictions of the same rows, see `_pair`.

    Raises:
        InputError: a folder holds no run.
    """
    flags, results = [flags_of(folder) for folder in folders], [results_of(folder) for folder in folders]
    for folder, of_flags, of_results in zip(folders, flags, results, strict=True):
        if not of_flags and not of_results:
            raise InputError(f"--runs: {folder} holds no run (no flags.toml and no {_RESULTS[0]})")
    names = dict.fromkeys(name for of in flags for name in of if name not in _OF_THE_FOLDER)
    values = {name: [of.get(name) for of in flags] for name in names}
    known = [i for i, of in enumerate(flags) if of]  # a run that only evaluated or predicted leaves no flags
    predictions = [_predictions(folder) for folder in folders]
    pairs = [
        {"runs": [i, j], **found}
        for i, j in combinations(range(len(folders)), 2)
        if (found := _pair(predictions[i], predictions[j]))
    ]
    return {
        "runs": [str(folder) for folder in folders],
        "flags": {name: of for name, of in values.items() if any(of[i] != of[known[0]] for i in known)},
        "results": {name: [of.get(name) for of in results] for name in dict.fromkeys(n for of in results for n in of)},
        "predictions": pairs,
    }


def flags_of(folder: Path) -> dict[str, Any]:
    """Return the flags of the run in a folder; {} if it left none."""
    path = folder / "flags.toml"
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not a TOML file ({error})") from None


def results_of(folder: Path) -> dict[str, float]:
    """Return the results in a folder, on the dev set and on the test set."""
    found: dict[str, float] = {}
    for name in _RESULTS:
        path = folder / name
        if path.is_file():
            with damage_named(path, "write it again with --do_eval"):
                found |= {name: float(value) for name, value in json.loads(path.read_bytes()).items()}
    return found


def _predictions(folder: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a run's predictions by id; none without a file, or without labels."""
    path = folder / _PREDICTIONS
    if not path.is_file():
        return {}
    with damage_named(path, "write it again with --do_eval"):
        header, *lines = (line.split("\t") for line in path.read_text(encoding="utf-8").split("\n"))
    rows = [dict(zip(header, line, strict=False)) for line in lines if line != [""]]
    return {row["id"]: row for row in rows} if {"id", "label", "prediction"} <= set(header) else {}


def _pair(one: Mapping[str, Mapping[str, str]], other: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return how often both runs are right, one, or none, on the rows that both have; {} if there are no such rows.

    `of` has the rows of each run, `other_labels` how many are in both with different labels. `chance` is the
    probability of a difference at least as large if both were equally good (McNemar's exact test).
    """
    shared = [name for name, row in one.items() if name in other and row["label"] == other[name]["label"]]
    if not shared or "error" in next(iter(one.values())):
        return {}
    right = [tuple(of[name]["prediction"] == of[name]["label"] for of in (one, other)) for name in shared]
    first, second = right.count((True, False)), right.count((False, True))
    differ = [
        {
            "id": name,
            "text": one[name].get("text", ""),
            "label": one[name]["label"],
            "predictions": [one[name]["prediction"], other[name]["prediction"]],
        }
        for name, (a, b) in zip(shared, right, strict=True)
        if a != b
    ]
    return {
        "rows": len(shared),
        "of": [len(one), len(other)],
        "other_labels": sum(name in other for name in one) - len(shared),
        "both": right.count((True, True)),
        "only": [first, second],
        "none": right.count((False, False)),
        "chance": _chance(first, second),
        "differ": differ,
    }


def _chance(first: int, second: int) -> float:
    """Return the two-sided probability of such a split of first + second tosses of a fair coin."""
    tosses, fewer = first + second, min(first, second)
    # Whole numbers of any size, divided at the end.
    tail = sum(math.comb(tosses, k) for k in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**tosses))


def table(found: Mapping[str, Any], show: int) -> str:
    """Return a comparison as lines for a person, with the first rows that only one of two runs gets right."""
    heads = _short(found["runs"])
    lines = [f"{head}: {run}" for head, run in zip(heads, found["runs"], strict=True) if head != run]
    lines += ["", *_block("flags that differ", found["flags"], heads)] if found["flags"] else ["", "no flag differs"]
    lines += ["", *_block("results", found["results"], heads)] if found["results"] else ["", "no results"]
    for pair in found["predictions"]:
        one, other = (heads[i] for i in pair["runs"])
        lines += [
            "",
            f"{_of_all(pair)}: both right {pair['both']:,}, only {one} {pair['only'][0]:,}, "
            f"only {other} {pair['only'][1]:,}, none {pair['none']:,}",
            f"by chance alone the difference would be as large with a probability of {pair['chance']:.3g}",
        ]
        for row in pair["differ"][:show]:
            a, b = row["predictions"]
            lines.append(f"  {row['id']}: {row['label']} ({one}: {a}, {other}: {b})  {row['text']:.70}")
    return "\n".join(lines).strip()


def _of_all(pair: Mapping[str, Any]) -> str:
    """Return how many dev rows two runs share, and what is not compared."""
    rows, sizes, relabelled = pair["rows"], pair["of"], pair["other_labels"]
    if sizes == [rows, rows]:
        return f"{rows:,} dev rows"
    others = f"; {relabelled:,} more have another label" if relabelled else ""
    return (
        f"the dev sets differ, so their results are of different rows; {rows:,} rows of {sizes[0]:,} and {sizes[1]:,} "
        f"are in both{others}. Of these"
    )


def _short(runs: Sequence[str]) -> list[str]:
    """Return the last parts of paths, where they differ."""
    names = [Path(run).name for run in runs]
    return names if len(set(names)) == len(names) else list(runs)


def _block(title: str, rows: Mapping[str, Sequence[Any]], heads: Sequence[str]) -> list[str]:
    """Return a table with a row for each name and a column for each run."""
    cells = [[title, *heads], *([name, *map(_cell, values)] for name, values in rows.items())]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
