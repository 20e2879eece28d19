"""Tokenizers written in Rust: `tokenizers`, which the others are compared with, nanotoken, and tokie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np

from bertworks.benchmark.peers.order import Order, Prepared

Encode = Callable[[Sequence[str]], Any]


def prepare(order: Order) -> Prepared:
    """Prepare the encoding of the shared lines; cold begins with a tokenizer that was just opened."""
    library, method = order.setting.split(".")
    make = {"tokenizers": _hugging_face, "nanotoken": _nanotoken, "tokie": _tokie}[library]
    lines = order.texts()
    encode, unpack = make(order, method)
    state = {"encode": encode}

    def forget() -> None:
        if order.work == "tokenize_cold":
            state["encode"], _ = make(order, method)

    def answers() -> list[int]:
        return [hash(tuple(ids)) % (1 << 48) for ids in unpack(state["encode"](lines))]

    return Prepared(
        version=version(library),
        settings=method,
        one_pass=lambda number: state["encode"](lines),
        answers=answers,
        before=forget,
    )


def _hugging_face(order: Order, method: str) -> tuple[Encode, Callable[[Any], Iterator[list[int]]]]:
    theirs = import_module("tokenizers").Tokenizer.from_file(str(order.model / "tokenizer.json"))
    encode = getattr(theirs, method)
    return lambda lines: encode(lines, add_special_tokens=False), lambda found: (one.ids for one in found)


def _nanotoken(order: Order, method: str) -> tuple[Encode, Callable[[Any], Iterator[list[int]]]]:
    theirs = import_module("nanotoken").Tokenizer(str(order.model / "tokenizer.json"))
    encode = getattr(theirs, method)
    return (
        lambda lines: encode(lines, add_special_tokens=False, parallel=order.threads > 1),
        lambda found: iter(found.to_list()),
    )


def _tokie(order: Order, method: str) -> tuple[Encode, Callable[[Any], Iterator[list[int]]]]:
    theirs = import_module("tokie").Tokenizer.from_json(str(order.model / "tokenizer.json"))
    encode = getattr(theirs, method)

    def unpack(found: tuple[Any, Any]) -> Iterator[list[int]]:
        ids, lengths = found
        starts = np.append(0, np.cumsum(np.asarray(lengths, np.int64)))
        return (ids[begin:end].tolist() for begin, end in pairwise(starts))

    return lambda lines: encode(lines, add_special_tokens=False), unpack
