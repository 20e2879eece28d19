"""Texts to vectors by an engine that takes padded batches. Only numpy and `tokenizers` are needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks.benchmark.peers.inputs import Ids
from bertworks.benchmark.peers.order import Order, Prepared

# The batch sizes that a peer at its best tries, on some of the texts.
BATCH_SIZES = (4, 8, 16, 32, 64)
DEFAULT_BATCH_SIZE = 32
_TRIED_TEXTS = 64


@dataclass(frozen=True)
class PaddedEncoder:
    """Texts to vectors by an engine that takes padded batches.

    Attributes:
        tokenize: texts -> the ids of each, [CLS] and [SEP] included.
        run: ids [B, L] and mask [B, L] -> vectors [B, H].
        batch_size: texts of a batch.
        by_length: whether texts of similar length come together; otherwise they stay in their order.
    """

    tokenize: Callable[[Sequence[str]], list[list[int]]]
    run: Callable[[Ids, Ids], NDArray[Any]]
    batch_size: int
    by_length: bool

    def encode(self, texts: Sequence[str]) -> NDArray[Any]:
        """Return the vectors [N, H] in the order of the texts."""
        encoded = self.tokenize(texts)
        order = self._order(encoded)
        vectors: list[Any] = [None] * len(texts)
        for first in range(0, len(order), self.batch_size):
            chosen = order[first : first + self.batch_size]
            longest = max(len(encoded[i]) for i in chosen)
            ids, mask = (np.zeros((len(chosen), longest), np.int64) for _ in range(2))
            for row, i in enumerate(chosen):
                ids[row, : len(encoded[i])] = encoded[i]
                mask[row, : len(encoded[i])] = 1
            for i, vector in zip(chosen, self.run(ids, mask), strict=True):
                vectors[i] = vector
        return np.stack(vectors)

    def padded_tokens(self, texts: Sequence[str]) -> int:
        """Return the tokens that are computed, padding included."""
        lengths = [len(ids) for ids in self.tokenize(texts)]
        ordered = [lengths[i] for i in self._order([[0] * n for n in lengths])]
        cut = [ordered[first : first + self.batch_size] for first in range(0, len(ordered), self.batch_size)]
        return sum(max(part) * len(part) for part in cut)

    def _order(self, encoded: Sequence[Sequence[int]]) -> list[int]:
        return sorted(range(len(encoded)), key=lambda i: len(encoded[i]) if self.by_length else 0)


def best_batch_size(encode: Callable[[Sequence[str], int], object], texts: Sequence[str]) -> int:
    """Return the batch size that encodes some of the texts fastest."""
    some = texts[:: max(1, len(texts) // _TRIED_TEXTS)][:_TRIED_TEXTS]

    def seconds(size: int) -> float:
        encode(some, size)  # the first call of a shape may compile
        begin = time.perf_counter()
        encode(some, size)
        return time.perf_counter() - begin

    return min((size for size in BATCH_SIZES if size <= max(BATCH_SIZES[0], len(some))), key=seconds)


def fast_tokenizer(folder: Path, max_seq_length: int) -> Callable[[Sequence[str]], list[list[int]]]:
    """Return the model's tokenizer of the library `tokenizers`, which cuts at `max_seq_length`."""
    import tokenizers  # noqa: PLC0415  (a peer's)

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_seq_length)
    return lambda texts: [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def prepared_encoder(
    order: Order, run: Callable[[Any, Any], Any], version: str, words: str, precision: str = ""
) -> Prepared:
    """Return work for an engine that takes padded batches.

    At its best, texts are sorted by length and the batch size is the fastest of some; by default batches of 32 are
    taken as the texts come.
    """
    tokenize, texts = fast_tokenizer(order.model, order.max_seq_length), order.texts()
    is_best = order.setting != "defaults"

    def encoder(size: int) -> PaddedEncoder:
        return PaddedEncoder(tokenize, run, size, is_best)

    if order.work == "latency":
        one = encoder(1)
        return Prepared(
            version=version,
            settings=f"{setting_name(order)}: {words}",
            one_pass=lambda number: one.encode([texts[number % len(texts)]]),
            answers=lambda: one.encode(texts),
            precision=precision,
        )
    size = best_batch_size(lambda some, n: encoder(n).encode(some), texts) if is_best else DEFAULT_BATCH_SIZE
    chosen = encoder(size)
    return Prepared(
        version=version,
        settings=f"{setting_name(order)}: {words}, batches of {size}{', sorted by length' if is_best else ''}",
        one_pass=lambda number: chosen.encode(texts),
        answers=lambda: chosen.encode(texts),
        padded_tokens=chosen.padded_tokens(texts),
        precision=precision,
    )


def setting_name(order: Order) -> str:
    """Return what the table calls the peer's setting."""
    return "its example script's defaults" if order.setting == "defaults" else "its best"
