"""Texts to vectors by an engine that takes padded batches. Only numpy and `tokenizers` are needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.benchmark.peers.inputs import Ids, unit_vectors
from bertworks.benchmark.peers.order import Order, Prepared

# The batch sizes that a peer at its best tries, on some of the texts.
BATCH_SIZES = (4, 8, 16, 32, 64)
DEFAULT_BATCH_SIZE = 32
_TRIED_TEXTS = 64

# Ids [B, L] and mask [B, L] of each batch -> vectors [B, H] of each, in order.
Engine = Callable[[Iterable[tuple[Ids, Ids]]], Iterable[NDArray[Any]]]


def one_after_the_other(run: Callable[[Ids, Ids], NDArray[Any]]) -> Engine:
    """Return an engine that computes a batch when the one before is done."""
    return lambda batches: (run(ids, mask) for ids, mask in batches)


@dataclass(frozen=True)
class PaddedEncoder:
    """Texts to vectors by an engine that takes padded batches.

    Attributes:
        tokenize: texts -> the ids of each, [CLS] and [SEP] included.
        batch_size: texts of a batch.
        by_length: whether texts of similar length come together; otherwise they stay in their order.
    """

    tokenize: Callable[[Sequence[str]], list[list[int]]]
    engine: Engine
    batch_size: int
    by_length: bool

    def encode(self, texts: Sequence[str]) -> NDArray[Any]:
        """Return the vectors [N, H] in the order of the texts."""
        encoded = self.tokenize(texts)
        order = self._order(encoded)
        found = np.concatenate(list(self.engine(self._batches([encoded[i] for i in order]))))
        vectors = np.empty_like(found)
        vectors[order] = found
        return vectors

    def padded_tokens(self, texts: Sequence[str]) -> int:
        """Return the tokens that are computed, padding included."""
        encoded = self.tokenize(texts)
        return sum(ids.size for ids, _ in self._batches([encoded[i] for i in self._order(encoded)]))

    def _order(self, encoded: Sequence[Sequence[int]]) -> list[int]:
        return sorted(range(len(encoded)), key=lambda i: len(encoded[i]) if self.by_length else 0)

    def _batches(self, encoded: Sequence[Sequence[int]]) -> Iterator[tuple[Ids, Ids]]:
        for first in range(0, len(encoded), self.batch_size):
            chosen = encoded[first : first + self.batch_size]
            ids, mask = (np.zeros((len(chosen), max(map(len, chosen))), np.int64) for _ in range(2))
            for row, one in enumerate(chosen):
                ids[row, : len(one)] = one
                mask[row, : len(one)] = 1
            yield ids, mask


def fastest(ways: Iterable[Any], encode: Callable[[Sequence[str], Any], object], texts: Sequence[str]) -> Any:
    """Return the way, such as a batch size, that encodes some of the texts fastest."""
    some = texts[:: max(1, len(texts) // _TRIED_TEXTS)][:_TRIED_TEXTS]

    def seconds(way: Any) -> float:
        encode(some, way)  # the first call of a shape may compile
        begin = time.perf_counter()
        encode(some, way)
        return time.perf_counter() - begin

    return min(ways, key=seconds)


def fast_tokenizer(folder: Path, max_seq_length: int) -> Callable[[Sequence[str]], list[list[int]]]:
    """Return the model's tokenizer of the library `tokenizers`, which cuts at `max_seq_length`."""
    import tokenizers  # noqa: PLC0415  (a peer's)

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_seq_length)
    return lambda texts: [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def prepared_encoder(order: Order, engines: Mapping[str, Engine], version: str, precision: str = "") -> Prepared:
    """Return the work of an engine that takes padded batches.

    At its best, texts are sorted by length, and the engine and the batch size are the fastest of some; by default
    batches of 32 are taken as the texts come.

    Args:
        engines: what the table calls them -> the engines; where one text comes after the other, and by default, the
            first is used.
        precision: see `Prepared`.
    """
    tokenize, texts = fast_tokenizer(order.model, order.max_seq_length), order.texts()
    is_best = order.setting != "defaults"

    def encoder(way: tuple[str, int]) -> PaddedEncoder:
        return PaddedEncoder(tokenize, engines[way[0]], way[1], is_best)

    first = next(iter(engines))
    if order.work == "latency":
        one = encoder((first, 1))
        return Prepared(
            version=version,
            settings=f"{setting_name(order)}: {first}",
            one_pass=lambda number: one.encode([texts[number % len(texts)]]),
            answers=lambda: unit_vectors(one.encode(texts)),
            precision=precision,
        )
    way = (first, DEFAULT_BATCH_SIZE)
    if is_best:
        ways = [(name, size) for name in engines for size in BATCH_SIZES]
        way = fastest(ways, lambda some, way: encoder(way).encode(some), texts)
    chosen = encoder(way)
    return Prepared(
        version=version,
        settings=f"{setting_name(order)}: {way[0]}, batches of {way[1]}{', sorted by length' if is_best else ''}",
        one_pass=lambda number: chosen.encode(texts),
        answers=lambda: unit_vectors(chosen.encode(texts)),
        padded_tokens=chosen.padded_tokens(texts),
        precision=precision,
    )


def setting_name(order: Order) -> str:
    """Return what the table calls the peer's setting; each has another name, which files of known benchmarks bear."""
    names = {"defaults": "its example script's defaults", "compiled": "its best, compiled"}
    return names.get(order.setting, "its best")
