"""`bert models`: the BERTs that are known by name, what they are, where they lie, and bringing one here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from bertworks.datasets import models as zoo
from bertworks.datasets.model_table import ROWS, Row
from bertworks.errors import InputError
from bertworks.flags import CommandFlags, flag

_FAMILIES = {
    "google": "Google's, TensorFlow checkpoints (tanh form of GELU)",
    "gluonnlp": "GluonNLP's (erf form of GELU); also bertworks.get_model(MODEL, dataset_name=DATASET)",
    "mindspore": "MindSpore's (tanh form of GELU); without a vocabulary",
}


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """List the models that are known by name.

    Nothing is downloaded for the list: a command does that when --model=NAME first asks for it. The cache is the folder
    models in $BERTWORKS_HOME; with BERTWORKS_OFFLINE=1 the network is never used. Models of the Hugging Face hub are
    called by owner/name and are not listed.
    """

    filter: str | None = flag(None, "Only models with this in a name, in their languages or their kind.")
    download: str | None = flag(None, "Download this model and print where it is.")
    format: Literal["table", "json"] = flag("table", "A table for people, or JSON with all that is known.")


def main(flags: Flags) -> None:
    """Print the list, or download one."""
    if flags.download:
        print(zoo.locate(flags.download, "--download"))
        return
    rows = [row for row in ROWS if _matches(row, flags.filter or "")]
    if not rows:
        raise InputError(f"--filter={flags.filter}: no model has this in its name, languages or kind")
    if flags.format == "json":
        print(json.dumps([_values(row) for row in rows], indent=2, ensure_ascii=False))
    elif len(rows) == 1:
        print(_card(rows[0]))
    else:
        print("\n\n".join(_tables(rows)))
        print("\nbert models --filter=NAME tells more of one; --model=NAME in any command downloads and uses it")


def _matches(row: Row, word: str) -> bool:
    texts = (row.name, *row.aliases, row.family, row.languages, _casing(row))
    # An exact name means that model only, and not those whose names contain it.
    if named := zoo.find(word):
        return row is named
    return any(word.lower() in text.lower() for text in texts)


def _casing(row: Row) -> str:
    return "uncased" if row.do_lower_case else "cased"


def _values(row: Row) -> dict[str, Any]:
    """All that is known of a model."""
    return {
        "name": row.name,
        "aliases": row.aliases,
        "family": row.family,
        "layers": row.layers,
        "hidden_size": row.hidden,
        "attention_heads": row.heads,
        "vocab_size": row.vocab_size,
        "parameters": row.parameters,
        "languages": row.languages,
        "do_lower_case": row.do_lower_case,
        "licence": row.licence,
        "date": row.date,
        "remark": row.remark,
        "addresses": [source.address for source in row.sources],
        "checksums": {
            **{name: checksum for source in row.sources for name, checksum in source.members.items()},
            **{zoo.file_name(source): source.checksum for source in row.sources if source.checksum},
        },
        "path": str(zoo.place_of(row)),
        "cached": zoo.is_cached(row),
    }


def _tables(rows: list[Row]) -> list[str]:
    """A table for each family."""
    heads = ("name", "also called", "layers", "hidden", "parameters", "languages", "text", "licence", "cached")
    lines: list[tuple[str, ...]] = [
        (
            row.name,
            ", ".join(row.aliases),
            _number(row.layers),
            _number(row.hidden),
            _number(row.parameters),
            row.languages,
            _casing(row),
            row.licence,
            "yes" if zoo.is_cached(row) else "",
        )
        for row in rows
    ]
    tables = []
    for family, title in _FAMILIES.items():
        chosen = [heads, *(line for line, row in zip(lines, rows, strict=True) if row.family == family)]
        widths = [max(map(len, column)) for column in zip(*chosen, strict=True)]
        if len(chosen) > 1:
            tables.append("\n".join([title, *(_aligned(line, widths) for line in chosen)]))
    return tables


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _aligned(line: tuple[str, ...], widths: list[int]) -> str:
    """Numbers to the right, texts to the left."""
    cells = [
        cell.rjust(width) if 2 <= column <= 4 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
    return f"  {'  '.join(cells)}".rstrip()


def _card(row: Row) -> str:
    """All that is known of one model, and how to use it."""
    values = _values(row)
    if values["parameters"]:
        heads = f"{row.layers} layers, hidden size {row.hidden:,}, {row.heads} heads, {row.vocab_size:,} words"
        lines = [f"{row.name}: {heads}; {row.parameters:,} parameters (encoder and pooler)"]
    else:
        lines = [row.name]
    about = {
        "also called": ", ".join(row.aliases),
        "trained on": f"{row.languages}, {_casing(row)}",
        "remark": row.remark,
        "licence": row.licence,
        "date": row.date or "",
        "address": "\n".join(values["addresses"]),
        "checksum": "\n".join(f"{checksum}  {name}" for name, checksum in values["checksums"].items()),
        "cached" if values["cached"] else "goes to": values["path"],
    }
    for title, text in about.items():
        for number, line in enumerate(text.splitlines()):
            lines.append(f"  {title if number == 0 else '':<12}{line}")
    name = row.aliases[0] if row.aliases and row.family == "google" else row.name
    if row.parameters is None:
        return "\n".join(lines)
    flags, arguments = f"--model={name}", f'"{name}"'
    if row.family == "mindspore":
        flags, arguments = f"{flags} --vocab_file=vocab.txt", f'{arguments}, vocab_file="vocab.txt"'
    lines.append(f'\nUse it:\n  bert fill_mask {flags} --text="..."\n  bertworks.load({arguments})')
    return "\n".join(lines)
