"""Our own side of what needs no torch: text to ids, and text to pre-training data."""

from __future__ import annotations

import shutil
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from bertworks import __version__
from bertworks.benchmark.peers.order import Order, Prepared
from bertworks.data.example_writer import write_examples
from bertworks.data.masking import MaskableWords
from bertworks.data.prepare import write_corpus
from bertworks.data.stream import Drawing, ShardSource
from bertworks.text.tokenizer import Tokenizer


def prepare(order: Order) -> Prepared:
    """Prepare what the order asks for."""
    return _data(order) if order.work in ("shards", "records") else _tokenizing(order)


def _tokenizer(order: Order) -> Tokenizer:
    """Return a tokenizer over the model's vocabulary that remembers no word."""
    return Tokenizer.from_vocab(order.model / "vocab.txt", order.options["do_lower_case"] == "True")


def _tokenizing(order: Order) -> Prepared:
    """Ids of a text's lines; cold begins with a tokenizer that remembers no word."""
    kept = _tokenizer(order)
    state = {"tokenizer": kept}
    lines = order.texts()
    block = "".join(f"{line}\n" for line in lines).encode()

    def encode() -> Any:
        tokenizer = state["tokenizer"]
        return tokenizer.encode_batch(lines) if order.setting == "strings" else tokenizer.encode_lines(block)

    def forget() -> None:
        if order.work == "tokenize_cold":
            state["tokenizer"] = _tokenizer(order)

    def answers() -> list[int]:
        ids, starts = encode()
        return [hash(tuple(ids[begin:end].tolist())) % (1 << 48) for begin, end in pairwise(starts)]

    return Prepared(
        version=__version__,
        settings="encode_batch, strings" if order.setting == "strings" else "encode_lines, bytes",
        one_pass=lambda number: encode(),
        answers=answers,
        before=forget,
    )


def _data(order: Order) -> Prepared:
    """Text to shards, and to TFRecord instances if they are asked for: what `bert create_pretraining_data` does."""
    made = Path(tempfile.mkdtemp(dir=order.folder))
    corpus = [Path(path) for path in order.options["corpus"].split(",")]
    most = max(1, round(0.15 * order.max_seq_length))
    drawing = Drawing(max_seq_length=order.max_seq_length, max_predictions_per_seq=most)

    def one_pass(_: int) -> None:
        tokenizer = _tokenizer(order)
        shards = write_corpus(corpus, made / "shards", tokenizer, num_workers=1)
        if order.work == "records":
            source = ShardSource(shards, MaskableWords.of(tokenizer.tokens, "vocab.txt"), drawing)
            limits = {"max_seq_length": order.max_seq_length, "max_predictions_per_seq": most}
            write_examples(source, source.before(1), [made / "a.tfrecord"], **limits)

    def clear() -> None:
        shutil.rmtree(made)
        made.mkdir()

    what = "TFRecord instances" if order.work == "records" else "shards, from which any length and mask is drawn"
    return Prepared(
        version=__version__, settings=f"{what}, one process", one_pass=one_pass, answers=lambda: [0], before=clear
    )
