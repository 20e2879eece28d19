"""`bert models`: list the BERTs known by name, describe one, or download one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bertworks.errors import InputError
from bertworks.flags import CommandFlags, flag

if TYPE_CHECKING:
    from bertworks.datasets.schema import KnownModel

_FAMILIES = {
    "google": "Google's, TensorFlow checkpoints (tanh form of GELU)",
    "gluonnlp": "GluonNLP's (erf form of GELU); also bertworks.get_model(MODEL, dataset_name=DATASET)",
    "mindspore": "MindSpore's (tanh form of GELU); without a vocabulary",
}


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """List the models that are known by name.

    The list needs no network. A model is downloaded when a command first gets --model=NAME. It is kept in the folder
    models of $BERTWORKS_HOME. With BERTWORKS_OFFLINE=1 the network is never used. Models of the Hugging Face hub are
    not listed; their names are owner/name.
    """

    filter: str | None = flag(
        None, "List only models that have this in a name, in their files' names, languages or kind."
    )
    download: str | None = flag(None, "Download this model and print its path.")
    format: Literal["table", "json"] = flag("table", "A table for people, or JSON with everything that is known.")


def main(flags: Flags) -> None:
    """Print the models, or download one and print its path."""
    from bertworks.datasets import registry
    from bertworks.datasets.models import locate

    if flags.download:
        print(locate(flags.download, "--download"))
        return
    word = flags.filter or ""
    # A name means that model only, and not others whose names contain it.
    named = registry.find_model(word)
    models = [named] if named else [model for model in registry.models() if _contains(model, word)]
    if not models:
        raise InputError(f"--filter={word}: no model has this in its name, files, languages or kind")
    if flags.format == "json":
        print(json.dumps([_values(model) for model in models], indent=2, ensure_ascii=False))
    elif len(models) == 1:
        print(_card(models[0]))
    else:
        print("\n\n".join(_tables(models)))
        print("\nbert models --filter=NAME tells more of one; --model=NAME in any command downloads and uses it")


def _contains(model: KnownModel, word: str) -> bool:
    """Tell whether one of a model's names, its files, family, languages or casing contains a word."""
    files = (file.file_name for file in model.files)
    texts = (model.name, *model.aliases, *files, model.family, model.languages, _casing(model))
    return any(word.lower() in text.lower() for text in texts)


def _casing(model: KnownModel) -> str:
    return "uncased" if model.do_lower_case else "cased"


def _values(model: KnownModel) -> dict[str, Any]:
    """Return all that is known of a model."""
    from bertworks.datasets.models import cached_path, is_cached

    checksums = {member: checksum for file in model.files for member, checksum in file.member_checksums.items()}
    return {
        "name": model.name,
        "aliases": model.aliases,
        "family": model.family,
        "layers": model.layers,
        "hidden_size": model.hidden,
        "attention_heads": model.heads,
        "vocab_size": model.vocab_size,
        "parameters": model.parameters,
        "languages": model.languages,
        "do_lower_case": model.do_lower_case,
        "licence": model.licence,
        "date": model.date,
        "remark": model.remark,
        "addresses": [file.address for file in model.files],
        "checksums": checksums | {file.file_name: file.checksum for file in model.files if file.checksum},
        "path": str(cached_path(model)),
        "cached": is_cached(model),
    }


def _tables(models: Sequence[KnownModel]) -> list[str]:
    """Return a table for each family."""
    from bertworks.datasets.models import is_cached

    heads = ("name", "also called", "layers", "hidden", "parameters", "languages", "text", "licence", "cached")
    tables = []
    for family, title in _FAMILIES.items():
        lines = [
            (
                model.name,
                ", ".join(model.aliases),
                _number(model.layers),
                _number(model.hidden),
                _number(model.parameters),
                model.languages,
                _casing(model),
                model.licence,
                "yes" if is_cached(model) else "",
            )
            for model in models
            if model.family == family
        ]
        if lines:
            widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
            tables.append("\n".join([title, *(_aligned(line, widths) for line in (heads, *lines))]))
    return tables


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    """Return a line of a table, its numbers (columns 2 to 4) to the right and its texts to the left."""
    cells = [
        cell.rjust(width) if 2 <= column <= 4 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
    return f"  {'  '.join(cells)}".rstrip()


def _card(model: KnownModel) -> str:
    """Return all that is known of one model as lines for a person, and how to use it."""
    values = _values(model)
    lines = [model.name]
    if model.parameters:
        sizes = f"{model.layers} layers, hidden size {model.hidden:,}, {model.heads} heads, {model.vocab_size:,} words"
        lines = [f"{model.name}: {sizes}; {model.parameters:,} parameters (encoder and pooler)"]
    about = {
        "also called": ", ".join(model.aliases),
        "trained on": f"{model.languages}, {_casing(model)}",
        "remark": model.remark,
        "licence": model.licence,
        "date": model.date or "",
        "address": "\n".join(values["addresses"]),
        "checksum": "\n".join(f"{checksum}  {name}" for name, checksum in values["checksums"].items()),
        "cached" if values["cached"] else "goes to": values["path"],
    }
    for title, text in about.items():
        for number, line in enumerate(text.splitlines()):
            lines.append(f"  {title if number == 0 else '':<12}{line}")
    if model.parameters:
        name = model.aliases[0] if model.aliases and model.family == "google" else model.name
        flags, arguments = f"--model={name}", f'"{name}"'
        if model.family == "mindspore":
            flags, arguments = f"{flags} --vocab_file=vocab.txt", f'{arguments}, vocab_file="vocab.txt"'
        lines.append(f'\nUse it:\n  bert fill_mask {flags} --text="..."\n  bertworks.load({arguments})')
    return "\n".join(lines)
