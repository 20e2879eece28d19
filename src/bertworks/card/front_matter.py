"""The front matter of a card: what the Hugging Face hub reads of a model, in YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bertworks.card.facts import Facts
from bertworks.card.markdown import opens_in_transformers, use_of

# Our results -> the names of metrics on the hub. Others have no name there and keep ours.
_METRICS = {
    "entity_f1": "f1",
    "macro_f1": "f1",
    "micro_f1": "f1",
    "cluener": "f1",
    "matthews": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}
_LOSSES = "loss"

# Strings that YAML reads as themselves without quotes.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_WORDS_OF_YAML = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def front_matter(facts: Facts) -> dict[str, Any]:
    """Return what the hub should know; what is not known, such as a licence, is left out."""
    pipeline = use_of(facts)[1]
    found: dict[str, Any] = {"library_name": "transformers" if opens_in_transformers(facts) else "bertworks"}
    if pipeline:
        found["pipeline_tag"] = pipeline
    if base := facts.record.get("base_model"):
        found["base_model"] = base
    found["tags"] = ["bert", "bertworks"]
    if pipeline and (metrics := list(_metrics(facts))):
        found["model-index"] = [{"name": facts.name, "results": [_result(facts, pipeline, metrics)]}]
    return found


def _metrics(facts: Facts) -> Iterator[dict[str, Any]]:
    """Yield the results on the evaluation data. A pre-training's are of no data set that the hub knows."""
    for name, value in facts.results.items():
        short = name.removeprefix("eval_")
        if name.startswith("eval_") and not short.startswith(_LOSSES) and not short.endswith("thresh"):
            yield {"type": _METRICS.get(short, short), "value": value, "name": short.replace("_", " ")}


def _result(facts: Facts, pipeline: str, metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    task = facts.record.get("task")
    flags = ("dev_file", "predict_file", "train_file")
    names = [of["name"] for flag in flags for of in facts.record.get("files", ()) if of["flag"] == flag]
    name = task["name"] if task else next(iter(names), "own data")
    kind = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "own-data"
    return {"task": {"type": pipeline}, "dataset": {"name": name, "type": kind}, "metrics": list(metrics)}


def as_yaml(values: Mapping[str, Any]) -> str:
    """Return mappings, lists, strings and numbers as YAML."""
    return "".join(f"{line}\n" for line in _mapping(values))


def _mapping(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{key}:"
            yield from (f"  {line}" for line in _mapping(value))
        elif isinstance(value, list):
            yield f"{key}:"
            for item in value:
                first, *rest = list(_mapping(item)) if isinstance(item, Mapping) else [_scalar(item)]
                yield f"- {first}"
                yield from (f"  {line}" for line in rest)
        else:
            yield f"{key}: {_scalar(value)}"


def _scalar(value: object) -> str:
    text = str(value)
    if isinstance(value, str) and not (_PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML):
        # JSON's strings are YAML's, but for characters that YAML does not allow.
        return json.dumps(_UNPRINTABLE.sub(" ", text), ensure_ascii=False)
    return text
