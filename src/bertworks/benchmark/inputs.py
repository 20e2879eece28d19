"""The shared inputs of a contest: a folder with the model, a batch of tokens, or texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bertworks import files, ragged
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.checkpoints.load import load_into, open_checkpoint
from bertworks.checkpoints.resolve import config_for, tokenizer_of
from bertworks.config import BertConfig
from bertworks.errors import InputError
from bertworks.model.heads import EncoderModel, PretrainingModel, SequenceClassifier, SpanClassifier, initialise
from bertworks.tasks.squad.reader import SquadReader
from bertworks.tasks.squad.windows import WindowSettings, make_windows
from bertworks.text.corpus import blocks
from bertworks.text.python_docs import python_docs
from bertworks.text.tokenizer import Tokenizer
from bertworks.text.vocab_file import write_vocab
from bertworks.text.vocabulary import learn_vocabulary
from bertworks.text.word_counts import count_words

VOCAB_SIZE = 30522  # of the released uncased models; a vocabulary learned from less text leaves some words unused
MASKED = 0.15
_BLOCK = 1 << 24

# What each work trains or computes, and Hugging Face's class for it.
_NETWORKS: dict[str, tuple[Callable[[BertConfig], EncoderModel], str]] = {
    "pretrain": (PretrainingModel, "BertForPreTraining"),
    "span": (SpanClassifier, "BertForQuestionAnswering"),
    "classify": (lambda config: SequenceClassifier(config, 2), "BertForSequenceClassification"),
    "predict": (SpanClassifier, "BertForQuestionAnswering"),
    "encode": (EncoderModel, "BertModel"),
}

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SharedText:
    """Text that all contestants get.

    Attributes:
        name: as a table tells it.
        path: a file of it: a sentence a line, an empty line between documents.
        sentences: its lines.
    """

    name: str
    path: Path
    sentences: list[str]


def read_corpus(patterns: str | None, folder: Path) -> SharedText:
    """Read text files, or Python's documentation; write one file of it into `folder`.

    Raises:
        InputError: no such file, or no text.
    """
    if patterns is None:
        documents: Iterator[list[str]] = python_docs()
        name = "the documentation that comes with Python"
    else:
        paths = files.expand(patterns, "--corpus")
        parts = (block.text.decode().split("\n\n") for block in blocks(paths, _BLOCK))
        documents = (document.split("\n") for part in parts for document in part)
        name = ", ".join(path.name for path in paths)
    kept = [[line for line in document if line.strip()] for document in documents]
    path = folder / "corpus.txt"
    path.write_text("\n\n".join("\n".join(document) for document in kept if document) + "\n", encoding="utf-8")
    sentences = [line for document in kept for line in document]
    if not sentences:
        raise InputError(
            f"--corpus={patterns}: has no text" if patterns else "--corpus: this Python has no text; give some"
        )
    return SharedText(name, path, sentences)


def make_tokenizer(corpus: SharedText, vocab_file: str | None, do_lower_case: bool) -> Tokenizer:
    """Open a vocabulary, or learn one from the corpus."""
    if vocab_file is None:
        learned = learn_vocabulary(count_words([corpus.path], do_lower_case=do_lower_case).counts, VOCAB_SIZE)
        vocab_file = str(corpus.path.with_name("vocab.txt"))
        write_vocab(vocab_file, learned)
    return Tokenizer.from_vocab(vocab_file, do_lower_case)


@dataclass(frozen=True)
class SharedModel:
    """A model folder that every contestant opens.

    Attributes:
        name: as a table tells it.
        size: its size, or its name.
    """

    name: str
    size: str
    folder: Path
    config: BertConfig
    tokenizer: Tokenizer


def make_model(
    folder: Path, work: str, corpus: SharedText, *, size: str, model: str | None, vocab_file: str | None, lower: bool
) -> SharedModel:
    """Write a model folder with the head that a work needs: of a model with its weights, or of random ones.

    Raises:
        InputError: see `open_checkpoint` and `BertConfig.from_size`.
    """
    build, architecture = _NETWORKS[work]
    checkpoint = open_checkpoint(model, "--model") if model else None
    if checkpoint is not None:
        config, tokenizer = config_for(checkpoint, None, None), tokenizer_of(checkpoint, vocab_file, None)
        config = replace(config, extra={})
        name = str(model)
    else:
        tokenizer = make_tokenizer(corpus, vocab_file, lower)
        words = tokenizer.vocab_size if vocab_file else max(VOCAB_SIZE, tokenizer.vocab_size)
        config = BertConfig.from_size(size, words)
        name = f"BERT-{size.capitalize()}, random weights"
    network = build(config)
    if checkpoint is not None:
        missing = load_into(network, checkpoint, config).missing
        initialise(network, config.initializer_range, 0, missing)
    else:
        initialise(network, config.initializer_range, 0)
    save_model_folder(folder, config, dict(network.named_parameters()), architecture)
    tokenizer.save(folder, config.max_position_embeddings)
    return SharedModel(name, str(model or size), folder, config, tokenizer)


def lengths_of(mix: str, count: int, longest: int) -> Ints:
    """Return the lengths of a batch: a mix by name, or the first `count` numbers of a file.

    `mrpc` has the mean of its pairs, 53 tokens; `squad` that of SQuAD 1.1's training windows, 172 of 384.

    Raises:
        InputError: the file has too few numbers, or a line that is none.
    """
    rng = np.random.default_rng(0)
    if mix == "dense":
        return np.full(count, longest, np.int64)
    if mix == "mrpc":
        return _with_mean(np.clip(rng.normal(53, 13, count), 20, min(100, longest)), 53)
    if mix == "squad":
        return _with_mean(np.clip(rng.lognormal(np.log(162), 0.35, count), 40, longest), min(172, longest))
    try:
        lines = Path(mix).read_text(encoding="utf-8").split()
    except UnicodeDecodeError:
        raise InputError(f"--lengths={mix}: is no text in UTF-8; give a file with a length on each line") from None
    for number, line in enumerate(lines[:count], 1):
        if not line.isdecimal() or not 3 <= int(line) <= longest:
            raise InputError(f"{mix}, line {number}: {line!r} is not a length from 3 to --max_seq_length={longest}")
    if len(lines) < count:
        raise InputError(f"{mix}: has {len(lines)} lengths, --batch_size={count} needs as many")
    return np.array(lines[:count], np.int64)


def squad_lengths(train_file: str, tokenizer: Tokenizer, count: int, longest: int) -> Ints:
    """Return the lengths of `count` of the windows that SQuAD's training questions make, drawn at random."""
    settings = WindowSettings(max_seq_length=longest)
    made = make_windows(tokenizer, SquadReader(Path(train_file), True).examples(), settings, training=True)
    lengths = np.concatenate([windows.sequences.lengths for _, windows in made])
    drawn: Ints = np.random.default_rng(0).choice(lengths, count, replace=count > len(lengths))
    return drawn


def _with_mean(drawn: NDArray[np.float64], mean: float) -> Ints:
    """Round lengths, and move some by one or more so that their mean is `mean` as nearly as a whole sum allows."""
    lengths = drawn.round().astype(np.int64)
    missing = round(mean * len(lengths)) - int(lengths.sum())
    lengths += missing // len(lengths)
    lengths[: missing % len(lengths)] += 1
    clipped: Ints = np.clip(lengths, 3, max(3, int(drawn.max())))
    return clipped


def write_batch(folder: Path, tokenizer: Tokenizer, sentences: Sequence[str], lengths: Ints) -> int:
    """Write `batch.npz`: sequences of text in two halves with labels for every work; return the masked words."""
    stream, _ = tokenizer.encode_batch(sentences[: max(1000, int(lengths.sum()) // 5)])
    total, edges = int(lengths.sum()), ragged.starts(lengths)
    ids = np.resize(stream, total).astype(np.int64)
    place = ragged.within(lengths)
    middles = np.repeat(lengths // 2, lengths)
    ids[edges[:-1]] = tokenizer.cls_id
    ids[edges[1:] - 1] = ids[edges[:-1] + lengths // 2] = tokenizer.sep_id
    rng = np.random.default_rng(1)
    chosen = [
        start + np.sort(rng.permutation(np.delete(np.arange(1, n - 1), n // 2 - 1))[: max(1, round(MASKED * n))])
        for start, n in zip(edges, lengths, strict=False)
    ]
    rows = np.concatenate(chosen)
    labels = ids[rows]
    ids[rows] = tokenizer.mask_id
    begins = lengths // 2 + rng.integers(0, np.maximum(1, lengths - lengths // 2 - 1))
    ends = np.minimum(begins + rng.integers(0, 5, len(lengths)), lengths - 1)
    np.savez(
        folder / "batch.npz",
        input_ids=ids,
        segment_ids=(place > middles).astype(np.int64),
        lengths=lengths,
        rows=rows,
        labels=labels,
        sequence_labels=rng.integers(0, 2, len(lengths)),
        positions=np.stack([begins, ends], 1),
    )
    return len(rows)


def choose_texts(mix: str, sentences: Sequence[str], count: int, tokenizer: Tokenizer, longest: int) -> list[str]:
    """Return texts to encode: sentences at equal distances; sentences joined; or texts that fill a sequence."""
    step = max(1, len(sentences) // count)
    firsts = range(0, len(sentences), step)[:count]
    if mix == "natural":
        return [sentences[first] for first in firsts]
    if mix == "mixed":
        return [" ".join(sentences[first : first + 1 + number * 7 % 12]) for number, first in enumerate(firsts)]
    return [_filling(sentences, first, tokenizer, longest) for first in firsts]


def _filling(sentences: Sequence[str], first: int, tokenizer: Tokenizer, longest: int) -> str:
    """Join sentences from `first` on, around the end, until they have the tokens of a whole sequence."""
    parts: list[str] = []
    tokens = 0
    while tokens < longest - 2:
        parts.append(sentences[(first + len(parts)) % len(sentences)])
        tokens += len(tokenizer.encode(parts[-1]))
        if len(parts) > longest:
            raise InputError("--corpus: too many of its lines have no word")
    return " ".join(parts)


def cut_words(text: str, tokenizer: Tokenizer, longest: int) -> str:
    """Return a text without its last words, as many as make it longer than a sequence of so many tokens."""
    words = text.split()
    while len(words) > 1 and len(tokenizer.encode(" ".join(words))) > longest - 2:
        words = words[: -max(1, len(words) // 10)]
    return " ".join(words)


def token_lengths(texts: Sequence[str], tokenizer: Tokenizer, longest: int) -> Ints:
    """Return the tokens of each text as a sequence of at most `longest`."""
    _, starts = tokenizer.encode_batch(list(texts))
    cut: Ints = np.minimum(np.diff(starts) + 2, longest)
    return cut


def write_texts(folder: Path, texts: Sequence[str]) -> None:
    """Write `texts.json`."""
    (folder / "texts.json").write_text(json.dumps(list(texts), ensure_ascii=False), encoding="utf-8")


def device_name(device: torch.device) -> str:
    """Return a GPU's name and memory; "" for the CPU."""
    if device.type != "cuda":
        return ""
    properties: Any = torch.cuda.get_device_properties(device)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
