"""Write the ledger's tables and curves into docs/recipes.md, from the file of results.

python -m benchmarks.recipes.page
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.recipes.plans import BASELINE
from benchmarks.recipes.run import read_results

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- ledger: written by benchmarks/recipes/page.py -->", "<!-- end of the ledger -->"

# What the trainings of a table have in common.
_SAME = ("corpus", "size", "max_seq_length", "minutes")


def main(words: Sequence[str] | None = None) -> None:
    """Write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "recipes.jsonl")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "recipes.md")
    parser.add_argument("--pictures", type=Path, default=ROOT / "docs" / "pictures")
    flags = parser.parse_args(words)
    results = read_results(flags.results)
    parts = []
    for same in dict.fromkeys(tuple(found["key"][name] for name in _SAME) for found in results):
        of_table = [found for found in results if tuple(found["key"][name] for name in _SAME) == same]
        name = re.sub(r"[^\w]+", "_", "recipes_" + "_".join(map(str, same)))
        draw(of_table, flags.pictures / f"{name}.png")
        parts.append(table(of_table) + f"\n![Held-out masked words]({flags.pictures.name}/{name}.png)\n")
    text = flags.page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    flags.page.write_text(f"{before}{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}{after}", encoding="utf-8")


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error, which is not a number for a single value."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def at_tokens(curve: Sequence[dict[str, float]], tokens: float) -> float | None:
    """Return the accuracy after so many tokens, in a line between its neighbours; None outside of the curve."""
    for one, other in pairwise(curve):
        if one["tokens"] <= tokens <= other["tokens"]:
            share = (tokens - one["tokens"]) / max(other["tokens"] - one["tokens"], 1)
            return one["masked_lm_accuracy"] + share * (other["masked_lm_accuracy"] - one["masked_lm_accuracy"])
    return None


def tokens_to(curve: Sequence[dict[str, float]], accuracy: float) -> float | None:
    """Return how many tokens a curve takes to an accuracy, in a line between its neighbours; None if it does not."""
    for one, other in pairwise(curve):
        if one["masked_lm_accuracy"] < accuracy <= other["masked_lm_accuracy"]:
            share = (accuracy - one["masked_lm_accuracy"]) / (other["masked_lm_accuracy"] - one["masked_lm_accuracy"])
            return one["tokens"] + share * (other["tokens"] - one["tokens"])
    return curve[0]["tokens"] if curve and curve[0]["masked_lm_accuracy"] >= accuracy else None


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the table of trainings with one corpus, size and time: those that are reported, and the grids tried."""
    key = results[0]["key"]
    reported = [found for found in results if "report" in found]
    rows = list(dict.fromkeys(found["key"]["row"] for found in reported))
    of_row = {row: _of_best_point([found for found in reported if found["key"]["row"] == row]) for row in rows}
    tasks = list(dict.fromkeys(task for found in reported for task in found.get("finetuning", {})))
    base = of_row.get(BASELINE, [])
    base_tokens = base[0]["tokens"] if base else math.nan
    base_accuracy = base[0]["choose"]["masked_lm_accuracy"] if base else math.nan
    heads = ["row", "held-out words, texts", "pairs", "tokens", "steps", "minutes", "at the baseline's tokens"]
    heads += ["tokens to the baseline's end", *tasks, "seeds"]
    lines = [
        f"### {key['corpus']}: {key['size']}, length {key['max_seq_length']}, {key['minutes']:g} minutes",
        "",
        f"On {results[0]['machine']}. Masked words right at 15 % masks, on documents that nothing else touched.",
        "",
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
    ]
    for row in rows:
        found = of_row[row]
        curve = found[0]["curve"]
        cells = [
            _shown([one["report"]["masked_lm_accuracy"] for one in found]),
            _shown([one["report_pairs"]["masked_lm_accuracy"] for one in found]),
            f"{found[0]['tokens'] / 1e6:.2f} M",
            f"{found[0]['steps']:,}",
            f"{found[0]['seconds'] / 60:.1f}",
            _or_none(at_tokens(curve, base_tokens), "{:.3f}"),
            _or_none(None if (to := tokens_to(curve, base_accuracy)) is None else to / 1e6, "{:.2f} M"),
        ]
        cells += [_shown([v for one in found for v in one.get("finetuning", {}).get(task, [])]) for task in tasks]
        lines.append("| " + " | ".join([row, *cells, str(len(found))]) + " |")
    grids = [
        f"- {row} ({found['what']}): " + "; ".join(_tried(results, row))
        for row in rows
        if (found := of_row[row][0]) and found["what"]
    ]
    return "\n".join(
        [*lines, "", "What the rows are, and what their grids gave on the choosing documents:", "", *grids, ""]
    )


def _of_best_point(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the results of the point that has the most seeds, the better one of equals."""
    points = dict.fromkeys(one["key"]["point"] for one in found)
    by_point = [[one for one in found if one["key"]["point"] == point] for point in points]
    return max(by_point, key=lambda ones: (len(ones), ones[0]["choose"]["masked_lm_accuracy"]))


def _tried(results: Sequence[dict[str, Any]], row: str) -> list[str]:
    of_row = [found for found in results if found["key"]["row"] == row]
    seed = of_row[0]["key"]["seed"]
    return [
        f"{found['key']['point'] or 'no grid'}: {found['choose']['masked_lm_accuracy']:.3f}"
        for found in of_row
        if found["key"]["seed"] == seed
    ]


def _shown(values: Sequence[float]) -> str:
    if not values:
        return "not measured"
    mean, error = mean_and_error(values)
    return f"{mean:.3f}" if math.isnan(error) else f"{mean:.3f} ± {error:.3f}"


def _or_none(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else form.format(value)


def draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the curves of the reported rows, over time and over tokens."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    over_time, over_tokens = figure.subplots(1, 2, sharey=True)
    reported = [found for found in results if "report" in found and found["key"]["row"] != "random"]
    for row in dict.fromkeys(found["key"]["row"] for found in reported):
        found = _of_best_point([one for one in reported if one["key"]["row"] == row])[0]
        right = [point["masked_lm_accuracy"] for point in found["curve"]]
        over_time.plot([point["seconds"] / 60 for point in found["curve"]], right, marker=".", label=row)
        over_tokens.plot([point["tokens"] / 1e6 for point in found["curve"]], right, marker=".", label=row)
    over_time.set(xlabel="minutes of training", ylabel="held-out masked words right")
    over_tokens.set(xlabel="million tokens")
    for axes in (over_time, over_tokens):
        axes.grid(alpha=0.3)
    if over_time.lines:
        over_time.legend(fontsize="x-small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
