"""The facts of a card, read from what a run left in the folder of its model."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertworks.card.record import read_object, read_record
from bertworks.errors import InputError
from bertworks.run_folders import flags_of, results_of

# The confusions that a card shows.
_CONFUSIONS = 8

# Results that are no quality of a model, or stand there twice.
_NO_RESULTS = {"global_step", "loss"}


@dataclass(frozen=True)
class Confusion:
    """How often one thing was taken for another; "" as `gold` or `found` means nothing."""

    gold: str
    found: str
    times: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a model and its training. What is not known is None, "" or empty.

    Attributes:
        name: of the folder.
        config: config.json.
        record: card.json, see `record.record_training`.
        flags: flags.toml.
        results: name -> value, on the dev set (eval_...) and the test set (test_...).
        seeds: seeds.json, of a training with several.
        confusions: the commonest first.
        trainings: how many there were, one for each seed.
        steps, tokens, seconds: of all of them together, as metrics.jsonl counts them.
    """

    name: str
    config: Mapping[str, Any]
    record: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, float] = field(default_factory=dict)
    seeds: Mapping[str, Any] = field(default_factory=dict)
    confusions: Sequence[Confusion] = ()
    trainings: int = 1
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def architecture(self) -> str:
        """Hugging Face's class of the model; "" if the folder does not say."""
        return str(next(iter(self.config.get("architectures") or ()), ""))


def facts_of(folder: Path) -> Facts:
    """Read a model folder.

    Raises:
        InputError: it is no model folder, or nothing was trained there, or a file in it is damaged.
    """
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: is no model folder (it has no config.json)")
    seeds = read_object(folder / "seeds.json")
    of_seeds = [folder / f"seed-{seed}" for seed in seeds.get("seeds", ())]
    trained = folder / f"seed-{seeds['best']}" if "best" in seeds else folder
    flags, record = flags_of(trained), {**read_record(trained), **read_record(folder)}
    if not flags and not record:
        raise InputError(f"{folder}: holds no training (no flags.toml); a card says what a training left there")
    work = [_work(one / "metrics.jsonl") for one in of_seeds or [folder]]
    config = read_object(folder / "config.json")
    return Facts(
        name=folder.resolve().name,
        config=config,
        record=record,
        flags=flags,
        results={name: value for name, value in _results(folder).items() if name not in _NO_RESULTS},
        seeds=seeds,
        confusions=[] if "BertForMultipleChoice" in config.get("architectures", ()) else _confusions(folder),
        trainings=len(work),
        steps=sum(steps for steps, _, _ in work),
        tokens=sum(tokens for _, tokens, _ in work),
        seconds=sum(seconds for _, _, seconds in work),
    )


def _work(path: Path) -> tuple[int, int, float]:
    """Return the steps, tokens and seconds that metrics.jsonl counts; a last line that a kill cut short is left out."""
    steps, tokens, seconds = 0, 0, 0.0
    if path.is_file():
        with path.open(encoding="utf-8") as stream:
            for text in stream:
                try:
                    line = json.loads(text)
                except ValueError:
                    break
                steps = max(steps, line.get("step", 0))
                tokens, seconds = tokens + line.get("tokens", 0), seconds + line.get("seconds", 0.0)
    return steps, tokens, seconds


def _results(folder: Path) -> dict[str, float]:
    """Return the results as JSON has them; of a pre-training, which writes none, those of eval_results.txt."""
    found = results_of(folder)
    path = folder / "eval_results.txt"
    if not found and path.is_file():
        pairs = (line.partition(" = ") for line in path.read_text(encoding="utf-8").splitlines())
        found = {name: float(value) for name, _, value in pairs if value}
    return {name: value for name, value in found.items() if isinstance(value, int | float) and math.isfinite(value)}


def _confusions(folder: Path) -> list[Confusion]:
    """Count what a classifier or a tagger took for what on the dev set."""
    pairs: Counter[tuple[str, str]] = Counter()
    for row in _rows(folder / "dev_errors.tsv", ("gold type", "predicted type")):
        pairs[row.get("gold type", ""), row.get("predicted type", "")] += 1
    # Only of a classifier with one class for a text; the others have no such probabilities, or several classes.
    for row in _rows(folder / "dev_predictions.tsv", ("label", "prediction", "probability")):
        if row.get("label") != row.get("prediction"):
            pairs[row.get("label", ""), row.get("prediction", "")] += 1
    return [Confusion(*pair, times) for pair, times in pairs.most_common(_CONFUSIONS)]


def _rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a table of ours that has these columns. Its fields have neither tabs nor line ends."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="\n") as stream:
        names = next(stream, "").rstrip("\n").split("\t")
        if set(columns) <= set(names):
            for line in stream:
                yield dict(zip(names, line.rstrip("\n").split("\t"), strict=False))
