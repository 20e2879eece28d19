"""Facts -> the sections of a card in Markdown. A section whose facts are not known is left out."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bertworks.card.facts import Facts

# What a model is for, by Hugging Face's class; its pipeline in transformers; how it is called here.
_USES = {
    "BertForSequenceClassification": ("classifies texts", "text-classification", 'model.classify("...")'),
    "BertForTokenClassification": ("finds entities in texts", "token-classification", 'model.tag("...")'),
    "BertForQuestionAnswering": (
        "answers questions with a part of a text",
        "question-answering",
        'model.answer("question", "text")',
    ),
    "BertForMultipleChoice": ("chooses the right ending of a text", "multiple-choice", ""),
    "BertForPreTraining": (
        "fills masks and is a beginning for fine-tuning",
        "fill-mask",
        'model.fill_mask("... [MASK]")',
    ),
}
_UNKNOWN = ("is an encoder of texts", "", 'model.embed("...")')

# It has no pipeline in transformers, and no route in `bert serve`.
_CHOICES = "multiple-choice"

# Characters that mean something in Markdown.
_MARKS = re.compile(r"([\\`*_\[\]|~#])")

# The files of data that a card names.
_FILES = 20

_SPLITS = {"train": "training", "dev": "evaluation", "test": "test"}


def use_of(facts: Facts) -> tuple[str, str, str]:
    """Return what the model does, its pipeline in transformers ("" if none), and a line of Python that uses it."""
    return _USES.get(facts.architecture, _UNKNOWN)


def opens_in_transformers(facts: Facts) -> bool:
    """Tell whether transformers computes what we compute: it knows no CRF."""
    return not facts.flags.get("use_crf", False)


def body(facts: Facts) -> str:
    """Return the card without its front matter and title."""
    sections = [
        ("", _summary(facts)),
        ("How to use it", _how_to_use(facts)),
        ("Results", _results(facts)),
        ("What it confuses", _confusions(facts)),
        ("Data", _data(facts)),
        ("Training", _training(facts)),
    ]
    parts = []
    for title, lines in sections:
        if text := "\n".join(lines).strip("\n"):
            parts.append(f"## {title}\n\n{text}" if title else text)
    return "\n\n".join(parts)


def cell(text: object) -> str:
    """Return text that Markdown and HTML show as it is, in one line."""
    return _MARKS.sub(r"\\\1", html.escape(" ".join(str(text).split()), quote=False))


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    if rows:
        yield f"| {' | '.join(header)} |"
        yield f"|{'---|' * len(header)}"
        yield from (f"| {' | '.join(cell(value) for value in row)} |" for row in rows)
        yield ""


def _summary(facts: Facts) -> Iterator[str]:
    config, base = facts.config, facts.record.get("base_model")
    layers, hidden = config.get("num_hidden_layers"), config.get("hidden_size")
    size = f" with {layers} layers of {hidden}" if layers and hidden else ""
    begun = f" Its training began with [{base}](https://huggingface.co/{base})." if base else ""
    task = facts.record.get("task")
    of_task = f" Its task is [{cell(task['name'])}]({task['home']})." if task else ""
    yield f"A BERT{size} that {use_of(facts)[0]}.{begun}{of_task}"
    labels = config.get("id2label") or {}
    if len(labels) > 1 and facts.architecture in ("BertForSequenceClassification", "BertForTokenClassification"):
        names = [cell(name) for name in labels.values()]
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        yield f"\nLabels: {', '.join(names[:20])}{more}."


def _how_to_use(facts: Facts) -> Iterator[str]:
    _, pipeline, call = use_of(facts)
    folder = json.dumps(facts.name, ensure_ascii=False)
    if call:
        yield f"```python\nimport bertworks\n\nmodel = bertworks.load({folder})\n{call}\n```\n"
    if not opens_in_transformers(facts):
        yield "`transformers` opens it, but knows no CRF: its tags are those of each word by itself.\n"
    elif pipeline and pipeline != _CHOICES:
        yield f'```python\nfrom transformers import pipeline\n\npipeline("{pipeline}", model={folder})\n```\n'
    if pipeline != _CHOICES:
        yield f"```shell\nbert serve {shlex.quote(facts.name)}\n```"


def _results(facts: Facts) -> Iterator[str]:
    of_dev = "On the evaluation data"
    for prefix, where in (("eval_", of_dev), ("test_", "On the test data"), ("", of_dev)):
        rows = [
            (name.removeprefix(prefix).replace("_", " "), f"{value:.4f}")
            for name, value in facts.results.items()
            if name.startswith(prefix) and (prefix or not name.startswith(("eval_", "test_")))
        ]
        if rows:
            precision = facts.record.get("eval_precision")
            yield f"{where}{f', computed in {precision}' if precision else ''}:\n"
            yield from _table(("result", "value"), rows)
    seeds = facts.seeds
    if seeds.get("seeds"):
        values = ", ".join(f"{float(value):.4f} (seed {seed})" for seed, value in seeds["seeds"].items())
        metric = str(seeds["metric"]).removeprefix("eval_").replace("_", " ")
        yield (
            f"Trained with {len(seeds['seeds'])} seeds: {metric} {values}; mean {seeds['mean']:.4f}, standard "
            f"deviation {seeds['deviation']:.4f}. This is the model of seed {seeds['best']}, the best of them on the "
            "evaluation data, so its own result is better than is to be expected of another seed."
        )


def _confusions(facts: Facts) -> Iterator[str]:
    nothing = "nothing"
    rows = [(of.gold or nothing, of.found or nothing, f"{of.times:,}") for of in facts.confusions]
    yield from _table(("right", "predicted", "times"), rows)


def _data(facts: Facts) -> Iterator[str]:
    record = facts.record
    files, more = record.get("files", ())[:_FILES], record.get("files", ())[_FILES:]
    rows = [(f"--{of['flag']}", of["name"], f"{of['bytes']:,}", of.get("sha256", "not hashed")) for of in files]
    yield from _table(("flag", "file", "bytes", "SHA-256"), rows)
    if more:
        yield f"and {len(more):,} more files of {sum(of['bytes'] for of in more):,} bytes\n"
    for split, amount in record.get("data", {}).items():
        yield f"- {_SPLITS.get(split, split)}: {_amount(amount)}"
    if record.get("data_hash"):
        yield f"- a hash of the training data as they were read: `{record['data_hash']}`"


def _amount(amount: Mapping[str, Any]) -> str:
    """Return how much data a split has, and how much of it the model does not see at once."""
    counts = ", ".join(f"{number:,} {name}" for name, number in amount.get("counts", {}).items())
    longer = amount.get("cut")
    if longer is None:
        return counts
    return f"{counts}; {longer / max(amount['of'], 1):.1%} of its {amount['what']} ({longer:,}) {amount['happens']}"


def _training(facts: Facts) -> Iterator[str]:
    record, hardware = facts.record, facts.record.get("hardware")
    if record.get("command"):
        yield f"    {record['command']}\n"
    if facts.flags:
        yield "`flags.toml` has every setting; `bert` repeats the training with `--config=flags.toml`.\n"
    if facts.steps:
        speed = f", {facts.tokens / facts.seconds:,.0f} tokens a second" if facts.seconds else ""
        several = f" in {facts.trainings} trainings" if facts.trainings > 1 else ""
        time = f" in {duration(facts.seconds)} of training" if facts.seconds else ""
        yield f"- {facts.steps:,} steps{several}{time}{speed}"
    if hardware:
        yield (
            f"- on {cell(hardware['device'])}; processes: {hardware['processes']}, threads of each: "
            f"{hardware['threads']}, processors that they may use: {hardware['cores']}"
        )
    if record.get("precision"):
        yield f"- precision: {record['precision']}"
    if record.get("versions"):
        yield f"- {', '.join(f'{name} {version}' for name, version in record['versions'].items())}"


def duration(seconds: float) -> str:
    """Return a time for people, such as 2 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
